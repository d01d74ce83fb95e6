"""The simulation of ``make bench NAME=drift_alarms``, reduced."""

from __future__ import annotations

from statistics import median
from types import ModuleType

import pytest

from support.benchmark import benchmark

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return benchmark("drift_alarms")


@pytest.mark.parametrize("rows", [200, 1_000, 10_000])
def test_without_drift_nothing_is_announced(bench: ModuleType, rows: int) -> None:
    tallies = bench.quiet_days(rows, models=2, days=40)
    ours = tallies[bench.OURS]
    assert (ours.days, ours.episodes, ours.insufficient) == (80, 0, 0)
    assert ours.bad <= 6
    assert tallies["p < 0.05, any column"].bad >= 50  # the simulation does give chance its chances


def test_a_daily_wobble_stays_silent(bench: ModuleType) -> None:
    tallies = bench.quiet_days(100_000, models=1, days=30, wobble=bench.WOBBLE, seed=3)
    assert tallies[bench.OURS].bad == 0
    assert tallies["p < 0.05, any column"].bad == 30


@pytest.mark.parametrize(("rows", "days"), [(200, 40), (1_000, 18)])
def test_a_growing_shift_is_found(bench: ModuleType, rows: int, days: int) -> None:
    found = bench.delays(rows, runs=3, others_until=0)[bench.OURS]
    assert median(found) < days


def test_days_are_those_of_the_profile(bench: ModuleType) -> None:
    import numpy as np

    model = bench.Model(np.random.default_rng(4))
    day = model.day(5_000)
    for column in model.profile.columns:
        counts = day.columns[column.name]
        assert counts.total == 5_000
        shares = counts.rows / 5_000, column.rows / (column.rows + column.nulls)
        assert shares[0] == pytest.approx(shares[1], abs=0.03)
