from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binom, chi2_contingency

from windsock.records import Moments
from windsock.statistics.experiments import (
    Comparison,
    chance_better,
    compare,
    effective_units,
    fixed_interval,
    over_what_was_asked,
)


def moments(num, den=None, pre=None) -> Moments:
    """Sum up units as the events do."""
    num = np.asarray(num, dtype=float)
    den = np.ones_like(num) if den is None else np.asarray(den, dtype=float)
    pre = np.zeros_like(num) if pre is None else np.asarray(pre, dtype=float)
    return Moments(
        units=num.size,
        num=num.sum(),
        den=den.sum(),
        pre=pre.sum(),
        num_num=num @ num,
        den_den=den @ den,
        pre_pre=pre @ pre,
        num_den=num @ den,
        num_pre=num @ pre,
        den_pre=den @ pre,
    )


def conversions(units: int, positive: int) -> Moments:
    return moments(np.arange(units) < positive)


def sessions(generator: np.random.Generator, users: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Draw users who differ: each has a rate of its own and ten impressions, few or many."""
    shown = generator.geometric(0.1, users)
    return generator.binomial(shown, generator.beta(1, 9, users)).astype(float), shown.astype(float)


def visits(seed: int, users: int = 4000) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    before = generator.gamma(2.0, 5.0, users)
    shown = 1 + generator.poisson(5, users)
    variant = generator.integers(0, 2, users)
    return pd.DataFrame(
        {
            "variant": variant,
            "before": before,
            "shown": shown,
            "clicks": generator.binomial(shown, 0.2 + 0.02 * variant),
            "spent": before + generator.normal(3 + 0.3 * variant, 4, users),
        }
    )


class TestAgainstTeaTasting:
    """The same numbers as another package (1.14), from the same rows."""

    @staticmethod
    def arms(frame: pd.DataFrame, *columns: str) -> tuple[Moments, Moments]:
        rows = [frame[frame["variant"] == arm] for arm in (0, 1)]
        return tuple(moments(*(None if name is None else part[name] for name in columns)) for part in rows)

    @staticmethod
    def analysed(frame: pd.DataFrame, kind: str, *columns: str):
        import tea_tasting  # with ibis, for a second: in the one process that asks it

        metric = getattr(tea_tasting, kind)(*columns, use_t=False, equal_var=False)
        return tea_tasting.Experiment(it=metric).analyze(frame)["it"]

    def test_a_ratio_of_means(self):
        frame = visits(1)
        theirs = self.analysed(frame, "RatioOfMeans", "clicks", "shown")
        ours = compare(*self.arms(frame, "clicks", "shown"), plain=True)
        interval = fixed_interval(ours, 0.05)
        assert (ours.champion, ours.challenger) == pytest.approx((theirs.control, theirs.treatment))
        assert ours.difference == pytest.approx(theirs.effect_size)
        assert (interval.low, interval.high) == pytest.approx(
            (theirs.effect_size_ci_lower, theirs.effect_size_ci_upper)
        )
        assert ours.difference / ours.error == pytest.approx(theirs.statistic)

    def test_a_mean(self):
        frame = visits(2)
        theirs = self.analysed(frame, "Mean", "spent")
        ours = compare(*self.arms(frame, "spent"), plain=True)
        assert ours.difference / ours.error == pytest.approx(theirs.statistic)
        assert 2 * min(chance_better(ours), 1 - chance_better(ours)) == pytest.approx(theirs.pvalue)

    def test_a_mean_with_a_covariate(self):
        frame = visits(3)
        theirs = self.analysed(frame, "Mean", "spent", "before")
        ours = compare(*self.arms(frame, "spent", None, "before"), covariate=True, plain=True)
        # they take the coefficient from all rows at once, we from the spread within the arms
        assert ours.difference == pytest.approx(theirs.effect_size, rel=2e-3)
        assert ours.difference / ours.error == pytest.approx(theirs.statistic, rel=2e-3)
        plain = compare(*self.arms(frame, "spent"), plain=True)
        assert ours.variance_ratio == pytest.approx((ours.error / plain.error) ** 2)
        assert (ours.champion, ours.challenger) == (plain.champion, plain.challenger)

    def test_a_ratio_with_a_covariate(self):
        frame = visits(4)
        frame["clicks"] += frame["before"]
        theirs = self.analysed(frame, "RatioOfMeans", "clicks", "shown", "before")
        ours = compare(*self.arms(frame, "clicks", "shown", "before"), covariate=True, plain=True)
        assert ours.difference / ours.error == pytest.approx(theirs.statistic, rel=0.02)
        assert ours.variance_ratio < 0.8


@pytest.mark.parametrize(("rho", "ratio"), [(0.5, 0.75), (0.7, 0.51), (0.9, 0.19)])
def test_a_covariate_takes_away_what_it_explains(rho, ratio):
    generator = np.random.default_rng(5)
    arms = []
    for _ in range(2):
        pre = generator.normal(10, 2, 40_000)
        arms.append(moments(rho * pre + math.sqrt(1 - rho**2) * generator.normal(0, 2, pre.size), None, pre))
    found = compare(*arms, covariate=True)
    assert found.variance_ratio == pytest.approx(ratio, abs=0.01)
    assert found.error < compare(*arms).error


def test_a_covariate_that_was_apart_by_chance_is_no_effect():
    pre = np.random.default_rng(6).normal(0, 1, 2000)
    low, high = np.sort(pre)[:1500], np.sort(pre)[500:]
    arms = moments(3 * low + 1, None, low), moments(3 * high + 1, None, high)
    assert compare(*arms).difference > 1
    assert compare(*arms, covariate=True).difference == pytest.approx(0, abs=1e-9)


def test_a_covariate_that_does_not_vary_in_one_arm_changes_nothing():
    generator = np.random.default_rng(7)
    arms = (
        moments(generator.normal(size=50), None, np.ones(50)),
        moments(*generator.normal(size=(3, 50)) ** 2),
    )
    assert compare(*arms, covariate=True) == compare(*arms)


def test_users_who_differ_do_not_raise_the_false_rate():
    """A/A at one look: 5 % by the unit, 23 % by the impression."""
    generator = np.random.default_rng(8)
    by_unit = by_impression = 0
    runs = 600
    for _ in range(runs):
        arms = [sessions(generator) for _ in range(2)]
        found = compare(*(moments(*arm) for arm in arms), bounded=True)
        by_unit += abs(found.difference) > 1.96 * found.error
        table = [[clicks.sum(), shown.sum() - clicks.sum()] for clicks, shown in arms]
        by_impression += chi2_contingency(table).pvalue < 0.05
    assert by_unit / runs == pytest.approx(0.05, abs=0.025)
    assert by_impression / runs == pytest.approx(0.23, abs=0.05)


class TestRareEvents:
    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_no_event_and_nothing_else_are_no_certainty(self, share):
        positive = round(500 * share)
        found = compare(conversions(500, positive), conversions(500, positive), bounded=True)
        assert found.difference == 0
        assert found.error == pytest.approx(math.sqrt(2) / 502, rel=1e-3)
        assert compare(conversions(500, positive), conversions(500, positive)).error is None

    def test_events_and_no_event_mirror_each_other(self):
        found = compare(conversions(300, 3), conversions(200, 0), bounded=True)
        mirrored = compare(conversions(300, 297), conversions(200, 200), bounded=True)
        assert mirrored.difference == pytest.approx(-found.difference)
        assert mirrored.error == pytest.approx(found.error)

    @pytest.mark.parametrize(("first", "second"), [(0.01, 0.01), (0.02, 0.1), (0.1, 0.1), (0.5, 0.5)])
    def test_the_interval_covers_what_it_should(self, first, second):
        """Counted out over all outcomes of two arms of 50; without pseudo units it is .63 for 1 %."""
        units, covered = 50, 0.0
        for a, b in product(range(units + 1), repeat=2):
            weight = binom.pmf(a, units, first) * binom.pmf(b, units, second)
            if weight > 1e-9:
                found = fixed_interval(
                    compare(conversions(units, a), conversions(units, b), bounded=True), 0.05
                )
                covered += weight * (found.low <= second - first <= found.high)
        assert covered > 0.94

    def test_an_arm_without_spread_takes_the_spread_of_the_other(self):
        spread = moments([1.0, 2.0, 3.0, 4.0])
        flat = moments([2.0] * 8)
        found = compare(flat, spread)
        per_unit = 5 / 3
        assert found.error == pytest.approx(math.sqrt(per_unit / 4 + per_unit / 8))


class TestNothingPassesBySilence:
    @pytest.mark.parametrize(
        "short",
        [
            Moments(),
            moments([1.0]),
            Moments(units=5),
            moments([0.0, 0.0], [0.0, 0.0]),
            Moments(units=9, den=5e-324),
        ],
    )
    def test_too_little_has_no_value(self, short):
        whole = conversions(100, 10)
        for pair in ((short, whole), (whole, short), (short, short)):
            for bounded in (False, True):
                found = compare(*pair, bounded=bounded, covariate=True)
                assert (found.difference, found.error) == (None, None)
                assert chance_better(found) is None
                assert fixed_interval(found, 0.05) is None
        assert compare(short, whole).challenger == 0.1

    def test_numbers_beyond_a_double_have_no_value(self):
        huge = Moments(units=10, num=1e300, den=1e-300, num_num=1e308, den_den=1e-300, num_den=1e10)
        found = compare(huge, conversions(10, 1))
        assert (found.champion, found.difference, found.error) == (None, None, None)

    def test_rounding_is_no_spread(self):
        same = moments(np.full(1000, 1e9 + 1 / 3))
        assert compare(same, same).error is None
        near = moments(1e4 + np.random.default_rng(9).normal(size=5000))
        assert compare(near, near).error == pytest.approx(math.sqrt(2 / 5000), rel=0.03)

    @given(
        *[
            st.builds(
                Moments,
                units=st.integers(0, 10**9),
                **dict.fromkeys(
                    ("num", "den", "pre", "num_num", "den_den", "pre_pre", "num_den", "num_pre", "den_pre"),
                    st.floats(allow_nan=False, allow_infinity=False),
                ),
            )
        ]
        * 2,
        st.booleans(),
        st.booleans(),
    )
    @settings(max_examples=400, deadline=None)
    def test_it_is_never_nan(self, champion, challenger, bounded, covariate):
        found = compare(champion, challenger, bounded=bounded, covariate=covariate)
        numbers = [one for one in (*found, chance_better(found)) if one is not None]
        assert all(math.isfinite(one) for one in numbers)
        assert found.error is None or found.error > 0
        assert (found.difference is None) <= (found.error is None)


arms = hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(-20, 20).map(float)).map(moments)
shares = st.tuples(st.integers(2, 60), st.floats(0, 1)).map(
    lambda pair: conversions(pair[0], round(pair[0] * pair[1]))
)


@given(
    st.one_of(st.tuples(arms, arms, st.just(False)), st.tuples(shares, shares, st.just(True))), st.booleans()
)
def test_swapped_arms_mirror_the_comparison(case, plain):
    champion, challenger, bounded = case
    one = compare(champion, challenger, bounded=bounded, plain=plain)
    other = compare(challenger, champion, bounded=bounded, plain=plain)
    assert other.difference == pytest.approx(-one.difference)
    assert other.error == pytest.approx(one.error)
    if one.error is not None:
        assert chance_better(other) == pytest.approx(1 - chance_better(one))
        assert chance_better(other, lower_is_better=True) == pytest.approx(chance_better(one))


covaried = st.integers(2, 40).flatmap(
    lambda units: hnp.arrays(np.float64, (2, units), elements=st.integers(-20, 20).map(float))
)


class TestASmallArmBesideALargeOne:
    def test_it_varies_no_less_than_the_large_one(self):
        large, calm, wild = moments([0.0, 4.0] * 50), moments([1.0, 2.0] * 5), moments([0.0, 40.0] * 5)
        of_large, of_wild = 4 * 100 / 99, 400 * 10 / 9
        for pair in ((large, calm), (calm, large)):
            assert compare(*pair).error == pytest.approx(math.sqrt(of_large * (1 / 100 + 1 / 10)))
        assert compare(large, wild).error == pytest.approx(math.sqrt(of_large / 100 + of_wild / 10))
        assert compare(large, wild) == compare(large, wild, plain=True)

    def test_a_share_has_its_pseudo_units_first(self):
        large, small = conversions(1000, 500), conversions(100, 0)
        per_unit = (250 + 0.5) / 1001
        expected = math.sqrt(per_unit / 1002 + per_unit / 102)
        assert compare(large, small, bounded=True).error == pytest.approx(expected)

    def test_what_a_covariate_leaves_is_what_is_compared(self):
        """The small arm's rest is floored by the large arm's rest, not by all of its variance."""
        generator = np.random.default_rng(10)
        pre = generator.normal(0, 10, 1000)
        large, small = pre[:900], pre[900:]
        arms = moments(large + generator.normal(size=900), None, large), moments(small, None, small)
        found = compare(*arms, covariate=True)
        assert found.error == pytest.approx(math.sqrt(1 / 900 + 1 / 100), rel=0.05)
        assert found.variance_ratio == pytest.approx(0.01, rel=0.3)

    @given(covaried, covaried, st.booleans())
    def test_it_only_widens_and_moves_nothing(self, theirs, ours, covariate):
        pair = [moments(num, None, pre) for num, pre in (theirs, ours)]
        guarded = compare(*pair, covariate=covariate)
        plain = compare(*pair, covariate=covariate, plain=True)
        assert guarded[:3] == plain[:3]
        assert (guarded.error is None) == (plain.error is None)
        if guarded.error is not None:
            assert guarded.error >= plain.error
        if pair[0].units == pair[1].units:
            assert guarded == plain

    @given(shares, shares)
    def test_a_share_only_widens_too(self, theirs, ours):
        guarded, plain = (compare(theirs, ours, bounded=True, plain=plain) for plain in (False, True))
        assert guarded.difference == plain.difference
        assert guarded.error >= plain.error > 0


@given(
    hnp.arrays(np.float64, (3, 20), elements=st.integers(0, 30).map(float)),
    hnp.arrays(np.float64, (3, 20), elements=st.integers(0, 30).map(float)),
    st.floats(0.01, 100),
)
def test_another_unit_of_measure_changes_nothing_else(ours, theirs, factor):
    first = [moments(num, den + 1, pre) for num, den, pre in (theirs, ours)]
    second = [moments(factor * num, den + 1, 3 * factor * pre) for num, den, pre in (theirs, ours)]
    one, other = compare(*first, covariate=True), compare(*second, covariate=True)
    assume(one.error is not None and one.error > 1e-6)
    assert other.difference == pytest.approx(factor * one.difference, abs=1e-9 * factor)
    assert other.error == pytest.approx(factor * one.error, rel=1e-6)
    assert (other.variance_ratio is None) == (one.variance_ratio is None)
    if one.variance_ratio is not None:
        assert other.variance_ratio == pytest.approx(one.variance_ratio, rel=1e-6)


def test_better_is_what_the_metric_says():
    found = Comparison(0.1, 0.12, 0.02, 0.01, 100)
    assert chance_better(found) == pytest.approx(0.97725, abs=1e-5)
    assert chance_better(found, lower_is_better=True) == pytest.approx(0.02275, abs=1e-5)
    interval = fixed_interval(found, 0.05)
    assert (interval.low, interval.high, interval.level) == pytest.approx((0.0004, 0.0396, 0.95), abs=1e-5)


class TestWeightOfTheChampion:
    """A loss of 20 % is the challenger against 0.8 of the champion."""

    def test_the_error_is_that_of_the_contrast(self):
        generator = np.random.default_rng(5)
        theirs, ours = generator.normal(10, 3, 5000), generator.normal(9, 4, 7000)
        seen = compare(moments(theirs), moments(ours), plain=True, weight=0.8)
        error = math.sqrt(0.64 * theirs.var(ddof=1) / 5000 + ours.var(ddof=1) / 7000)
        assert seen.error == pytest.approx(error)
        assert seen.difference == pytest.approx(ours.mean() - theirs.mean())

    def test_a_covariate_is_taken_from_both(self):
        generator = np.random.default_rng(6)
        before = generator.normal(10, 3, (2, 5000))
        now = before + generator.normal(0, 1, (2, 5000))
        arms = [moments(values, pre=pre) for values, pre in zip(now, before, strict=True)]
        seen = compare(*arms, covariate=True, plain=True, weight=0.5)
        theta = (0.5 * np.cov(now[0], before[0])[0, 1] + np.cov(now[1], before[1])[0, 1]) / (
            before[0].var(ddof=1) + before[1].var(ddof=1)
        )
        rest = (0.5 * now[0] - theta * before[0], now[1] - theta * before[1])
        assert seen.error == pytest.approx(math.sqrt(sum(one.var(ddof=1) for one in rest) / 5000), rel=1e-3)

    def test_a_weight_of_1_is_the_usual_comparison(self):
        arms = conversions(3000, 40), conversions(2000, 41)
        assert compare(*arms, bounded=True, weight=1.0) == compare(*arms, bounded=True)

    @pytest.mark.parametrize("units", [3_000, 30_000])
    def test_a_loss_of_just_the_margin_is_seldom_taken_for_less(self, units):
        """1 % -> 0.8 % at one look of 5 %, two-sided: 2.5 % of the tests and a little for small numbers."""
        generator, taken = np.random.default_rng(7), 0
        for theirs, ours in generator.binomial(units, (0.01, 0.008), (3_000, 2)):
            seen = compare(_hits(units, theirs), _hits(units, ours), bounded=True, weight=0.8)
            edge = -0.2 * (seen.champion or 0.0)
            taken += fixed_interval(seen, 0.05).low > edge
        assert taken / 3_000 <= 0.035


def _hits(units: int, hits: int) -> Moments:
    return Moments(units=units, num=hits, den=units, num_num=hits, den_den=units, num_den=hits)


def test_effective_units_are_those_of_like_weight():
    assert effective_units(moments(np.ones(50), np.full(50, 7.0))) == pytest.approx(50)
    few = moments(np.ones(1001), np.r_[np.ones(1000), 1000.0])
    assert effective_units(few) == pytest.approx(2000**2 / 1_001_000)
    assert effective_units(Moments()) == 0.0


def test_an_accuracy_over_what_was_asked_is_that_of_units_whose_refusals_were_wrong():
    generator = np.random.default_rng(8)
    answers, refused = generator.poisson(3, 4000), generator.poisson(0.5, 4000)
    labels = generator.binomial(answers, 0.6)
    right = generator.binomial(labels, 0.8)
    seen = moments(right, labels).model_copy(
        update={
            "units": int((labels > 0).sum()),
            "asked_units": int((labels + refused > 0).sum()),
            "asked": float(refused.sum()),
            "asked_asked": float(refused @ refused),
            "num_asked": float(right @ refused),
            "den_asked": float(labels @ refused),
        }
    )
    whole = moments(right, labels + 0.6 * refused)
    over = over_what_was_asked(seen, 0.6)
    for field in ("num", "den", "num_num", "den_den", "num_den"):
        assert getattr(over, field) == pytest.approx(getattr(whole, field))
    assert over.units == seen.asked_units
    assert over_what_was_asked(seen.model_copy(update={"asked": 0.0}), 0.6).den == seen.den
