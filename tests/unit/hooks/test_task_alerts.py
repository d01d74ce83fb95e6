"""A task that failed for good: kept and told once, over once the same task has worked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from support.fake_monitor import FakeMonitor
from windsock.exceptions import ApprovalRefusedError, DatabaseUnavailableError, DataRefusedError
from windsock.hooks import task_alerts
from windsock.hooks.task_alerts import refused_answer, task_failed, task_worked
from windsock.monitoring.alerts import Recipient
from windsock.ports import utc_now
from windsock.records import Severity
from windsock.spec import SharedSpec

TO, SHARED = Recipient("churn", "ds@company.com"), SharedSpec()
LATE = DataRefusedError(
    "source file 'today.csv' is not there", code="WS-DATA-010", next_action="Put it there."
)


@pytest.fixture
def monitor(monkeypatch) -> FakeMonitor:
    kept = FakeMonitor()
    ports = SimpleNamespace(monitor=kept, now=utc_now)
    monkeypatch.setattr(task_alerts, "_ports", lambda context: ports)
    monkeypatch.setattr("windsock.hooks.alerts.default_channel", lambda: None)
    return kept


def context(
    error: BaseException | None = None, dag: str = "daily_retrain", task: str = "take_snapshot"
) -> Any:
    ti = SimpleNamespace(
        dag_id=f"churn__{dag}",
        task_id=task,
        run_id="scheduled__1",
        try_number=3,
        log_url="http://127.0.0.1/log",
        task=None,
    )
    return {"ti": ti, "exception": error}


def firing(monitor: FakeMonitor) -> list[str]:
    return [one.key for one in monitor.alerts("churn", firing=True)]


class TestFailed:
    def test_it_is_kept_with_code_and_next_of_the_error(self, monitor):
        task_failed(TO, SHARED)(context(LATE))
        (alert,) = monitor.alerts("churn")
        assert (alert.key, alert.code) == ("task:churn__daily_retrain.take_snapshot", "WS-DATA-010")
        assert (alert.severity, alert.times, alert.pending) == (Severity.MEDIUM, 1, False)
        assert "'today.csv' is not there" in alert.text
        assert alert.next_action == (
            "Put it there; then clear take_snapshot of run scheduled__1 of churn__daily_retrain in Airflow, "
            "with what follows it: this ends once it has worked."
        )

    def test_next_that_says_to_clear_the_task_says_it_once(self, monitor):
        error = DataRefusedError("late", next_action="See why, then clear this task.")
        task_failed(TO, SHARED)(context(error))
        assert monitor.alerts("churn")[0].next_action == "See why, then clear this task."

    def test_once_more_is_not_told_again(self, monitor):
        for _ in range(3):
            task_failed(TO, SHARED)(context(LATE))
        assert [one.times for one in monitor.alerts("churn")] == [1]

    @pytest.mark.parametrize("dag", ["drift_retrain", "monitor", "ab_rollout"])
    def test_what_is_not_on_schedule_is_high(self, monitor, dag):
        task_failed(TO, SHARED)(context(LATE, dag=dag))
        assert monitor.alerts("churn")[0].severity is Severity.HIGH

    def test_of_a_foreign_error_only_its_kind(self, monitor):
        task_failed(TO, SHARED)(context(ValueError("row 7: secret@company.com")))
        (alert,) = monitor.alerts("churn")
        assert alert.code == "WS-WATCH-035"
        assert "ValueError" in alert.text
        assert "row 7" not in repr(alert)

    @pytest.mark.parametrize(
        "given",
        [
            context(ApprovalRefusedError("no", code="WS-APPROVAL-001"), task="approve_model"),
            context(LATE, dag="rollback", task="roll_back"),
        ],
        ids=["a person's no", "a roll back by hand"],
    )
    def test_what_a_person_did_is_told_and_not_kept(self, monitor, given, caplog):
        task_failed(TO, SHARED)(given)
        assert monitor.alerts("churn") == ()
        assert "has failed" in caplog.text

    def test_a_question_that_nobody_answered_is_kept(self, monitor):
        error = ApprovalRefusedError("nobody answered", code="WS-APPROVAL-003")
        task_failed(TO, SHARED)(context(error, task="approve_model"))
        assert firing(monitor) == ["task:churn__daily_retrain.approve_model"]

    def test_where_nothing_can_be_kept_it_is_told(self, monitor, monkeypatch, caplog):
        def away(*_: Any, **__: Any) -> Any:
            raise DatabaseUnavailableError("away")

        monkeypatch.setattr(monitor, "put_alert", away)
        task_failed(TO, SHARED)(context(LATE))
        assert "take_snapshot has failed" in caplog.text
        assert "today.csv" in caplog.text


class TestWorked:
    def test_the_same_task_ends_it_and_that_is_told_once(self, monitor):
        task_failed(TO, SHARED)(context(LATE))
        for _ in range(2):
            task_worked(TO, SHARED)(context())
        (alert,) = monitor.alerts("churn")
        assert (alert.state, alert.times, alert.pending) == ("resolved", 2, False)

    def test_so_does_that_task_of_the_other_retrain(self, monitor):
        task_failed(TO, SHARED)(context(LATE, dag="drift_retrain"))
        task_worked(TO, SHARED)(context(dag="daily_retrain"))
        assert firing(monitor) == []

    @pytest.mark.parametrize("other", [{"task": "train_model"}, {"dag": "monitor"}])
    def test_another_task_does_not(self, monitor, other):
        task_failed(TO, SHARED)(context(LATE))
        task_worked(TO, SHARED)(context(**other))
        assert firing(monitor) == ["task:churn__daily_retrain.take_snapshot"]

    def test_nothing_is_ever_raised(self, monkeypatch, caplog):
        monkeypatch.setattr(task_alerts, "_ports", lambda context: None)
        task_worked(TO, SHARED)(context())
        assert "WS-ALERTS-002" in caplog.text


class Instances:
    """A mapped task in Airflow: runs with the states of their instances, as the API tells them.

    :param states: of the instances, by run.
    """

    def __init__(self, **states: list[str | None]) -> None:
        self.states = states

    def get_task_states(self, *, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
        (task,), (run,) = task_ids, run_ids
        return {run: {f"{task}_{index}": state for index, state in enumerate(self.states[run])}}

    def context(self, run: str, index: int, error: BaseException | None = None) -> Any:
        given = context(error, dag="monitor", task="check_drift")
        given["ti"].run_id, given["ti"].map_index = run, index
        given["ti"].get_task_states = self.get_task_states
        return given


class TestMappedTask:
    KEY = "task:churn__monitor.check_drift"

    def fail(self, on: Instances) -> None:
        task_failed(TO, SHARED)(on.context("a", 1, LATE))

    @pytest.mark.parametrize(
        "state", ["failed", "upstream_failed", "up_for_retry", "running", "queued", None]
    )
    def test_a_sibling_that_works_does_not_end_it(self, monitor, state):
        on = Instances(a=["success", state, "success"])
        self.fail(on)
        for index in (0, 2):
            task_worked(TO, SHARED)(on.context("a", index))
        assert firing(monitor) == [self.KEY]

    def test_nor_does_one_of_a_later_run_in_which_another_failed(self, monitor):
        on = Instances(a=["success", "failed"], b=["failed", "success"])
        self.fail(on)
        task_worked(TO, SHARED)(on.context("b", 1))
        assert firing(monitor) == [self.KEY]

    @pytest.mark.parametrize("own", ["success", "running"])
    @pytest.mark.parametrize(
        ("run", "others"), [("a", ["success"]), ("b", ["success", "skipped", "removed"])]
    )
    def test_once_all_of_a_run_worked_it_ends(self, monitor, run, others, own):
        on = Instances(**{"a": ["success", "failed"], run: [others[0], own, *others[1:]]})
        self.fail(on)
        task_worked(TO, SHARED)(on.context(run, 1))
        assert firing(monitor) == []

    def test_where_airflow_knows_nothing_of_the_run_it_stands(self, monitor):
        on = Instances(a=["success", "failed"], b=[])
        self.fail(on)
        task_worked(TO, SHARED)(on.context("b", 0))
        assert firing(monitor) == [self.KEY]

    def test_where_airflow_does_not_say_it_stands(self, monitor, caplog):
        on = Instances(a=["success", "failed"])
        self.fail(on)
        task_worked(TO, SHARED)(on.context("b", 0))
        assert firing(monitor) == [self.KEY]
        assert "WS-ALERTS-002" in caplog.text

    def test_it_says_which_instance(self, monitor):
        self.fail(Instances(a=["success", "failed"]))
        assert "Run a, map index 1, try 3" in monitor.alerts("churn")[0].text


class TestRefusedAnswer:
    LAST = {"who": "admin", "code": "WS-APPROVAL-004", "why": "admin triggered the run", "number": 1}

    def refuse(self, monitor: FakeMonitor) -> None:
        said = refused_answer(
            context(task="approve_model"), "churn", "7", self.LAST, "let reviewer answer at X"
        )
        task_alerts.tell_findings(TO, SHARED, monitor, [said], utc_now())

    def test_it_says_who_why_and_where_to_answer(self, monitor):
        self.refuse(monitor)
        (alert,) = monitor.alerts("churn")
        assert (alert.code, alert.next_action) == ("WS-APPROVAL-004", "let reviewer answer at X")
        assert alert.text == "The answer of admin was refused: admin triggered the run."

    @pytest.mark.parametrize("end", ["answered", "time over"])
    def test_it_ends_with_the_question(self, monitor, end):
        self.refuse(monitor)
        error = ApprovalRefusedError("nobody answered", code="WS-APPROVAL-003")
        callback, given = {
            "answered": (task_worked, context(task="approve_model")),
            "time over": (task_failed, context(error, task="approve_model")),
        }[end]
        callback(TO, SHARED)(given)
        assert "question:churn__daily_retrain.approve_model" not in firing(monitor)
