from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, false_discovery_control, kstwobign, norm
from scipy.stats import ks_2samp as scipy_ks

from windsock.statistics.significance import (
    benjamini_hochberg,
    chi_square,
    cramers_v,
    kolmogorov,
    ks_p,
)

THROMBOLYSIS = (
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
)
"""Benjamini & Hochberg (1995), section 4.1: fifteen p-values of a study of myocardial infarction."""


def test_the_published_example_rejects_four():
    assert benjamini_hochberg(THROMBOLYSIS, 0.05) == (*(True,) * 4, *(False,) * 11)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.sampled_from([0.01, 0.05, 0.2]))
def test_what_is_rejected_is_what_scipy_rejects(p_values, q):
    adjusted = false_discovery_control(p_values)
    ours = benjamini_hochberg(p_values, q)
    for p, rejected in zip(adjusted, ours, strict=True):
        if abs(p - q) > 1e-9:
            assert rejected == (p <= q)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_smaller_p_values_reject_no_less(pairs):
    smaller, larger = [min(pair) for pair in pairs], [max(pair) for pair in pairs]
    few, many = benjamini_hochberg(larger, 0.05), benjamini_hochberg(smaller, 0.05)
    assert all(more or not less for less, more in zip(few, many, strict=True))


def test_nothing_is_rejected_of_nothing():
    assert benjamini_hochberg((), 0.05) == ()


@given(st.floats(0.05, 5))
def test_the_limit_distribution_is_that_of_scipy(value):
    assert kolmogorov(value) == pytest.approx(float(kstwobign.sf(value)), rel=1e-9, abs=1e-14)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 2.0]))
@settings(max_examples=60, deadline=None)
def test_a_few_rows_are_tested_exactly(rows, others, seed, shift):
    draw = np.random.default_rng(seed)
    found = scipy_ks(draw.normal(size=rows), draw.normal(shift, size=others), method="exact")
    assert ks_p(found.statistic, rows, others) == pytest.approx(found.pvalue, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("rows", "others"), [(200, 300), (200, 20_000), (1_000, 1_000), (1_000, 20_000)])
@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_moderate_samples_agree_with_scipy(rows, others, shift):
    draw = np.random.default_rng(11)
    found = scipy_ks(draw.normal(size=rows), draw.normal(shift, size=others))
    assert ks_p(found.statistic, rows, others) == pytest.approx(found.pvalue, rel=0.12, abs=1e-6)


def test_equal_samples_have_p_one():
    assert ks_p(0.0, 10, 10) == ks_p(0.0, 10_000, 10_000) == 1.0
    assert ks_p(1.0, 3, 4) == pytest.approx(2 / math.comb(7, 3))  # two of all orders come that far apart


@given(st.integers(2, 30_000), st.integers(2, 30_000), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_larger_distances_are_no_more_likely(rows, others, one, other):
    if rows * others > 10_000:
        near, far = sorted((one, other))
        assert 0 <= ks_p(far, rows, others) <= ks_p(near, rows, others) <= 1


@pytest.mark.parametrize("categories", [2, 5, 30])
def test_common_categories_are_tested_as_scipy_does(categories):
    draw = np.random.default_rng(categories)
    then, now = draw.integers(200, 900, categories), draw.integers(100, 300, categories)
    ours = chi_square(then.tolist(), now.tolist())
    theirs = chi2_contingency([then, now], correction=False)
    assert ours is not None
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.df == theirs.dof


def test_proportions_are_no_counts():
    # on proportions this change has p = 0.73; on 10,000 rows nothing is left to say
    test = chi_square([5_000, 3_000, 2_000], [2_000, 3_000, 5_000])
    assert test is not None
    assert test.p < 1e-100


@pytest.mark.parametrize(
    ("reference", "window"),
    [
        ([20_000, 0], [980, 20]),  # values begin to be missing
        ([10_000, 6_000, 4_000, 0], [100, 60, 20, 20]),  # a new category takes the place of a rare one
        ([20_000, 0], [0, 1_000]),
        ([0, 20_000], [1_000, 0]),
    ],
)
def test_what_is_new_is_seen_however_few(reference, window):
    test = chi_square(reference, window)
    assert test is not None
    assert test.p < 1e-9
    assert test.cramers_v > 0.09


def test_one_new_row_is_little_evidence():
    test = chi_square([10_000, 6_000, 4_000, 0], [100, 60, 39, 1])
    assert test is not None
    assert test.p > 0.001


@pytest.mark.parametrize("levels", [2, 20, 500])
@pytest.mark.parametrize("rows", [200, 5_000])
def test_without_change_p_values_are_as_frequent_as_they_say(levels, rows):
    draw = np.random.default_rng([levels, rows])
    shares = 1 / np.arange(1, levels + 1)
    shares /= shares.sum()
    trials, false = 400, 0
    for _ in range(trials):
        sides = draw.multinomial(20_000, shares), draw.multinomial(rows, shares)
        test = chi_square(*(side.tolist() for side in sides))
        assert test is not None
        false += test.p < 0.05
    assert false <= 0.05 * trials + 4 * math.sqrt(trials * 0.05 * 0.95)


def test_without_rows_there_is_no_test():
    assert chi_square([0, 0], [3, 4]) is None
    assert chi_square([3, 4], [0, 0]) is None


def test_one_category_on_both_sides_is_no_change():
    assert chi_square([100, 0], [7, 0]) == (1.0, 0.0, 0)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12))
def test_tests_of_any_counts_are_finite(pairs):
    test = chi_square([a for a, _ in pairs], [b for _, b in pairs])
    assert test is None or (0 <= test.p <= 1 and 0 <= test.cramers_v <= 1 and test.df >= 0)


def test_the_effect_is_that_of_equal_samples_and_does_not_depend_on_their_size():
    shares = ([0.5, 0.3, 0.2], [0.4, 0.3, 0.3])
    equal = [[round(10_000 * share) for share in side] for side in shares]
    statistic = chi2_contingency(equal, correction=False).statistic
    assert cramers_v(*equal) == pytest.approx(math.sqrt(statistic / 20_000))
    small = [round(100 * share) for share in shares[1]]
    assert cramers_v(equal[0], small) == pytest.approx(cramers_v(*equal))
    assert cramers_v([10, 0], [0, 3]) == 1.0


def test_a_shift_of_a_normal_has_the_distance_of_the_books():
    # sup |F(x) - F(x - d)| = 2 F(d / 2) - 1; at 0.5 standard deviations 0.197
    assert 2 * norm.cdf(0.25) - 1 == pytest.approx(0.1974, abs=1e-4)
    assert ks_p(0.1974, 1_000, 20_000) < 1e-30
