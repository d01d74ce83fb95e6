"""Restarts, doubled events, clocks that jump and days of 23 and 25 hours in the middle of an episode.

Real judging, decisions, claims and fits over a real control database: one retrain for each episode, and the
same end as a quiet life has.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.backtest import CHANGED
from support.ledgers import new_control_database
from support.loop_life import DAY, LATE, Life, first_ports
from windsock.ports import Ports
from windsock.records import EpisodeState

HOUR = timedelta(hours=1)
pytest_plugins = ["support.databases"]
BAD = 6
"""The first day that is bad: it is judged at its end, as all are."""


@pytest.fixture(scope="module")
def first() -> Ports:
    return first_ports(timedelta())


@pytest.fixture(scope="module")
def quiet(first: Ports, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What becomes of a life in which nothing happens."""
    life = Life(new_control_database(tmp_path_factory.mktemp("quiet")), first)
    for _ in life.days():
        life.run()
    life.require_one_retrain_for_each()
    end = life.end()
    assert all(state is EpisodeState.CLOSED for *_, state, _ in end["episodes"])
    return end


@pytest.fixture
def life(first: Ports, database_url: str) -> Life:
    return Life(database_url, first)


def test_a_life_that_is_killed_wherever_it_is(life: Life, quiet: dict[str, Any]) -> None:
    retrains = 0
    for number in life.days():
        windows = life.waiting()
        if number >= BAD:  # killed between the two checks of the window, and before the decision
            life.ports.monitor.windows("churn")
            for window in windows:
                life.judge(window)
                life.restart()
                life.judge(window)
            life.restart()
            assert len(life.waiting()) <= len(windows)
        for window in windows if number < BAD else ():
            life.judge(window)
        key = life.decide()
        if key is None:
            continue
        life.restart()  # before the event was sent: the next decision announces the episode again
        assert life.decide() == key
        retrains += 1
        first = life.claim(key, f"run{retrains}")
        life.restart()  # after the claim: the task is tried again, and is still the one that has it
        again = life.claim(key, f"run{retrains}")
        assert (again.granted, again.episode, again.recent) == (True, first.episode, first.recent)
        trial = life.fit(again)
        life.restart()  # after the promotion, before the claim was given back
        assert life.decide() is None
        assert not life.claim(key, "another").granted
        life.close(again, f"run{retrains}", trial)
        life.close(again, f"run{retrains}", trial)
    life.require_one_retrain_for_each()
    assert life.end() == quiet


def test_a_life_whose_events_and_verdicts_come_several_times(life: Life, quiet: dict[str, Any]) -> None:
    life.delivered = 3
    for _ in life.days():
        windows = life.waiting()
        life.run()
        for window in windows:  # a cleared run: it judges what was judged, with what serves by now
            check = life.ports.monitor.windows("churn", "drift")
            life.judge(window)
            assert life.ports.monitor.windows("churn", "drift") == check
        assert life.decide() is None
        for key in dict.fromkeys(life.keys):  # events of all days before come once more
            assert not life.claim(key, f"late{len(life.claims)}").granted
    life.require_one_retrain_for_each()
    assert life.end()["episodes"] == quiet["episodes"]
    assert life.end()["served"] == quiet["served"]


@pytest.mark.parametrize("wrong", [-5 * HOUR, 5 * HOUR, 3 * DAY + 5 * LATE, -3 * DAY])
def test_a_life_whose_clock_is_wrong_for_a_while(life: Life, quiet: dict[str, Any], wrong: timedelta) -> None:
    for number in life.days():
        if number in (BAD, BAD + 1):  # right before the run in which the episode opens, and the one before
            life.world.clock.time += wrong
            for window in life.waiting():
                life.judge(window)
            life.world.clock.time = life.start + number * DAY + LATE
        life.run()
    life.require_one_retrain_for_each()
    assert life.end() == quiet


@pytest.mark.parametrize("wrong", [-5 * HOUR, 5 * HOUR])
def test_a_retrain_whose_clock_is_wrong_when_it_claims_and_when_it_ends(
    life: Life, quiet: dict[str, Any], wrong: timedelta
) -> None:
    for number in life.days():
        for window in life.waiting():
            life.judge(window)
        if key := life.decide():
            life.world.clock.time += wrong
            claim = life.claim(key, f"run{number}")
            life.world.clock.time -= wrong
            trial = life.fit(claim)
            life.world.clock.time += wrong
            life.close(claim, f"run{number}", trial)
            life.world.clock.time -= wrong
            assert life.decide() is None
    life.require_one_retrain_for_each()
    assert life.end() == quiet


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("sunday", [datetime(2024, 3, 31, tzinfo=UTC), datetime(2024, 10, 27, tzinfo=UTC)])
@pytest.mark.usefixtures("berlin")
def test_a_life_where_a_day_has_23_or_25_hours(
    tmp_path: Path, quiet: dict[str, Any], sunday: datetime
) -> None:
    """The world changes on the day before: the episode opens while the clocks are changed."""
    moved = sunday - DAY - CHANGED
    life = Life(new_control_database(tmp_path), first_ports(moved), moved)
    for _ in life.days():
        life.run()
    life.require_one_retrain_for_each()
    assert life.end() == quiet
