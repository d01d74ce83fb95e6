"""The main job through Airflow's scheduler: retrain, serve, and once more on unchanged data."""

from __future__ import annotations

import csv
import json
import re

import httpx
import pytest

from support.people import Asked
from support.quiet_logs import noise_in, ours
from support.stack import PLANTED_NUMBER, PLANTED_WORD
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.storage import Storage
from windsock.cli.follow import BLOCK, last_block
from windsock.records import DataSnapshot, LedgerAction, Promotion
from windsock.settings import Settings

pytestmark = pytest.mark.e2e

DAG = "churn__daily_retrain"
TASKS = {
    "claim_retrain",
    "take_snapshot",
    "validate_data",
    "train_model",
    "evaluate_model",
    "gate_model",
    "register_model",
    "approve_model",
    "deploy_model",
    "promote_model",
    "close_retrain",
}
EACH_TIME = {"claim_retrain", "approve_model", "close_retrain"}
"""Done anew by each run, and nothing of it is kept twice."""
OUR_LOGGERS = re.compile(r"task|(airflow|windsock)(\..+)?")
"""``task`` alone: what is printed, and progress bars, go to ``task.stdout`` and ``task.stderr``."""
MOST_LIBRARY_LINES = 5


@pytest.fixture(scope="module")
def settings(live):
    return Settings.from_environment(live.stack.environment())


def versions_of(live, model: str) -> list[str]:
    answer = httpx.get(
        f"{live.stack.mlflow_url}/api/2.0/mlflow/model-versions/search",
        params={"filter": f"name='{model}'"},
        trust_env=False,
    )
    return [version["version"] for version in answer.raise_for_status().json().get("model_versions", [])]


def world(live, settings, model: str) -> dict[str, object]:
    """What a run may add to: snapshots, versions, ledger rows."""
    storage = Storage(settings.storage_url)
    return {
        "snapshots": [name for name in storage.names(f"snapshots/{model}") if len(name) == 64],
        "versions": versions_of(live, model),
        "ledger": [row.hash for row in SqlLedger.of(settings).rows(model)],
    }


def test_the_run_is_green_and_every_task_ran(live, first_run):
    tasks = live.admin.tasks(DAG, first_run)
    assert {task.task_id for task in tasks} == TASKS
    assert {task.state for task in tasks} == {"success"}
    assert len([task for task in tasks if task.task_id == "train_model"]) >= 2


def test_the_last_block_of_every_log_is_the_verdict(live, first_run):
    for task, log in live.logs(DAG, first_run):
        ours = [line.event for line in log if line.event.strip() and not line.event.startswith("::")]
        end = ours[-4:]
        starts = [line.split(":")[0] + ":" for line in end]
        assert starts == list(BLOCK), f"{task.label} ends with {end}"


def test_few_lines_of_a_log_come_from_libraries(live, first_run):
    for task, log in live.logs(DAG, first_run):
        foreign = [line for line in log if not OUR_LOGGERS.fullmatch(line.logger)]
        assert len(foreign) <= MOST_LIBRARY_LINES, (
            f"{task.label}: {[(line.logger, line.event[:60]) for line in foreign]}"
        )


def test_no_task_of_a_quiet_retrain_says_more_than_it_must(live, first_run):
    for task, log in live.logs(DAG, first_run):
        assert ours(log), f"{task.label} says nothing"
        assert noise_in(log) == [], task.label


def test_no_row_of_data_is_in_any_log(live, first_run, project):
    with (project / "include" / "data" / "churn_sample.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    entities = {row["customer_id"] for row in rows}
    assert len(entities) > 100
    for task, log in live.logs(DAG, first_run):
        text = "\n".join(line.event for line in log)
        found = {entity for entity in entities if entity in text}
        assert not found, f"{task.label} names {len(found)} customers"


def test_the_server_answers_with_the_version_of_the_ledger(live, first_run, settings):
    promotion = Promotion.model_validate(live.admin.xcom(DAG, first_run, "promote_model"))
    champion = SqlLedger.of(settings).champion("churn")
    assert champion is not None
    assert champion.version == promotion.version
    address = f"{live.stack.server_url}/models/churn"
    asked = httpx.get(address, timeout=10, trust_env=False).raise_for_status().json()["example"]
    answer = httpx.post(f"{address}/predict", json=asked, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["version"] == champion.version
    assert content["model"] == "churn"
    assert content["prediction_id"]


def test_the_connections_come_from_the_settings_file(live):
    connections = live.admin.request("GET", "/connections")["connections"]
    hosts = {found["connection_id"]: found["host"] for found in connections}
    assert hosts == {
        "windsock_default": live.stack.server_url,
        "mlflow_default": live.stack.mlflow_url,
        "windsock_alerts": None,
    }


def test_a_second_run_on_unchanged_data_changes_nothing(live, first_run, settings):
    before = world(live, settings, "churn")
    assert len(before["snapshots"]) == 1
    assert len(before["versions"]) == 1
    run_id = live.run_green(DAG)
    assert world(live, settings, "churn") == before
    for task, log in live.logs(DAG, run_id):
        word = "PASS" if task.task_id in EACH_TIME else "UNCHANGED"
        assert last_block(log)[0] == f"VERDICT: {word}", task.label
    first = DataSnapshot.model_validate(live.admin.xcom(DAG, first_run, "take_snapshot"))
    assert DataSnapshot.model_validate(live.admin.xcom(DAG, run_id, "take_snapshot")) == first


def test_what_crosses_tasks_is_small(live, first_run):
    for task in live.admin.tasks(DAG, first_run):
        value = live.admin.xcom(DAG, first_run, task.task_id, map_index=task.map_index)
        assert len(json.dumps(value)) < 64_000, task.label


# --- the model that a person must approve


REVIEWED = "reviewed__daily_retrain"


@pytest.fixture(scope="module")
def reviewed(settings):
    """The ledger, for the reviewed model."""
    return SqlLedger.of(settings)


def await_question(live, run_id: str) -> None:
    task = live.await_task(REVIEWED, run_id, "approve_model", "awaiting_input", "failed", "upstream_failed")
    assert task.state == "awaiting_input", live.failures(REVIEWED, run_id)


def test_who_triggered_a_run_cannot_approve_it(live, reviewed):
    run_id = live.trigger(REVIEWED)
    await_question(live, run_id)
    asked = Asked(live, REVIEWED, run_id)
    assert asked.answer(live.admin) is None
    asked.opened()  # still, for the next person
    (refused,) = asked.refused()["last"]
    assert (refused["who"], refused["code"]) == ("admin", "WS-APPROVAL-004")
    assert reviewed.champion("reviewed") is None
    live.admin.fail_run(REVIEWED, run_id)


def test_a_medium_tier_waits_for_another_person(live, reviewed):
    run_id = live.trigger(REVIEWED)
    await_question(live, run_id)
    (question,) = live.reviewer.open_questions(REVIEWED, run_id)
    assert "reviewed" in question["subject"]
    assert reviewed.champion("reviewed") is None

    state = live.answer(live.reviewer, REVIEWED, run_id, "Approve")
    assert state == "success", live.failures(REVIEWED, run_id)
    champion = reviewed.champion("reviewed")
    assert champion is not None
    approvals = [row for row in reviewed.rows("reviewed") if row.action is LedgerAction.APPROVE]
    assert [row.actor for row in approvals] == ["reviewer"]
    assert approvals[0].digest == champion.digest


def assert_nothing_planted(live, dag_id: str, run_id: str) -> int:
    """See that no log of a run holds a planted value; return how many lines were read."""
    lines = 0
    for task, log in live.logs(dag_id, run_id):
        text = "\n".join(line.event for line in log)
        lines += len(log)
        assert PLANTED_WORD not in text, task.label
        assert PLANTED_NUMBER not in text, task.label
    return lines


def test_no_planted_value_is_in_any_log(live, reviewed):
    runs = live.admin.runs(REVIEWED)
    assert sum(assert_nothing_planted(live, REVIEWED, run["dag_run_id"]) for run in runs) > 100


# --- the model whose data are refused for the planted row


def test_a_refusal_is_red_at_once_and_names_no_value(live):
    dag_id = "refused__daily_retrain"
    run_id = live.trigger(dag_id)
    assert live.await_state(dag_id, run_id) == "failed"
    tasks = {task.task_id: task for task in live.admin.tasks(dag_id, run_id)}
    refused = tasks["validate_data"]
    assert (refused.state, refused.try_number) == ("failed", 1), live.failures(dag_id, run_id)
    assert tasks["train_model"].state == "upstream_failed"
    log = live.admin.log(dag_id, run_id, refused)
    ours = [line.event for line in log if line.event.strip() and not line.event.startswith("::")]
    assert ours[-4] == "VERDICT: FAIL"
    assert ours[-4:] == last_block(log)
    assert "WS-DATA-131" in ours[-3]
    assert "minutes" in "\n".join(ours), "the finding names its column"
    assert assert_nothing_planted(live, dag_id, run_id) > 20


EDITS = {
    "gate_model": {"outcome": "promote", "reason": "edited"},
    "evaluate_model": {"gap": 0.0},
}


@pytest.mark.parametrize("edited", EDITS)
def test_what_is_edited_in_xcom_registers_nothing(live, first_run, settings, edited):
    """Who may edit XCom over Airflow's interface hands no step a record that no step came to."""
    before = world(live, settings, "churn")
    place = f"/dags/{DAG}/dagRuns/{first_run}/taskInstances/{edited}/xcomEntries/return_value"
    honest = live.admin.xcom(DAG, first_run, edited)
    clear = {
        "dry_run": False, "only_failed": False, "task_ids": ["register_model"], "dag_run_id": first_run,
    }  # fmt: skip
    try:
        live.admin.request("PATCH", place, json={"value": {**honest, **EDITS[edited]}, "map_index": -1})
        live.admin.request("POST", f"/dags/{DAG}/clearTaskInstances", json=clear)
        task = live.await_task(DAG, first_run, "register_model", "failed")
        text = "\n".join(line.event for line in live.admin.log(DAG, first_run, task))
        assert "WS-GATE-013" in text
        assert world(live, settings, "churn") == before
    finally:
        live.admin.request("PATCH", place, json={"value": honest, "map_index": -1})
        live.admin.request("POST", f"/dags/{DAG}/clearTaskInstances", json=clear)
        live.await_task(DAG, first_run, "register_model", "success")
