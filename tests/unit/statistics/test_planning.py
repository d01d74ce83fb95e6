from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from windsock.records import Moments
from windsock.statistics.experiments import compare
from windsock.statistics.planning import (
    DESIGNS,
    Arms,
    Baseline,
    Visit,
    baseline_of,
    chance_inside,
    power_of,
)
from windsock.statistics.sequential import halfwidth, spending_bounds


def conversions(units: int, positive: int) -> Moments:
    return Moments(units=units, num=positive, den=units, num_num=positive, den_den=units, num_den=positive)


def alike(distance: float, variance: float = 1.0, **fields) -> Arms:
    """Return arms of one variance."""
    return Arms(Baseline(0.0, variance), Baseline(distance, variance), distance, **fields)


def rates(champion: float, challenger: float, share: int = 5000) -> Arms:
    theirs, ours = (Baseline(rate, rate * (1 - rate)) for rate in (champion, challenger))
    return Arms(theirs, ours, abs(challenger - champion), share=share, bounded=True)


def power(arms: Arms, units: float, design: str = "fixed", looks: int = 20, **options) -> float:
    """Return the power with looks that are evenly apart and all count."""
    many = 1 if design == "fixed" else looks
    visits = [Visit(units * look / many, look / many) for look in range(1, many + 1)]
    return power_of(arms, visits, design=design, **options)


def size(arms: Arms, design: str = "fixed", wanted: float = 0.8, looks: int = 20, **options) -> float:
    def lacking(root: float) -> float:
        return power(arms, root * root, design, looks, **options) - wanted

    one = arms.errors(1.0).true / arms.distance
    return brentq(lacking, one, 30 * one, xtol=1e-6) ** 2


def test_cohens_table():
    """Cohen 1988, table 2.4.1: medium effect, power .80: 64 in each group, by the t test; by z one less."""
    assert math.ceil(size(alike(0.5))) == 126
    assert math.ceil(size(alike(0.2))) == 785
    assert math.ceil(size(alike(0.5), wanted=0.9, alpha=0.01)) == 239


def test_group_sequential_costs_little():
    """Jennison and Turnbull 1999, table 2.4: 5 looks of O'Brien and Fleming cost 2.6 % at power .9."""
    fixed, planned = (size(alike(0.01), one, 0.9, 5) for one in ("fixed", "group_sequential"))
    assert planned / fixed == pytest.approx(1.026, abs=0.004)


@pytest.mark.parametrize(
    ("design", "found"), [("fixed", 0.902), ("sequential", 0.66), ("group_sequential", 0.889)]
)
def test_power_of_twenty_looks(design, found):
    """20,000 simulated tests of 20,000 users a side gave these."""
    assert power(rates(0.1, 0.11), 40_000, design) == pytest.approx(found, abs=0.01)


@pytest.mark.parametrize(("design", "share"), [("sequential", 5000), ("group_sequential", 1000)])
def test_power_as_simulated_by_the_comparison_itself(design, share):
    """Conversions counted at each of ten looks; the first five spend of the error and promote nobody."""
    units, looks, runs = 20_000, 10, 1500
    generator = np.random.default_rng(share)
    new = generator.binomial(units // looks, share / 10_000, (runs, looks))
    arms = rates(0.1, 0.118, share)
    visits = [Visit(units * look / looks, look / looks, look > 5) for look in range(1, looks + 1)]
    planned = power_of(arms, visits, design=design)
    sizes = (units // looks - new, new)
    hits = [
        generator.binomial(many, rate).cumsum(axis=1) for many, rate in zip(sizes, (0.1, 0.118), strict=True)
    ]
    sizes = [many.cumsum(axis=1) for many in sizes]
    bounds = spending_bounds([visit.fraction for visit in visits])
    seen = 0
    for run in range(runs):
        for look in range(5, looks):
            sums = [
                conversions(int(n[run, look]), int(h[run, look])) for n, h in zip(sizes, hits, strict=True)
            ]
            found = compare(*sums, bounded=True)
            error, now = found.error, found.units
            half = bounds[look] * error
            if design == "sequential":
                half = halfwidth(now * error * error, now, planned_units=units, alpha=0.05)
            if found.difference > half:
                seen += 1
                break
    assert seen / runs == pytest.approx(planned, abs=0.03)
    assert 0.2 < planned < 0.95


def test_a_look_that_does_not_count_costs_power():
    arms, units = rates(0.1, 0.11), 40_000.0
    visits = [Visit(units * look / 20, look / 20) for look in range(1, 21)]
    late = [visit._replace(counts=visit.fraction > 0.95) for visit in visits]
    least = power_of(arms, late, design="group_sequential")
    assert least < power_of(arms, visits, design="group_sequential") < least + 0.02
    assert power_of(arms, [], design="group_sequential") == 0


def test_both_arms_have_their_own_spread_and_the_smaller_is_taken_to_vary_as_much():
    flat, wide = Baseline(0.5, 1.0), Baseline(0.6, 4.0)
    true, found = Arms(flat, wide, 0.1, share=2000).errors(100)
    assert (true, found) == pytest.approx((math.sqrt(1 / 80 + 4 / 20),) * 2)
    true, found = Arms(wide, flat, 0.1, share=2000).errors(100)
    assert true == pytest.approx(math.sqrt(4 / 80 + 1 / 20))
    assert found == pytest.approx(math.sqrt(4 / 80 + 4 / 20))
    _, half = Arms(wide, flat, 0.1).errors(100)
    assert half == pytest.approx(math.sqrt((5 + 8) / 2 / 50))  # by chance it is the one or the other


@pytest.mark.parametrize("units", [200, 2000])
def test_the_error_is_the_one_that_is_found(units):
    """Pseudo units included, which matter to a small arm."""
    theirs, ours = units * 9 // 10, units // 10
    seen = compare(conversions(theirs, theirs // 10), conversions(ours, ours // 5), bounded=True)
    assert rates(0.1, 0.2, 1000).errors(units).found == pytest.approx(seen.error, rel=0.01)


def test_a_part_of_what_the_champion_has_is_its_own_contrast():
    rate = Baseline(0.1, 0.09)
    true, _ = Arms(rate, rate, 0.02, bounded=True, weight=0.8).errors(10_000)
    assert true == pytest.approx(math.sqrt((0.64 + 1) * 0.09 / 5000))


def test_a_bound_far_out_does_not_lose_what_is_beyond_usual_reach():
    """Sharpest a thousand times later: the bound at the end is 32, and so strong an effect passes it."""
    bound = halfwidth(1.0, 1.0, planned_units=1000.0, alpha=0.05)
    assert bound > 25
    found = power(alike(2 * (bound + 1) / 10), 100, "sequential", planned_units=100_000)
    assert found == pytest.approx(norm.cdf(1), abs=0.01)


def test_a_sequence_that_is_narrowest_elsewhere_needs_more():
    at_the_end = size(alike(0.01, 0.09), "sequential")
    early = size(alike(0.01, 0.09), "sequential", planned_units=2000)
    assert early > 1.02 * at_the_end


def test_the_order_of_the_designs():
    fixed, sequential, planned = (size(rates(0.1, 0.11), design) for design in DESIGNS)
    assert fixed < planned < 1.1 * fixed < 1.5 * fixed < sequential


def test_a_guardrail_is_inside_its_limit_from_some_units_on():
    late = Baseline(0.2, 0.16)
    arms = Arms(late, late, 0.0, bounded=True)
    chances = [
        chance_inside(arms, units, limit=0.05, planned_units=5000, alpha=0.017)
        for units in (1000, 3000, 10_000)
    ]
    assert chances == sorted(chances)
    assert chances[0] < 0.2
    assert chances[-1] > 0.99


def test_the_baseline_of_what_was_seen():
    found = baseline_of(conversions(5000, 500))
    assert found.value == 0.1
    assert found.variance == pytest.approx(0.09, rel=1e-3)
    rare = baseline_of(conversions(5000, 0), bounded=True)
    assert rare.value == 0
    assert 0 < rare.variance < 0.001
    assert baseline_of(conversions(5000, 0)) is None
    assert baseline_of(Moments()) is None


@pytest.mark.parametrize("share", [0, 10_000])
def test_a_share_of_nobody_is_refused(share):
    with pytest.raises(ValueError, match="a share"):
        power(alike(0.1, share=share), 100)


@given(st.sampled_from(DESIGNS), st.floats(0.01, 1), st.floats(0.01, 100), st.integers(100, 9900))
@settings(max_examples=15, deadline=None)
def test_more_units_and_greater_effects_are_seen_sooner(design, effect, variance, share):
    arms = alike(effect, variance, share=share)
    units = (3 * arms.errors(1.0).true / effect) ** 2
    found = power(arms, units, design, 5)
    assert found <= power(arms, 1.5 * units, design, 5) + 1e-9
    assert found <= power(alike(2 * effect, variance, share=share), units, design, 5) + 1e-9
    assert found >= power(arms, units, design, 5, alpha=0.01) - 1e-9
    assert found == pytest.approx(
        power(alike(effect, variance, share=10_000 - share), units, design, 5), abs=1e-9
    )
    assert found <= norm.cdf(3 - norm.isf(0.025)) + 1e-6
