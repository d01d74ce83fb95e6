from __future__ import annotations

import numpy as np
import pytest
import tea_tasting as tt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from windsock.statistics.sample_ratio import same_share_p, sample_ratio_p


def test_published_examples():
    assert sample_ratio_p([44_000, 45_000], [1, 1]) == pytest.approx(0.0008, abs=5e-5)
    assert sample_ratio_p([600, 400], [5000, 5000]) == pytest.approx(2.54e-10, rel=2e-3)


def test_fabijan_and_others_2019():
    """The paper's opening example: 821,588 and 815,482 users of an equal split are no chance."""
    assert sample_ratio_p([821_588, 815_482], [0.5, 0.5]) == pytest.approx(1.8e-6, rel=0.02)


@pytest.mark.parametrize(
    ("counts", "ratio"), [((5100, 4900), 1), ((920, 8800), 9), ((40, 70), 1), ((3, 40), 9)]
)
def test_another_package_agrees(counts, ratio):
    frame = {"variant": np.repeat([0, 1], counts)}
    import pandas as pd

    method = "norm" if min(counts) > 500 else "binom"
    metric = tt.SampleRatio(ratio, method=method, correction=False)
    theirs = tt.Experiment(it=metric).analyze(pd.DataFrame(frame))["it"].pvalue
    assert sample_ratio_p(counts, [1, ratio]) == pytest.approx(theirs, rel=1e-6)


def test_three_arms():
    counts, shares = [5000, 3300, 1700], [5, 3, 2]
    expected = [5000, 3000, 2000]
    assert sample_ratio_p(counts, shares) == pytest.approx(chisquare(counts, expected).pvalue)
    few = sample_ratio_p([2, 0, 9], [1, 1, 1])
    assert few == pytest.approx(3 * min(binomtest(count, 11, 1 / 3).pvalue for count in (2, 0, 9)))


def test_units_where_none_may_be():
    assert sample_ratio_p([100, 1], [10_000, 0]) == 0
    assert sample_ratio_p([100, 0], [10_000, 0]) == 1


def test_without_units_there_is_nothing_against_it():
    assert sample_ratio_p([0, 0], [1, 1]) == 1


@pytest.mark.parametrize(
    ("counts", "shares"), [((1, 2), (1, 2, 3)), ((1, 2), (0, 0)), ((1, 2), (-1, 2)), ((-1, 2), (1, 1))]
)
def test_nonsense_is_refused(counts, shares):
    with pytest.raises(ValueError, match="arms"):
        sample_ratio_p(counts, shares)


@pytest.mark.parametrize(("units", "share"), [(12, 0.5), (150, 0.05), (5000, 0.5), (3000, 0.05)])
def test_it_holds_its_rate_where_it_is_asked_for(units, share):
    """At p < 0.0005, by all outcomes: the chi-square's tail is not what it says for few units."""
    from scipy.stats import binom

    counts = np.arange(units + 1)
    weights = binom.pmf(counts, units, share)
    likely = counts[weights > 1e-12]
    p = np.array([sample_ratio_p([count, units - count], [share, 1 - share]) for count in likely])
    assert weights[likely][p < 0.0005].sum() <= 0.0006


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 100)), min_size=2, max_size=4), st.floats(0.1, 50)
)
@settings(deadline=None)
def test_neither_order_nor_scale_matters(arms, factor):
    counts, shares = zip(*arms, strict=True)
    p = sample_ratio_p(counts, shares)
    assert 0 <= p <= 1
    assert sample_ratio_p(counts[::-1], shares[::-1]) == pytest.approx(p, rel=1e-6, abs=1e-300)
    assert sample_ratio_p(counts, [factor * share for share in shares]) == pytest.approx(
        p, rel=1e-6, abs=1e-300
    )


class TestSameShare:
    @pytest.mark.parametrize(
        ("hits", "units"), [((300, 380), (1000, 1100)), ((9_800, 4_870), (10_000, 5_000))]
    )
    def test_another_package_agrees(self, hits, units):
        from scipy.stats import chi2_contingency

        table = [hits, [whole - part for part, whole in zip(hits, units, strict=True)]]
        by_scipy = chi2_contingency(table, correction=False).pvalue
        if min(map(min, table)) >= 150:
            assert same_share_p(hits, units) == pytest.approx(by_scipy)
        else:
            assert same_share_p(hits, units) >= by_scipy / 2

    @pytest.mark.parametrize("rare", [(3, 12), (40, 61)])
    def test_hits_and_misses_mirror_each_other(self, rare):
        units = (10_000, 10_000)
        misses = (units[0] - rare[0], units[1] - rare[1])
        assert same_share_p(rare, units) == same_share_p(misses, units)
        assert same_share_p(rare, units) == sample_ratio_p(rare, units)

    def test_without_units_nothing_differs(self):
        assert same_share_p((0, 0), (0, 5)) == 1.0
        assert same_share_p((0, 0), (5, 5)) == 1.0

    def test_more_hits_than_units_are_refused(self):
        with pytest.raises(ValueError, match="7"):
            same_share_p((7, 1), (5, 5))
