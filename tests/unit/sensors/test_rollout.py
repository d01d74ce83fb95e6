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
from windsock.sensors import near, rollout
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


def test_a_look_whose_rollout_ends_meanwhile_is_not_waited_for():
    task = sensor(NOON + HOUR / 2)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context_of(task))
    assert (deferred.value.trigger.model, deferred.value.trigger.experiment) == ("churn", "v2-e4")
    assert task.looked({}, {"over": True}) == "v2-e4"
    assert task.verdict.word == "UNCHANGED"
    assert "has ended meanwhile" in task.verdict.why


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


def looks_at(due, now, monkeypatch, run_type="scheduled"):
    """Return when a run of the rollout DAG that starts now looks; ``None``: it leaves that to a later one."""
    slept: list[float] = []
    monkeypatch.setattr(rollout, "utc_now", lambda: now)
    monkeypatch.setattr(near.time, "sleep", slept.append)
    with DAG("rollout", schedule=None):
        task = sensor(due, nearest=True)
        task >> BaseOperator(task_id="after")
    try:
        assert task.execute(context_of(task, run_type)) == "v2-e4"
    except TaskDeferred as deferred:
        return deferred.trigger.moment
    except DownstreamTasksSkipped as skipped:
        return None if (skipped.tasks, task.verdict.word) == (["after"], "UNCHANGED") else now
    return now + timedelta(seconds=sum(slept))


@pytest.mark.parametrize(
    ("due", "looked"),
    [
        (-HOUR, timedelta(0)),
        (timedelta(0), timedelta(0)),
        (timedelta(seconds=5), timedelta(seconds=5)),
        (HOUR / 2, HOUR / 2),
        (HOUR / 2 + timedelta(seconds=1), None),
        (HOUR, None),
    ],
)
@pytest.mark.parametrize("run_type", ["scheduled", "asset_triggered"])
def test_the_run_nearest_to_the_look_takes_it(due, looked, run_type, monkeypatch):
    found = looks_at(NOON + due, NOON, monkeypatch, run_type)
    assert found == (None if looked is None else NOON + looked)


def test_a_run_by_hand_looks_at_once_also_where_the_nearest_one_waits(monkeypatch):
    assert looks_at(NOON + HOUR, NOON, monkeypatch, "manual") == NOON


@given(
    begun=st.integers(0, 3599),
    delays=st.lists(st.integers(0, 900), min_size=12, max_size=12),
    judging=st.integers(1, 300),
)
def test_looks_stay_regular_and_one_run_at_most_waits(begun, delays, judging):
    """Ticks each hour, runs up to a quarter of it late, seconds from a look's turn to its decision."""
    under_way = make_rollout(step_since=NOON + timedelta(seconds=begun))
    waited, looks = [], []
    with pytest.MonkeyPatch.context() as patched:
        for place, delay in enumerate(delays):
            now = NOON + HOUR * (place + 1) + timedelta(seconds=delay)
            turn = looks_at(look_due(under_way, looks[-1] if looks else None), now, patched)
            if turn is not None:
                waited.append((now, turn))
                looks.append(make_look(len(looks) + 1, judged_at=turn + timedelta(seconds=judging)))
    times = [under_way.step_since, *(look.judged_at for look in looks)]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert min(gaps) >= HOUR
    assert max(gaps) <= HOUR * 1.75 + timedelta(seconds=judging)
    assert all(turn <= start for (_, turn), (start, _) in pairwise(waited))


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


@pytest.mark.parametrize(
    ("outcome", "how", "version"),
    [("promoted", "promoted version 5 of 4, 5 and 6; ", "5"), ("kept", "kept; ", "4,5,6")],
)
def test_the_end_of_several_names_them(outcome, how, version):
    task = RolloutSensor(task_id="end", spec=ab_spec(), mode="end")
    end = {
        "experiment": "v4-e9",
        "version": "5" if outcome == "promoted" else "4",
        "tried": ["4", "5", "6"],
        "outcome": outcome,
        "epoch": 10,
        "started_at": "2026-05-01T12:00:00Z",
        "ended_at": "2026-05-02T12:00:00Z",
        "reason": "so it was",
    }
    assert task.ended({}, {"model": "churn", "end": end}) == end
    assert task.verdict.why == f"rollout v4-e9 has ended: {how}so it was"
    assert task.verdict.ids["version"] == version
