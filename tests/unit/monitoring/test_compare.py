from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ks_2samp

from windsock.monitoring.compare import count_window, ks_interval
from windsock.records import ColumnProfile, InputField, build_profile


def column_of(values: np.ndarray) -> ColumnProfile:
    return build_profile(pd.DataFrame({"x": values}), [InputField(name="x", kind="number")]).columns[0]


def numbers(elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, st.integers(1, 800), elements=elements)


continuous = numbers(st.floats(-1e6, 1e6))
tied = numbers(st.integers(0, 8).map(float))


@given(st.one_of(continuous, tied), st.one_of(continuous, tied))
@settings(max_examples=100, deadline=None)
def test_the_exact_distance_lies_in_the_interval(reference, window):
    column = column_of(reference)
    low, high = ks_interval(column, count_window(column, window))
    exact = ks_2samp(reference, window, method="asymp").statistic
    assert low - 1e-12 <= exact <= high + 1e-12


@pytest.mark.parametrize("kind", ["normal", "lognormal", "poisson"])
def test_the_interval_is_narrow_on_many_rows(kind):
    generator = np.random.default_rng(1)
    reference = getattr(generator, kind)(2.0, size=50_000).astype(float)
    window = getattr(generator, kind)(2.1, size=20_000).astype(float)
    column = column_of(reference)
    low, high = ks_interval(column, count_window(column, window))
    exact = ks_2samp(reference, window, method="asymp").statistic
    assert low <= exact <= high
    assert high - low < 0.01


@given(tied, tied, st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_counts_of_parts_add_up_to_those_of_the_whole(first, second, nulls):
    column = column_of(np.arange(9.0))
    holes = np.full(nulls, np.nan)
    parts = count_window(column, first) + count_window(column, np.r_[second, holes])
    assert parts == count_window(column, np.r_[first, second, holes])
    assert parts.nulls == nulls


def test_without_rows_nothing_is_known():
    column = column_of(np.arange(100.0))
    assert ks_interval(column, count_window(column, np.array([]))) == (0.0, 1.0)
    nothing = column_of(np.array([np.nan]))
    assert ks_interval(nothing, count_window(nothing, np.arange(5.0))) == (0.0, 1.0)


def test_the_same_rows_have_distance_zero():
    values = np.random.default_rng(2).integers(0, 5, 1000).astype(float)
    column = column_of(values)
    assert ks_interval(column, count_window(column, values))[0] == 0.0
