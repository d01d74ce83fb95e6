from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from windsock.watchdog.turns import is_turn_of_large, turns

NOW = datetime(2026, 3, 2, 12, 1, tzinfo=UTC)
NAMES = [f"model_{number}" for number in range(100)]


def looks(count):
    return [NOW + number * timedelta(minutes=2) for number in range(count)]


def test_of_many_models_each_has_its_turn_within_ten_minutes():
    seen = []
    for now in looks(5):
        in_turn = turns(len(NAMES), now)
        seen.append([name for name in NAMES if in_turn(name)])
    assert sorted(name for one in seen for name in one) == sorted(NAMES)
    assert max(map(len, seen)) < 40
    assert turns(3, NOW)("any")


@pytest.mark.parametrize("models", [3, 20, 21, 100])
def test_a_large_bundle_is_read_at_one_look_of_an_hour_however_many_models_there_are(models):
    read = [
        name
        for now in looks(30)
        for name in NAMES
        if turns(models, now)(name) and is_turn_of_large(name, now)
    ]
    assert sorted(read) == sorted(NAMES)
