from __future__ import annotations

import math

import numpy as np
import pytest

from windsock.statistics.resampling import resampled, resampled_difference
from windsock.statistics.units import Units


def mean_of(values: np.ndarray):
    return lambda weights: float(values.mean() if weights is None else weights @ values / weights.sum())


@pytest.mark.parametrize("rows", [400, 2000])
def test_the_interval_of_a_mean_is_that_of_normal_theory(rows: int) -> None:
    values = np.random.default_rng(4).normal(5.0, 2.0, rows)
    found = resampled(mean_of(values), Units(rows=rows))
    half = 1.96 * values.std() / math.sqrt(rows)
    assert found.interval.low == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert found.interval.high == pytest.approx(values.mean() + half, abs=0.2 * half)
    assert (found.n, found.unit) == (rows, "rows")


def test_entities_are_drawn_whole() -> None:
    values = np.random.default_rng(5).normal(size=50)
    codes = np.repeat(np.arange(50), 8)
    alone = resampled(mean_of(values), Units(rows=50))
    whole = resampled(mean_of(np.repeat(values, 8)), Units(rows=400, codes=codes))
    assert whole.interval.low == pytest.approx(alone.interval.low)
    assert whole.interval.high == pytest.approx(alone.interval.high)
    assert (whole.n, whole.unit) == (50, "entities")


def test_no_width_is_no_interval() -> None:
    same = mean_of(np.random.default_rng(6).normal(size=50))
    found = resampled_difference(same, same, Units(rows=50), 1.0)
    assert found.interval is None
    assert "the same value" in found.reason


def test_undefined_resamples_are_no_interval() -> None:
    found = resampled(lambda weights: math.nan, Units(rows=50))
    assert found.interval is None
    assert resampled(mean_of(np.ones(19)), Units(rows=19)).reason == "19 rows, at least 20 needed"
