from __future__ import annotations

import pytest

from support.builders import make_spec
from support.context import make_context
from support.monitoring_records import WINDOW, make_drift, make_performance
from windsock import records as r
from windsock.exceptions import MonitoringError
from windsock.operators.unjudged import UnjudgedWindowsOperator


def ended(left):
    """Return the task after its end, given what the tasks before left by task and map index."""
    task = UnjudgedWindowsOperator(task_id="unjudged_windows", spec=make_spec())
    context = make_context(task)
    context["ti"].xcom_pull = lambda *, task_ids, key, map_indexes=-1: left.get((task_ids, map_indexes))
    with pytest.raises(MonitoringError):
        task.execute(context)
    return task


def test_the_log_names_the_windows_without_a_verdict(ports):
    broken = make_drift(status=r.Status.ERROR, reason="spend cannot be counted")
    task = ended(
        {
            ("wait_for_window", -1): [WINDOW.model_dump(mode="json")] * 2,
            ("check_drift", 0): broken.model_dump(mode="json"),
            ("check_drift", 1): make_drift().model_dump(mode="json"),
            ("check_performance", 0): make_performance().model_dump(mode="json"),
        }
    )
    end = WINDOW.model_dump(mode="json")["end"]
    assert task.verdict.word == "ERROR"
    assert task.verdict.why == (
        "WS-MONITORING-001: 1 verdict is missing: "
        f"check_drift of the window to {end}: spend cannot be counted"
    )


def test_a_task_that_left_nothing_is_not_blamed_on_a_window(ports):
    task = ended({})
    assert "no window is known by it to lack a verdict" in task.verdict.why
    assert "red tasks" in task.verdict.next_action
