from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ks_2samp, wasserstein_distance

from windsock.records import ColumnKind, ColumnProfile, InputField
from windsock.statistics.counting import count_categories, count_numbers
from windsock.statistics.distances import (
    bin_categories,
    bin_named,
    bin_numbers,
    jensen_shannon,
    ks_by_chance,
    ks_interval,
    population_stability,
    wasserstein,
)
from windsock.statistics.profiling import build_profile
from windsock.statistics.ties import snap, snap_to


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
    low, high = ks_interval(column, count_numbers(column, window))
    sides = snap_to(column, snap(np.sort(reference))), snap_to(column, window)  # last digits are none
    exact = ks_2samp(*sides, method="asymp").statistic
    assert low - 1e-12 <= exact <= high + 1e-12


@pytest.mark.parametrize("kind", ["normal", "lognormal", "poisson"])
def test_the_interval_is_narrow_on_many_rows(kind):
    generator = np.random.default_rng(1)
    reference = getattr(generator, kind)(2.0, size=50_000).astype(float)
    window = getattr(generator, kind)(2.1, size=20_000).astype(float)
    column = column_of(reference)
    low, high = ks_interval(column, count_numbers(column, window))
    exact = ks_2samp(reference, window, method="asymp").statistic
    assert low <= exact <= high
    assert high - low < 0.01


@given(tied, tied, st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_counts_of_parts_add_up_to_those_of_the_whole(first, second, nulls):
    column = column_of(np.arange(9.0))
    holes = np.full(nulls, np.nan)
    parts = count_numbers(column, first) + count_numbers(column, np.r_[second, holes])
    whole = count_numbers(column, np.r_[first, second, holes])
    assert (parts.rows, parts.lowest, parts.highest) == (whole.rows, whole.lowest, whole.highest)
    assert np.array_equal(parts.below, whole.below)
    assert np.array_equal(parts.up_to, whole.up_to)
    assert parts.nulls == nulls


def test_without_rows_nothing_is_known():
    column = column_of(np.arange(100.0))
    assert ks_interval(column, count_numbers(column, np.array([]))) == (0.0, 1.0)
    nothing = column_of(np.array([np.nan]))
    assert ks_interval(nothing, count_numbers(nothing, np.arange(5.0))) == (0.0, 1.0)


def test_the_same_rows_have_distance_zero():
    values = np.random.default_rng(2).integers(0, 5, 1000).astype(float)
    column = column_of(values)
    assert ks_interval(column, count_numbers(column, values))[0] == 0.0


COUNTS = st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)), min_size=1, max_size=20)


@given(COUNTS)
def test_the_distance_is_that_of_scipy(pairs):
    from scipy.spatial.distance import jensenshannon

    then, now = zip(*pairs, strict=True)
    seen = jensen_shannon(then, now)
    if not sum(then) or not sum(now):
        assert seen is None
    else:
        assert seen == pytest.approx(float(np.nan_to_num(jensenshannon(then, now, base=2))), abs=1e-6)


@given(COUNTS)
def test_the_index_is_finite_and_zero_for_equal_shares(pairs):
    then, now = zip(*pairs, strict=True)
    seen = population_stability(then, now)
    assert (seen is None) == (not sum(then) or not sum(now))
    assert seen is None or (seen >= 0 and np.isfinite(seen))
    if sum(then):
        assert population_stability(then, then) == pytest.approx(0)


def test_the_index_is_that_of_the_books_on_many_rows():
    # 0.2 ln 2 + 0.1 ln 1.5 + ... computed by hand: sum of (b - a) ln(b / a)
    then, now = [200_000, 300_000, 500_000], [400_000, 200_000, 400_000]
    by_hand = 0.2 * np.log(2) + -0.1 * np.log(2 / 3) + -0.1 * np.log(0.8)
    assert population_stability(then, now) == pytest.approx(by_hand, rel=1e-4)


def test_equal_distributions_seldom_exceed_what_chance_gives():
    draw = np.random.default_rng(7)
    column = column_of(draw.normal(size=5_000))
    limit = ks_by_chance(5_000, 500, alpha=0.05)
    exceeded = sum(
        ks_interval(column, count_numbers(column, draw.normal(size=500)))[0] > limit for _ in range(400)
    )
    assert exceeded <= 36  # 5 % of 400 with four standard errors
    assert ks_by_chance(5_000, 500, comparisons=10) > limit


@given(numbers(st.floats(-1e3, 1e3) | st.integers(-3, 3).map(float)))
@settings(deadline=None)
def test_bins_hold_each_row_once(reference):
    column = column_of(reference)
    window = count_numbers(column, reference)
    then, now = bin_numbers(column, window)
    assert then == now
    assert sum(then) == len(reference)
    assert len(then) <= 11


def test_bins_are_tenths():
    column = column_of(np.random.default_rng(7).normal(size=10_000))
    then, _ = bin_numbers(column, count_numbers(column, np.array([])))
    assert len(then) == 11
    assert all(950 <= count <= 1_050 for count in then[:-1])


def test_categories_beyond_the_most_frequent_share_a_bin():
    names = {f"c{number}": 1_000 - number for number in range(30)}
    column = ColumnProfile(
        name="x", kind=ColumnKind.CATEGORY, rows=sum(names.values()) + 7, nulls=3, categories=names, other=7
    )
    then, now = bin_categories(column, {"c0": 5, "c29": 2, "new": 4}, nulls=1)
    assert (then[:2], then[-1], sum(then)) == ([1_000, 999], 3, column.rows + 3)
    assert (now[0], now[-2:], sum(now)) == (5, [6, 1], 12)
    assert len(then) == len(now) == 22


@pytest.mark.parametrize("rows", [300, 20_000])
@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("kind", ["normal", "lognormal", "poisson", "standard_t"])
def test_the_wasserstein_distance_is_near_that_of_the_rows(kind, shift, rows):
    draw = np.random.default_rng(5)
    reference = getattr(draw, kind)(3, size=20_000).astype(float)
    moved = shift * reference.std()
    window = getattr(draw, kind)(3, size=rows) + (round(moved) if kind == "poisson" else moved)
    column = column_of(reference)
    seen = wasserstein(column, count_numbers(column, window))
    assert seen == pytest.approx(wasserstein_distance(reference, window) / reference.std(), abs=0.05)


@given(tied, numbers(st.floats(-1e30, 1e30)))
@settings(max_examples=50, deadline=None)
def test_the_wasserstein_distance_of_anything_is_finite(reference, window):
    column = column_of(reference)
    seen = wasserstein(column, count_numbers(column, window))
    assert seen is None if not column.sd else seen >= 0 and np.isfinite(seen)


def test_without_values_or_spread_there_is_no_wasserstein_distance():
    column = column_of(np.arange(100.0))
    assert wasserstein(column, count_numbers(column, np.array([np.nan]))) is None
    constant = column_of(np.ones(100))
    assert wasserstein(constant, count_numbers(constant, np.arange(5.0))) is None


def test_bins_of_counts_are_those_of_names():
    names = {f"c{number}": 100 - number for number in range(30)}
    column = ColumnProfile(
        name="x", kind=ColumnKind.CATEGORY, rows=sum(names.values()) + 7, nulls=3, categories=names, other=7
    )
    counts = {"c0": 5, "c29": 2, "new": 4}
    assert bin_named(column, count_categories(column, counts, 1)) == bin_categories(column, counts, 1)
