from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from windsock.hooks.airflow_state import DagState, LastEvent
from windsock.operators import announce as module
from windsock.operators.announce import announce
from windsock.operators.assets import due_asset, due_outlet
from windsock.ports import utc_now
from windsock.records import DueWork

LOOK = DueWork(model="churn", kind="monitor", key="windows 1", reason="a window", patience=3600)
ROLLOUT = DueWork(model="churn", kind="rollout", key="look 1", reason="an analysis", patience=3600)


class FakeAirflow:
    """Answers what a test sets; by default every DAG is on, and nobody is at anything."""

    def __init__(self, **set: Any) -> None:
        self.state: DagState | None = DagState(is_paused=False, next_run=None)
        self.open = 0
        self.queued = 0
        self.busy = 0
        self.event: LastEvent | None = None
        for name, value in set.items():
            setattr(self, name, value)

    def dag(self, dag_id: str) -> DagState | None:
        return self.state

    def runs(self, dag_id: str, states: Any) -> int:
        return self.queued + (self.open if "running" in states else 0)

    def tasks(self, dag_id: str, task_ids: Any, states: Any) -> int:
        assert "approve_promotion" not in task_ids
        return self.busy

    def last_event(self, asset: Any) -> LastEvent | None:
        return self.event


def sent(work: DueWork, airflow: FakeAirflow) -> tuple[list[tuple[Any, dict[str, Any]]], tuple[str, ...]]:
    """Return which events went out, and why others did not."""
    events: list[tuple[Any, dict[str, Any]]] = []
    outlet = SimpleNamespace(add=lambda asset, extra: events.append((asset, extra)))
    context: Any = {
        "outlet_events": {due_outlet(): outlet},
        "dag_run": SimpleNamespace(run_type="scheduled", triggering_user_name=None),
    }
    announced, held = announce(None, context, [work], airflow)  # type: ignore[arg-type]
    assert len(announced) == len(events)
    return events, held


def event(work: DueWork, age: timedelta, *, tries: int = 1) -> LastEvent:
    return LastEvent(at=utc_now() - age, extra={"work": work.key, "tries": tries}, has_run=True)


@pytest.mark.parametrize("work", [LOOK, ROLLOUT])
def test_work_is_announced_by_an_event_of_its_model(work: DueWork) -> None:
    ((asset, extra),), held = sent(work, FakeAirflow())
    assert asset == due_asset("churn", work.kind)
    assert (asset.uri, extra["work"], extra["tries"]) == (f"x-windsock://churn/due_{work.kind}", work.key, 1)
    assert held == ()


@pytest.mark.parametrize("state", [None, DagState(is_paused=True, next_run=None)])
def test_a_dag_that_is_off_or_missing_is_told_and_gets_no_event(state: DagState | None) -> None:
    events, held = sent(LOOK, FakeAirflow(state=state))
    assert events == []
    assert len(held) == 1
    assert "churn__monitor" in held[0]


@pytest.mark.parametrize(
    ("work", "busy"),
    [(LOOK, {"open": 1}), (LOOK, {"queued": 1}), (ROLLOUT, {"queued": 1}), (ROLLOUT, {"busy": 1})],
)
def test_work_that_somebody_is_at_is_not_announced(work: DueWork, busy: dict[str, int]) -> None:
    assert sent(work, FakeAirflow(**busy)) == ([], ())


def test_a_run_that_only_waits_for_a_person_holds_no_analysis_up() -> None:
    assert len(sent(ROLLOUT, FakeAirflow(open=3))[0]) == 1


def test_work_is_announced_again_where_its_run_died_and_ever_less_often() -> None:
    for tries, wait in ((1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (9, 60)):
        young = event(LOOK, timedelta(minutes=wait - 1), tries=tries)
        old = event(LOOK, timedelta(minutes=wait + 1), tries=tries)
        assert sent(LOOK, FakeAirflow(event=young)) == ([], ())
        ((_, extra),), _ = sent(LOOK, FakeAirflow(event=old))
        assert extra["tries"] == tries + 1


def test_other_work_is_announced_at_once() -> None:
    before = event(LOOK, timedelta(seconds=20))
    ((_, extra),), _ = sent(LOOK.replace(key="windows 2"), FakeAirflow(event=before))
    assert extra["tries"] == 1


def test_short_checks_are_announced_again_as_soon_as_they_ask() -> None:
    short = ROLLOUT.replace(patience=20)
    assert sent(short, FakeAirflow(event=event(short, timedelta(seconds=10)))) == ([], ())
    assert len(sent(short, FakeAirflow(event=event(short, timedelta(seconds=21))))[0]) == 1


def test_an_event_of_a_clock_that_is_ahead_holds_nothing_up() -> None:
    assert len(sent(LOOK, FakeAirflow(event=event(LOOK, -timedelta(days=1))))[0]) == 1


def test_what_airflow_does_not_say_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from windsock.exceptions import SchedulerUnavailableError

    airflow = FakeAirflow()

    def unsaid(dag_id: str) -> Any:
        raise SchedulerUnavailableError("no")

    monkeypatch.setattr(airflow, "dag", unsaid)
    events, held = sent(LOOK, airflow)
    assert events == []
    assert "WS-WATCH-002" in held[0]


def test_each_kind_of_work_names_tasks_that_its_dag_has() -> None:
    from support.builders import make_spec
    from windsock.pipelines.ab_rollout import ab_rollout_dag
    from windsock.spec import SharedSpec

    dag = ab_rollout_dag(make_spec(rollout={"strategy": "canary"}), SharedSpec())
    worker = module.WORKERS["rollout"]
    assert dag.dag_id.endswith(worker.suffix)
    assert {*worker.tasks} == {*dag.task_ids} - {"approve_promotion"}
