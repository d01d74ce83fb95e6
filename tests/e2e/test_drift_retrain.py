"""The world moves: the monitor sees it, one retrain runs, the gate judges, the new version serves."""

from __future__ import annotations

import json
from datetime import datetime

import httpx
import pytest

from support.quiet_logs import noise_in, ours
from support.scenarios import MOVED_ROWS as ROWS
from support.stack import wait_for
from windsock.cli.follow import last_block
from windsock.records import (
    DataSnapshot,
    DriftReport,
    EpisodeState,
    Evaluation,
    RetrainClaim,
    RetrainDecision,
    RetrainEnd,
    RetrainOrder,
    RetrainOutcome,
    Status,
)

pytestmark = pytest.mark.e2e

RETRAIN, MONITOR = "moving__drift_retrain", "moving__monitor"


@pytest.fixture(scope="module")
def ports(drift):
    return drift.ports


@pytest.fixture(scope="module")
def moved(drift):
    """When the window closed in which the traffic had moved."""
    return drift.moved


@pytest.fixture(scope="module")
def retrained(drift):
    """The run that the drift started, at its end."""
    return drift.retrained


def reports(live) -> list[DriftReport]:
    return [report for run in reports_by_run(live) for report in run]


def reports_by_run(live) -> list[list[DriftReport]]:
    found = []
    for run in live.admin.runs(MONITOR):
        made = []
        for task in live.admin.tasks(MONITOR, run["dag_run_id"]):
            if task.task_id == "check_drift" and task.state == "success":
                value = live.admin.xcom(MONITOR, run["dag_run_id"], "check_drift", map_index=task.map_index)
                made.append(DriftReport.model_validate(value))
        found.append(made)
    return found


def test_the_moved_window_is_judged_to_have_drifted(live, retrained, moved):
    (report,) = [report for report in reports(live) if report.window.end == moved]
    assert report.status is Status.FAIL
    assert report.version == "1"
    assert report.rows == ROWS
    assert {"tenure_months", "monthly_charges"} <= set(report.drifted)


def test_one_retrain_claims_the_episode_and_helps(live, ports, retrained, moved):
    claim = RetrainClaim.model_validate(live.admin.xcom(RETRAIN, retrained, "claim_retrain"))
    assert claim.granted
    assert claim.episode is not None
    assert claim.episode.span.end == moved
    end = RetrainEnd.model_validate(live.admin.xcom(RETRAIN, retrained, "close_retrain"))
    assert end.outcome is RetrainOutcome.PROMOTED
    (episode,) = [one for one in ports.monitor.episodes("moving") if one.key == claim.episode.key]
    assert episode.state is EpisodeState.CLOSED
    assert episode.claimed_by == claim.holder


def test_the_gate_decides_on_recent_held_out_rows(live, retrained):
    snapshot = DataSnapshot.model_validate(live.admin.xcom(RETRAIN, retrained, "take_snapshot"))
    assert snapshot.recent_rows == ROWS
    evaluation = Evaluation.model_validate(live.admin.xcom(RETRAIN, retrained, "evaluate_model"))
    assert evaluation.against_champion is not None
    assert evaluation.against_champion.value > 0
    (metric,) = [value for value in evaluation.metrics if value.name == "roc_auc"]
    # The world has been another one since the moved rows: the latest half of those that are held out decides.
    assert evaluation.since_onset > metric.on_rows
    assert 0.07 * ROWS < metric.on_rows < 0.13 * ROWS


def test_the_new_version_serves(live, ports, retrained, moved):
    champion = ports.ledger.champion("moving")
    assert champion.version == "2"
    address = f"{live.stack.server_url}/models/moving"
    asked = httpx.get(address, timeout=10, trust_env=False).raise_for_status().json()["example"]
    answer = httpx.post(f"{address}/predict", json=asked, timeout=10, trust_env=False)
    assert answer.json()["version"] == "2"
    assert ports.ledger.rows("moving")[-1].at > moved


def test_every_log_of_the_monitor_ends_with_a_verdict(live, retrained, moved):
    run_id = next(
        run["dag_run_id"]
        for run in live.admin.runs(MONITOR)
        if datetime.fromisoformat(run["run_after"]) >= moved and run["state"] == "success"
    )
    for task, log in live.logs(MONITOR, run_id):
        if task.task_id == "unjudged_windows":  # it is skipped where each window has a verdict
            continue
        block = last_block(log)
        assert len(block) == 4, f"{task.label}: {[line.event for line in log[-6:]]}"


def test_no_task_of_monitor_and_retrain_says_more_than_it_must(live, retrained):
    runs = [(MONITOR, run["dag_run_id"]) for run in live.admin.runs(MONITOR) if run["state"] == "success"]
    read = 0
    for dag_id, run_id in [*runs, (RETRAIN, retrained)]:
        for task, log in live.logs(dag_id, run_id):
            read += bool(ours(log))
            noise = noise_in(log)
            if any(line.event.startswith("VERDICT: FAIL") for line in log):  # it names what has drifted
                noise = [one for one in noise if "lines of ours" not in one]
            assert noise == [], f"{dag_id}: {task.label}"
    assert read > 15


def test_the_server_shows_the_drift(live, retrained):
    metrics = httpx.get(f"{live.stack.server_url}/metrics", timeout=10, trust_env=False).text
    assert "data_drift_score{" in metrics
    assert 'feature="tenure_months"' in metrics


def test_a_doubled_event_claims_nothing(live, ports, retrained):
    claim = RetrainClaim.model_validate(live.admin.xcom(RETRAIN, retrained, "claim_retrain"))
    assets = live.admin.request("GET", "/assets", params={"uri_pattern": "x-windsock://moving/retrain"})
    asset_id = assets["assets"][0]["id"]
    before = len(live.admin.runs(RETRAIN))
    event = {"asset_id": asset_id, "extra": {"episode": claim.episode.key}}
    live.admin.request("POST", "/assets/events", json=event)
    wait_for(lambda: len(live.admin.runs(RETRAIN)) > before, seconds=60, what="the doubled event's run")
    run_id = live.admin.runs(RETRAIN)[0]["dag_run_id"]
    assert live.await_state(RETRAIN, run_id) == "success", live.failures(RETRAIN, run_id)
    states = {task.task_id: task.state for task in live.admin.tasks(RETRAIN, run_id)}
    assert states.pop("claim_retrain") == "success"
    assert set(states.values()) == {"skipped"}, json.dumps(states)
    again = RetrainClaim.model_validate(live.admin.xcom(RETRAIN, run_id, "claim_retrain"))
    assert not again.granted
    assert ports.ledger.champion("moving").version == "2"


def test_a_window_of_few_rows_is_judged_and_asks_for_nothing(live, retrained):
    decisions = [
        RetrainDecision.model_validate(live.admin.xcom(MONITOR, run["dag_run_id"], "decide_retrain"))
        for run in live.admin.runs(MONITOR)
        if run["state"] == "success"
    ]
    assert len({one.episode.key for one in decisions if one.order is RetrainOrder.GRANT}) == 1
    assert [one for one in decisions if one.order is not RetrainOrder.GRANT]


def test_windows_that_nobody_used_are_judged_and_start_no_run(live, ports, retrained):
    empty = {one.window for one in ports.monitor.windows("moving", "drift") if one.status is Status.EMPTY}
    assert empty
    runs = [
        sorted((one.window for one in made), key=lambda window: window.end) for made in reports_by_run(live)
    ]
    judged = [windows for windows in runs if windows]
    assert judged
    for windows in judged:
        assert not empty & set(windows[:-1])  # the last one of a run is judged even where it is empty
        assert set(windows) - empty  # but it starts none
