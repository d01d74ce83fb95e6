from __future__ import annotations

from datetime import timedelta

import pytest

from support.builders import NOON
from windsock.sensors import near
from windsock.sensors.near import SHORTEST_DEFERRAL, wait_if_near


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    """The seconds that were waited in this process."""
    found: list[float] = []
    monkeypatch.setattr(near.time, "sleep", found.append)
    return found


@pytest.mark.parametrize(("seconds", "waited"), [(-60, 0.0), (0, 0.0), (0.5, 0.5), (5, 5.0), (15, 15.0)])
def test_what_is_near_is_waited_for_here(slept, seconds, waited):
    assert wait_if_near(NOON + timedelta(seconds=seconds), NOON)
    assert slept == [waited]


@pytest.mark.parametrize("more", [timedelta(microseconds=1), timedelta(hours=1)])
def test_what_is_further_away_is_left_to_the_triggerer(slept, more):
    assert not wait_if_near(NOON + SHORTEST_DEFERRAL + more, NOON)
    assert slept == []
