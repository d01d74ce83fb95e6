from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import DownstreamTasksSkipped, TaskDeferred
from hypothesis import given
from hypothesis import strategies as st

from support.builders import NOON
from support.context import make_context
from support.rollouts import ab_spec, make_look, make_rollout
from windsock import records as r
from windsock.rollout.look_due import look_due
from windsock.sensors import rollout
from windsock.sensors.rollout import RolloutSensor

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(rollout, "utc_now", lambda: NOON)


def sensor(due=NOON + HOUR / 2, **fields):
    state = r.RolloutState(model="churn", rollout=make_rollout(), look_due=due)
    return RolloutSensor(
        task_id="wait_for_look", spec=ab_spec(), state=state.model_dump(mode="json"), **fields
    )


def context_of(task, run_type="scheduled", **params):
    context = make_context(task, **params)
    context["dag_run"].run_type = run_type
    return context


@pytest.mark.parametrize("run_type", ["scheduled", "asset_triggered"])
@pytest.mark.parametrize(("due", "until"), [(HOUR / 2, HOUR / 2), (HOUR * 9, HOUR)])
def test_it_waits_until_the_look_is_due_and_a_check_at_most(due, until, run_type):
    task = sensor(NOON + due)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context_of(task, run_type))
    assert deferred.value.trigger.moment == NOON + until
    assert deferred.value.method_name == "looked"
    assert task.looked({}) == "v2-e4"
    assert task.verdict.word == "PASS"


@pytest.mark.parametrize("due", [NOON, NOON - HOUR, None])
def test_a_look_that_is_due_is_not_waited_for(due):
    task = sensor(due)
    assert task.execute(context_of(task)) == "v2-e4"


def test_a_dry_run_does_not_wait():
    task = sensor()
    assert task.execute(context_of(task, dry_run=True)) == "v2-e4"


def test_a_run_by_hand_does_not_wait():
    from airflow.sdk.api.datamodels._generated import DagRunType

    task = sensor()
    assert task.execute(context_of(task, DagRunType.MANUAL)) == "v2-e4"


def test_nothing_under_way_is_not_waited_for():
    task = RolloutSensor(task_id="wait", spec=ab_spec(), state={"model": "churn"})
    assert task.execute(context_of(task)) is None
    assert task.verdict.why == "no rollout is under way"


def takes(due, now, monkeypatch, run_type="scheduled"):
    """Return whether a run of the rollout DAG takes the look now; it never waits."""
    monkeypatch.setattr(rollout, "utc_now", lambda: now)
    with DAG("rollout", schedule=None):
        task = sensor(due, wait=False)
        task >> BaseOperator(task_id="after")
    context = context_of(task, run_type)
    try:
        return task.execute(context) == "v2-e4"
    except DownstreamTasksSkipped as skipped:
        return skipped.tasks != ["after"] or task.verdict.word != "UNCHANGED"


@pytest.mark.parametrize(
    ("due", "taken"),
    [
        (-HOUR, True),
        (timedelta(0), True),
        (timedelta(seconds=5), True),
        (HOUR / 2, True),
        (HOUR / 2 + timedelta(seconds=1), False),
        (HOUR, False),
    ],
)
@pytest.mark.parametrize("run_type", ["scheduled", "asset_triggered"])
def test_without_waiting_the_nearest_run_takes_the_look(due, taken, run_type, monkeypatch):
    assert takes(NOON + due, NOON, monkeypatch, run_type) is taken


def test_without_waiting_a_run_by_hand_looks_at_once(monkeypatch):
    assert takes(NOON + HOUR, NOON, monkeypatch, "manual") is True


@given(
    begun=st.integers(0, 3599),
    delays=st.lists(st.integers(0, 900), min_size=12, max_size=12),
    by_hand_at=st.none() | st.integers(0, 3 * 3600),
)
def test_looks_stay_regular_whenever_it_began_and_however_late_runs_are(begun, delays, by_hand_at):
    """Ticks each hour, runs up to a quarter late, a look by hand in between: no gap is beyond 1.75 checks."""
    under_way = make_rollout(step_since=NOON + timedelta(seconds=begun))
    runs = [(HOUR * (place + 1) + timedelta(seconds=delay), False) for place, delay in enumerate(delays)]
    if by_hand_at is not None:
        runs.append((timedelta(seconds=3600 + by_hand_at), True))
    looks = []
    with pytest.MonkeyPatch.context() as patched:
        for after, is_by_hand in sorted(runs):
            now = NOON + after
            due = look_due(under_way, looks)
            if is_by_hand or takes(due, now, patched):
                looks.append(make_look(len(looks) + 1, judged_at=now))
    times = [under_way.step_since, *(look.judged_at for look in looks)]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert max(gaps) <= HOUR * 1.75
    assert len(looks) >= len(delays) - 2
    if by_hand_at is None:
        assert min(gaps) >= HOUR / 2


@pytest.mark.parametrize("outcome", ["promoted", "kept", "rolled_back", "stopped", "broken_off"])
def test_every_end_is_an_answer(outcome):
    task = RolloutSensor(task_id="wait", spec=ab_spec(), mode="end", version="2", poll_seconds=2)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context_of(task))
    place, kwargs = deferred.value.trigger.serialize()
    assert place == "windsock.triggers.rollout.RolloutTrigger"
    assert kwargs == {
        "model": "churn",
        "version": "2",
        "since": NOON.isoformat(),
        "windsock_conn_id": "windsock_default",
        "poll_seconds": 2,
    }
    end = {
        "experiment": "v2-e4",
        "version": "2",
        "outcome": outcome,
        "epoch": 5,
        "started_at": "2026-05-01T12:00:00Z",
        "ended_at": "2026-05-02T12:00:00Z",
        "reason": "so it was",
    }
    assert task.ended({}, {"model": "churn", "end": end}) == end
    assert (task.verdict.word, outcome in task.verdict.why) == ("PASS", True)
