"""A retrain's new version is tried on users of a known truth; what is better is promoted."""

from __future__ import annotations

import httpx
import pytest

from support.quiet_logs import noise_in, ours
from support.rollout_world import same_as_tally
from support.scenarios import USERS
from windsock.cli.follow import BLOCK, last_block
from windsock.records import (
    LedgerAction,
    Promotion,
    RetrainEnd,
    RetrainOutcome,
    RolloutAction,
    RolloutOutcome,
    decision_digest,
)

pytestmark = pytest.mark.e2e

RETRAIN = "tried__daily_retrain"


@pytest.fixture(scope="module")
def tried(tried_out):
    """The model, with its first version serving and its rollouts switched on."""
    return tried_out.tried


@pytest.fixture(scope="module")
def retrained(tried_out):
    """The retrain that made version 2."""
    return tried_out.retrained


@pytest.fixture(scope="module")
def rollout(tried_out):
    """The rollout of version 2; it was paused until all users had come."""
    return tried_out.rollout


@pytest.fixture(scope="module")
def users(tried_out):
    """Users who like the challenger, all of whom came while the rollout was paused."""
    return tried_out.users


@pytest.fixture(scope="module")
def held(tried_out):
    """What was decided while it was paused and everything had been seen."""
    return tried_out.held


@pytest.fixture(scope="module")
def ended(live, tried, tried_out):
    """How it ended after it was resumed and looked at by hand."""
    yield tried_out.ended
    live.admin.set_paused(tried.dag_id, paused=True)


def test_the_retrain_ends_with_a_version_that_waits(live, tried, retrained):
    promotion = Promotion.model_validate(live.admin.xcom(RETRAIN, retrained, "promote_model"))
    assert promotion.waiting
    assert promotion.version == "2"
    end = RetrainEnd.model_validate(live.admin.xcom(RETRAIN, retrained, "close_retrain"))
    assert end.outcome is RetrainOutcome.QUEUED


def test_the_waiting_version_nudges_the_rollout(live, tried, rollout):
    runs = live.admin.runs(tried.dag_id)
    assert "asset_triggered" in {run["run_type"] for run in runs}
    assert (rollout.version, rollout.champion_version) == ("2", "1")
    assert rollout.share == 5_000


def test_no_user_changes_the_arm(tried, rollout, users):
    assert users.tally.moved == []
    assert min(users.tally.units("1"), users.tally.units("2")) > 0.4 * USERS


def test_the_count_is_what_the_users_did_to_the_unit(tried_out):
    same_as_tally(tried_out.counted, tried_out.rollout, tried_out.users.tally)


def test_nothing_is_promoted_while_it_is_paused(tried, rollout, held):
    assert held.action is RolloutAction.HOLD
    assert "paused" in held.reason


def test_the_better_version_is_promoted_by_its_decision(tried, rollout, users, ended):
    assert ended.outcome is RolloutOutcome.PROMOTED
    decision = tried.decisions(rollout)[-1]
    assert decision.action is RolloutAction.PROMOTE
    same_as_tally(decision.totals, rollout, users.tally)
    assert decision.estimate.interval is not None
    assert 0 < decision.estimate.interval.low < 0.15 < decision.estimate.interval.high
    assert [one.number for one in tried.decisions(rollout)] == list(range(1, decision.number + 1))


def test_no_task_of_the_rollout_says_more_than_it_must(live, tried, retrained, ended):
    runs = [
        (tried.dag_id, run["dag_run_id"])
        for run in live.admin.runs(tried.dag_id)
        if run["state"] == "success"
    ]
    read = 0
    for dag_id, run_id in [*runs, (RETRAIN, retrained)]:
        for task, log in live.logs(dag_id, run_id):
            read += bool(ours(log))
            assert noise_in(log) == [], f"{dag_id}: {task.label}"
    assert read > 15


def test_the_ledger_tells_it_in_order(tried, rollout, ended):
    rows = [
        row
        for row in tried.rows
        if row.version == "2" and row.action not in (LedgerAction.REGISTER, LedgerAction.DEPLOY)
    ]
    told = [row.action.value for row in rows]
    assert told == ["queue", "shift", "pause", "resume", "intend", "commit"]
    assert {row.body["experiment"] for row in rows[1:-1]} == {rollout.experiment}
    intent = rows[-2]
    assert intent.epoch == ended.epoch
    promoting = [one for one in tried.decisions(rollout) if one.action is RolloutAction.PROMOTE]
    assert intent.body["decision"] in {
        decision_digest(one) for one in promoting
    }  # a later look may repeat it
    assert tried.ports.ledger.verify("tried").broken_at is None


def test_the_server_answers_with_the_promoted_version_and_splits_no_more(tried, users, ended):
    state = tried.ports.router.state("tried")
    assert state.plan.experiment is None
    shares = {slot.version: slot.share for slot in state.plan.slots}
    assert shares["2"] == 10_000
    answered = set(users.tally.version_of)
    users.come_again()
    assert {now for _, _, now in users.tally.moved} == {"2"}
    assert {unit for unit, _, _ in users.tally.moved} == {
        unit for unit in answered if users.tally.version_of[unit] == "1"
    }


def test_the_report_lies_in_mlflow(live, tried, rollout, ended):
    judged = [
        live.admin.xcom(tried.dag_id, run["dag_run_id"], "judge_rollout")
        for run in live.admin.runs(tried.dag_id)
    ]
    promoted = [one for one in judged if one and one["action"] == "promote"]
    assert promoted
    assert all(one["report_uri"] and one["evidence_digest"] for one in promoted)
    version = httpx.get(
        f"{live.stack.mlflow_url}/api/2.0/mlflow/model-versions/get",
        params={"name": "tried", "version": "2"},
        trust_env=False,
    ).raise_for_status()
    run_id = version.json()["model_version"]["run_id"]
    listed = artifacts(live, run_id, "")
    assert [path for path in listed if rollout.experiment in path and path.endswith(".html")], listed


def artifacts(live, run_id: str, path: str) -> list[str]:
    answer = httpx.get(
        f"{live.stack.mlflow_url}/api/2.0/mlflow/artifacts/list",
        params={"run_id": run_id, "path": path},
        trust_env=False,
    ).raise_for_status()
    found = []
    for file in answer.json().get("files", []):
        found += artifacts(live, run_id, file["path"]) if file["is_dir"] else [file["path"]]
    return found


def test_every_log_of_the_rollout_ends_with_a_verdict(live, tried, ended):
    tasks = set()
    for run in live.admin.runs(tried.dag_id):
        for task, log in live.logs(tried.dag_id, run["dag_run_id"]):
            if task.finished:
                block = last_block(log)
                assert len(block) == len(BLOCK), f"{task.label}: {[line.event for line in log[-6:]]}"
                tasks.add(task.task_id)
    assert {"steer_rollout", "start_rollout", "wait_for_look", "judge_rollout", "move_rollout"} <= tasks
