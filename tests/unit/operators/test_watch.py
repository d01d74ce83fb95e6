from __future__ import annotations

from types import SimpleNamespace

import pytest

from support.context import make_context
from windsock.hooks import airflow_answers
from windsock.hooks.airflow_state import DagState
from windsock.operators import watch as module
from windsock.operators.assets import due_asset, due_outlet
from windsock.operators.watch import WatchOperator
from windsock.records import DueWork, WatchReport

WORK = DueWork(model="apples", kind="monitor", key="windows 1", reason="a window closed")


@pytest.fixture
def models(tmp_path, monkeypatch):
    folder = tmp_path / "include" / "models"
    folder.mkdir(parents=True)
    for name in ("apples", "pears"):
        text = f"model: {{name: {name}, owner: ann}}\ndata: {{source: data.csv, target: y}}\n"
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(folder))
    return folder


@pytest.fixture
def airflow(monkeypatch):
    """Airflow in which every DAG is on and idle, unless a test says otherwise."""
    state = SimpleNamespace(
        dag=lambda dag_id: DagState(is_paused=False, next_run=None),
        runs=lambda dag_id, states: 0,
        tasks=lambda dag_id, task_ids, states: 0,
        last_event=lambda asset: None,
    )
    monkeypatch.setattr(module, "AirflowState", lambda context: state)
    monkeypatch.setattr(airflow_answers, "silent_parts", lambda address: ())
    return state


def execute():
    """Run the task; return what it pushed, the events it sent and its last block."""
    task = WatchOperator(task_id="watch")
    events = []
    context = make_context(task)
    outlet = SimpleNamespace(add=lambda asset, extra: events.append((asset, extra)))
    context["outlet_events"] = {due_outlet(): outlet}
    pushed = WatchReport.model_validate(task.execute(context))
    return pushed, events, task.verdict


def test_what_is_due_is_announced_and_stands_in_the_last_block(models, airflow, ports, step_answers):
    asked = step_answers("watch", WatchReport(models=2, due=(WORK,)))
    pushed, ((asset, extra),), verdict = execute()
    assert asset == due_asset("apples", "monitor")
    assert extra["work"] == WORK.key
    assert "starter_unknown" not in extra
    assert pushed.announced == (WORK,)
    assert verdict.why == "models 2, due 1, announced 1"
    assert [spec.name for spec in asked[0].specs] == ["apples", "pears"]


def test_a_dag_that_is_off_is_named_and_the_task_is_green(models, airflow, ports, step_answers):
    airflow.dag = lambda dag_id: DagState(is_paused=True, next_run=None)
    step_answers("watch", WatchReport(models=2, due=(WORK,)))
    pushed, events, verdict = execute()
    assert events == []
    assert pushed.announced == ()
    assert "apples__monitor is due and is switched off" in verdict.why


def test_a_fault_of_one_model_leaves_the_task_green_and_the_events_of_others_sent(
    models, airflow, ports, step_answers
):
    (models / "broken.yaml").write_text("model: {name: broken, tier: none}\n", encoding="utf-8")
    asked = step_answers(
        "watch", lambda step: WatchReport(models=2, due=(WORK,), faults=step.broken, away=("WS-STORAGE-001",))
    )
    _, events, verdict = execute()
    assert len(events) == 1
    assert verdict.word == "FAIL"
    assert "broken.yaml" in verdict.why
    assert [spec.name for spec in asked[0].specs] == ["apples", "pears"]


def test_nothing_is_due_without_a_version_in_any_ledger(models, airflow, ports):
    pushed, events, verdict = execute()
    assert (pushed, events) == (WatchReport(models=2), [])
    assert verdict.word == "PASS"


def test_a_shared_file_that_is_broken_is_said_and_the_models_are_read(tmp_path, monkeypatch):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text("model: {name: churn, owner: ann}\n")
    (models / "fraud.yaml").write_text("model: [\n")
    (models.parent / "windsock.yaml").write_text("approvers: 7\n")
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    given = WatchOperator(task_id="watch").step_input({})
    assert [spec.name for spec in given["specs"]] == ["churn"]
    assert ["windsock.yaml" in one for one in given["broken"]] == [True, False]
    assert "fraud.yaml" in given["broken"][1]
