from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk.exceptions import TaskDeferred

from support.builders import NOON, make_spec
from support.context import make_context
from support.fakes import fake_ports
from windsock.hooks.windsock import WindsockHook
from windsock.monitoring.backlog import Backlog
from windsock.records import Span
from windsock.sensors import drift
from windsock.sensors.drift import DriftSensor

MINUTES = {"window": "10m", "lateness": "1m"}


def sensor(**fields):
    return DriftSensor(task_id="wait", spec=make_spec(monitoring=MINUTES), **fields)


@pytest.fixture
def clock(monkeypatch):
    """The sensor's clock; a test moves it."""
    times = {"now": NOON}
    monkeypatch.setattr(drift, "utc_now", lambda: times["now"])
    ports = fake_ports(now=lambda: times["now"])
    monkeypatch.setattr(WindsockHook, "ports", lambda self: ports)
    return times


def context_of(task, run_after):
    context = make_context(task)
    context["dag_run"].run_after = run_after
    return context


def test_it_waits_for_the_lateness_of_the_window_that_ended(clock):
    task = sensor()
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context_of(task, NOON))
    assert deferred.value.trigger.moment == NOON + timedelta(minutes=1)
    assert deferred.value.method_name == "closed"


def test_a_window_that_is_closed_is_not_waited_for(clock):
    clock["now"] = NOON + timedelta(minutes=1)
    task = sensor()
    windows = task.execute(context_of(task, NOON))
    assert [window["end"] for window in windows] == ["2026-05-01T12:00:00Z"]
    assert task.verdict.word == "PASS"


def test_for_events_it_waits_for_a_drifted_window(clock):
    task = sensor(mode="event", poll_seconds=2)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context_of(task, NOON))
    place, kwargs = deferred.value.trigger.serialize()
    assert place == "windsock.triggers.drift.DriftTrigger"
    assert kwargs["model"] == "churn"
    assert kwargs["poll_seconds"] == 2
    window = {"start": "2026-05-01T11:50:00Z", "end": "2026-05-01T12:00:00Z"}
    assert task.drifted({}, {"model": "churn", "window": window, "severity": "high"}) == [window]
    assert "severity high" in task.verdict.why


def test_what_is_left_to_later_runs_is_pushed_and_said(clock, monkeypatch):
    ends = [NOON + timedelta(minutes=10 * number) for number in range(1, 3)]
    windows = tuple(Span(start=end - timedelta(minutes=10), end=end) for end in ends)
    backlog = Backlog(windows, waiting=1200, empty=4, skipped=("WS-MONITORING-118 a window skipped",))
    monkeypatch.setattr(drift, "take_backlog", lambda spec, ports: backlog)
    clock["now"] = windows[-1].end + timedelta(minutes=1)
    task = sensor()
    context = context_of(task, windows[-1].end)
    left = task.execute(context)
    assert [one["end"] for one in left] == ["2026-05-01T12:10:00Z", "2026-05-01T12:20:00Z"]
    assert context["ti"].pushed["waiting"] == 1200
    assert task.verdict.why == (
        "2 closed windows of 10m are to be judged; 4 more were empty; 1,200 later ones wait for the next "
        "runs; WS-MONITORING-118 a window skipped"
    )
