"""What Airflow answers a task: states are members of its own enumeration, and we speak of words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.api.datamodels._generated import DagRunState
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import DagRunStateResult

from support.fakes import fake_ports
from windsock.hooks.airflow_answers import TaskAirflow
from windsock.hooks.airflow_state import AirflowState
from windsock.ports import utc_now

HOLDER = "held__daily_retrain/manual__2026-12-01"


def asked(monkeypatch: pytest.MonkeyPatch, answer: Any) -> AirflowState:
    """Airflow whose supervisor gives one answer, asked as a task does."""
    comms = SimpleNamespace(send=lambda msg: answer)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    return AirflowState({"ti": task_runner.RuntimeTaskInstance})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("state", list(DagRunState))
def test_the_state_of_a_run_is_a_word(monkeypatch: pytest.MonkeyPatch, state: DagRunState) -> None:
    answer = DagRunStateResult(state=state)
    airflow = asked(monkeypatch, answer)
    assert airflow.run_state("held__daily_retrain", "manual__2026-12-01") == state.value
    facts = TaskAirflow(airflow, fake_ports().ledger).run(HOLDER)
    assert facts.is_over == (state.value in ("success", "failed"))


def test_runs_that_an_event_started_ended_by_words(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [
        SimpleNamespace(run_id=f"run-{number}", dag_id="a__monitor", state=state, start_date=number)
        for number, state in enumerate((DagRunState.SUCCESS, DagRunState.FAILED, DagRunState.RUNNING))
    ]
    answer = SimpleNamespace(asset_events=[SimpleNamespace(created_dagruns=runs)])
    assert asked(monkeypatch, answer).started_by("x", "a__monitor", most=3) == ("failed", "success")


def test_the_run_before_has_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(logical_date="then", state=DagRunState.FAILED)
    found = asked(monkeypatch, SimpleNamespace(dag_run=run)).run_before("a__daily_retrain", utc_now())
    assert found is not None
    assert found.state == "failed"
