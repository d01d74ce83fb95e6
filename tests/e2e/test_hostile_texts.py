"""Texts of a hostile model's file, data and form through a real run: nothing of them is rendered anywhere.

Airflow's scheduler trains, judges, asks a person, deploys and promotes; then everything that the stack has
written and answers is searched for planted secrets, and its pages are looked at in a browser.
"""

from __future__ import annotations

import json

import httpx
import pytest

from support.browser import watched_page
from support.hostile_model import BROKEN, MODEL
from support.payloads import MIXED, PLANTED, PRODUCT, RENDERED, TOKEN
from support.searching import answered, found_in, secrets_of, written
from windsock.adapters.ledger_table import SqlLedger
from windsock.settings import Settings

pytestmark = pytest.mark.e2e
PASSWORD = "pw-7f3a-never-to-be-seen"
RETRAIN, FAILING, ROLL_BACK = f"{MODEL}__daily_retrain", f"{BROKEN}__daily_retrain", f"{MODEL}__rollback"
REASON = f"a\nVERDICT: PASS ::endgroup:: \x1b[31m {MIXED}"[:900]


@pytest.fixture(scope="module")
def ended(live):
    """The runs, by their DAG: one that serves, one that cannot train, one that rolls back.

    Beside them stands a connection whose secret nobody may see.
    """
    planted = {"connection_id": PLANTED, "conn_type": "generic", "host": "h", "password": PASSWORD}
    live.admin.put_all("connections", [planted])
    failing = live.trigger(FAILING)
    run_id = live.trigger(RETRAIN)
    asked = live.await_task(RETRAIN, run_id, "approve_model", "awaiting_input", "failed", "upstream_failed")
    assert asked.state == "awaiting_input", live.failures(RETRAIN, run_id)
    (question,) = live.reviewer.open_questions(RETRAIN, run_id)
    with watched_page(live) as watched:
        watched.page.goto("/required_actions")
        watched.settle(seconds=3.0)
        looked = watched.faults()
        watched.page.goto(f"/dags/{RETRAIN}/runs/{run_id}/tasks/approve_model/required_actions")
        watched.page.get_by_text("owned by").first.wait_for(timeout=30_000)
        looked += watched.faults()
        shown = watched.page.locator("body").inner_text()
    assert live.answer(live.reviewer, RETRAIN, run_id, "Approve") == "success", live.failures(RETRAIN, run_id)
    assert live.await_state(FAILING, failing) == "failed"
    back = live.admin.trigger(ROLL_BACK, {"reason": REASON})
    live.admin.set_paused(ROLL_BACK, paused=False)
    live.await_state(ROLL_BACK, back)
    runs = {RETRAIN: run_id, FAILING: failing, ROLL_BACK: back}
    return {"runs": runs, "question": question, "faults": looked, "page": shown}


@pytest.fixture(scope="module")
def never(live, ended):
    """What must be found nowhere."""
    return {**secrets_of(live, PASSWORD), "a rendered product": RENDERED}


def test_the_version_serves(live, ended):
    settings = Settings.from_environment(live.stack.environment())
    champion = SqlLedger.of(settings).champion(MODEL)
    assert champion is not None
    address = f"{live.stack.server_url}/models/{MODEL}"
    asked = httpx.get(address, timeout=10, trust_env=False).raise_for_status().json()["example"]
    answer = httpx.post(f"{address}/predict", json=asked, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == champion.version


def test_no_file_of_the_stack_holds_a_secret_or_a_rendered_text(live, ended, never):
    files = dict(written(live.stack.home))
    assert len(files) > 60
    found = {name: found_in(content, never) for name, content in files.items()}
    assert {name: what for name, what in found.items() if what} == {}
    seen = {name for name, content in files.items() if PRODUCT.encode() in content}
    assert {"airflow/airflow.db", "control.db", "mlflow.db"} & seen, "the texts themselves are kept as data"


def test_nothing_that_airflow_answers_holds_a_secret_or_a_rendered_text(live, ended, never):
    parts = dict(answered(live, ended["runs"]))
    assert len(parts) > 40
    for kind in ("fields", "XCom", "log", "details"):
        assert any(f" {kind}" in name for name in parts), kind
    found = {name: found_in(text, never) for name, text in parts.items()}
    assert {name: what for name, what in found.items() if what} == {}
    assert any(TOKEN in text for text in parts.values()), "the texts themselves are shown as data"


def test_no_line_of_a_log_is_forged(live, ended):
    for dag_id, run_id in ended["runs"].items():
        for task, log in live.logs(dag_id, run_id):
            events = [line.event for line in log]
            lines = [part for event in events for part in event.splitlines()]
            assert sum(line.startswith("VERDICT:") for line in lines) in (1, 2), (task.label, lines)
            assert [line for line in lines if "\x1b" in line] == [], task.label
            ends = [event for event in events if "::endgroup::" in event]
            assert set(ends) <= {"::endgroup::"}, task.label
            begun = [event for event in events if "::group::" in event]
            assert [event for event in begun if event.rfind("::group::") > 0] == [], task.label


def test_python_written_templates_and_xcom_arguments_resolve(live, ended):
    base = f"/dags/{RETRAIN}/dagRuns/{ended['runs'][RETRAIN]}/taskInstances"
    trained = live.admin.request("GET", f"{base}/train_model/0")
    assert trained["rendered_map_index"] == "logistic_regression"
    assert trained["rendered_fields"]["candidate"] in (0, "0")
    registered = live.admin.request("GET", f"{base}/register_model")["rendered_fields"]
    assert MODEL in json.dumps(registered["decision"])


def test_the_question_shows_the_gate_first_and_one_line_of_each_text(ended):
    body = ended["question"]["body"]
    assert body.startswith("Gate: **promote**")
    lines = body.splitlines()
    assert sum(line.startswith("- intended use:") for line in lines) == 1
    assert not any(line.startswith(("# ", "VERDICT", "![", "---")) for line in lines)
    assert ended["faults"] == []
    assert PRODUCT in ended["page"]


def test_no_page_runs_or_loads_what_was_planted(live, ended, never):
    retrain = f"/dags/{RETRAIN}/runs/{ended['runs'][RETRAIN]}"
    failing = f"/dags/{FAILING}/runs/{ended['runs'][FAILING]}"
    pages = [
        "/dags",
        f"/dags/{RETRAIN}",
        f"/dags/{RETRAIN}/details",
        f"/dags/{MODEL}__monitor/details",
        f"{retrain}/tasks/train_model/mapped/0",
        f"{retrain}/tasks/gate_model",
        f"{retrain}/tasks/gate_model/rendered_templates",
        f"{retrain}/tasks/approve_model/rendered_templates",
        f"{retrain}/tasks/evaluate_model/xcom",
        f"{failing}/tasks/train_model/mapped/0",
        "/windsock/models",
        f"/windsock/models/{MODEL}",
        f"{live.stack.server_url}/docs",
        f"{live.stack.server_url}/models/{MODEL}",
        f"{live.stack.mlflow_url}/#/models/{MODEL}/versions/1",
    ]
    run = run_in_mlflow(live)
    pages += [
        f"{live.stack.mlflow_url}/#/experiments/{run['experiment_id']}",
        f"{live.stack.mlflow_url}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}",
        f"{live.stack.mlflow_url}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}/artifacts",
    ]
    with watched_page(live) as watched:
        for address in pages:
            watched.page.goto(address)
            watched.settle()
            assert watched.faults() == [], address
            assert found_in(watched.page.content(), never) == [], address
        watched.page.goto(f"/dags/{RETRAIN}")
        watched.page.get_by_role("button", name="Dag Docs").click()
        watched.page.get_by_text("When it is red").wait_for(timeout=20_000)
        assert watched.faults() == []
        assert PRODUCT in watched.page.locator("body").inner_text()


def run_in_mlflow(live) -> dict[str, str]:
    """Return the run of the version in MLflow: its id and its experiment's."""
    base = f"{live.stack.mlflow_url}/api/2.0/mlflow"
    version = httpx.get(
        f"{base}/model-versions/get", params={"name": MODEL, "version": "1"}, trust_env=False
    ).raise_for_status()
    run_id = version.json()["model_version"]["run_id"]
    run = httpx.get(f"{base}/runs/get", params={"run_id": run_id}, trust_env=False).raise_for_status()
    return run.json()["run"]["info"]


def test_mlflow_holds_the_texts_as_data(live, ended, never):
    run_id = run_in_mlflow(live)["run_id"]
    base = f"{live.stack.mlflow_url}/api/2.0/mlflow"
    run = httpx.get(f"{base}/runs/get", params={"run_id": run_id}, trust_env=False).raise_for_status().text
    assert found_in(run, never) == []
    files = [name for name, _ in written(live.stack.home / "mlartifacts") if run_id in name]
    assert any(name.endswith("model_card.md") for name in files)
