from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from support.builders import NOON
from support.rollouts import shift_entry, under_way
from support.several import several_under_way
from support.world import MODEL, deploy, world_of
from windsock.deployment.roll_back import roll_back
from windsock.exceptions import DatabaseUnavailableError
from windsock.hooks.windsock import WindsockHook
from windsock.ports import utc_now
from windsock.records import RollBackInput
from windsock.triggers.rollout import LookTrigger, RolloutTrigger, end_in

LONG_AGO = NOON - timedelta(days=1000)


@pytest.fixture
def world():
    ports = world_of(1)
    deploy(ports, 2)
    return under_way(ports)


def stop(ports, outcome="kept"):
    roll_back(RollBackInput(model=MODEL, experiment="v2-e4", outcome=outcome), ports, "")


async def first(trigger):
    return (await anext(trigger.run())).payload


def test_it_can_be_handed_to_a_triggerer():
    trigger = RolloutTrigger(
        "churn", version="4", since=NOON.isoformat(), windsock_conn_id="other", poll_seconds=1.5
    )
    place, kwargs = trigger.serialize()
    assert place == "windsock.triggers.rollout.RolloutTrigger"
    assert RolloutTrigger(**kwargs).serialize() == (place, kwargs)


def look_of(seconds, rows, monkeypatch, experiment="v2-e4"):
    """Return what a trigger says of a look that is due in so many seconds."""
    answers = list(rows)

    def answer():
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    due = (utc_now() + timedelta(seconds=seconds)).isoformat()
    trigger = LookTrigger("churn", experiment=experiment, due=due, poll_seconds=0.01)
    monkeypatch.setattr(trigger, "_rows", answer)
    return asyncio.run(first(trigger))


def test_a_look_ends_with_its_rollout_long_before_it_is_due(world, monkeypatch):
    running = world.ledger.rows(MODEL)
    stop(world)
    away = DatabaseUnavailableError("away")
    assert look_of(3600, [running, away, running, world.ledger.rows(MODEL)], monkeypatch) == {"over": True}


@pytest.mark.parametrize("seconds", [-5, 0.05])
def test_a_look_that_is_due_is_taken(world, monkeypatch, seconds):
    assert look_of(seconds, [world.ledger.rows(MODEL)], monkeypatch) == {"over": False}


def test_a_look_can_be_handed_to_a_triggerer():
    trigger = LookTrigger("churn", experiment="v2-e4", due=NOON.isoformat(), poll_seconds=1.5)
    place, kwargs = trigger.serialize()
    assert place == "windsock.triggers.rollout.LookTrigger"
    assert LookTrigger(**kwargs).serialize() == (place, kwargs)


def test_it_waits_through_a_database_that_is_away(world, monkeypatch):
    running = world.ledger.rows(MODEL)
    stop(world)
    answers = [running, DatabaseUnavailableError("away"), running, world.ledger.rows(MODEL)]

    def rows():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    trigger = RolloutTrigger("churn", version="2", poll_seconds=0)
    monkeypatch.setattr(trigger, "_rows", rows)
    event = asyncio.run(first(trigger))
    assert (event["model"], event["end"]["experiment"], event["end"]["outcome"]) == (
        "churn",
        "v2-e4",
        "kept",
    )
    assert answers == []


def test_it_reads_the_ledger_behind_its_connection(world, monkeypatch):
    stop(world)
    monkeypatch.setattr(WindsockHook, "ports", lambda self: world)
    event = asyncio.run(first(RolloutTrigger("churn", since=LONG_AGO.isoformat(), poll_seconds=0)))
    assert event["end"]["version"] == "2"


def test_another_fault_is_not_waited_out(monkeypatch):
    trigger = RolloutTrigger("churn", poll_seconds=0)

    def broken():
        raise ValueError("a bug")

    monkeypatch.setattr(trigger, "_rows", broken)
    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(first(trigger))


def test_which_end_is_meant(world):
    assert end_in(world.ledger.rows(MODEL), "2", LONG_AGO) is None
    assert end_in(world.ledger.rows(MODEL), None, LONG_AGO) is None
    stop(world)
    rows = world.ledger.rows(MODEL)
    assert end_in(rows, "2", NOON + timedelta(days=1000)).experiment == "v2-e4"
    assert end_in(rows, "3", LONG_AGO) is None
    assert end_in(rows, None, LONG_AGO).experiment == "v2-e4"
    assert end_in(rows, None, rows[-1].at) is None


def test_an_earlier_end_does_not_stand_for_the_rollout_that_runs_again(world):
    stop(world)
    again = shift_entry(experiment="v2-e6")
    plan = {**again.body["plan"], "experiment": "v2-e6"}
    again = again.model_copy(update={"epoch": 6, "body": {**again.body, "plan": plan}})
    world.ledger.append(again, after_seq=len(world.ledger.rows(MODEL)))
    assert end_in(world.ledger.rows(MODEL), "2", LONG_AGO) is None


def test_of_several_any_version_names_its_rollout():
    ports = several_under_way(world_of(3))
    for version in ("4", "5", "6"):
        assert end_in(ports.ledger.rows(MODEL), version, LONG_AGO) is None
    roll_back(RollBackInput(model=MODEL, experiment="v4-e9", outcome="kept"), ports, "")
    ends = [end_in(ports.ledger.rows(MODEL), version, LONG_AGO) for version in ("4", "5", "6")]
    assert [end.experiment for end in ends] == ["v4-e9"] * 3
    assert end_in(ports.ledger.rows(MODEL), "7", LONG_AGO) is None
