from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from windsock.records import Moments
from windsock.statistics.planning import (
    DESIGNS,
    Baseline,
    baseline_of,
    detectable_effect,
    power_at,
    sample_size,
)
from windsock.statistics.sequential import halfwidth, spending_bounds

TEN_TO_ELEVEN = {"effect": 0.01, "variance": (0.1 * 0.9 + 0.11 * 0.89) / 2}
"""Conversion from 10 % to 11 %."""


def conversions(units: int, positive: int) -> Moments:
    return Moments(units=units, num=positive, den=units, num_num=positive, den_den=units, num_den=positive)


def test_cohens_table():
    """Cohen 1988, table 2.4.1: medium effect, power .80: 64 in each group, by the t test; by z one less."""
    assert sample_size(0.5, variance=1.0) == 126
    assert sample_size(0.2, variance=1.0) == 785
    assert sample_size(0.5, variance=1.0, power=0.9, alpha=0.01) == 239


def test_group_sequential_costs_little():
    """Jennison and Turnbull 1999, table 2.4: 5 looks of O'Brien and Fleming cost 2.6 % at power .9."""
    fixed, planned = (
        sample_size(0.01, variance=1.0, power=0.9, design=design, looks=5)
        for design in ("fixed", "group_sequential")
    )
    assert planned / fixed == pytest.approx(1.026, abs=0.004)


@pytest.mark.parametrize(
    ("design", "power"), [("fixed", 0.902), ("sequential", 0.66), ("group_sequential", 0.889)]
)
def test_power_of_twenty_looks(design, power):
    """20,000 simulated tests of 20,000 users a side gave these."""
    assert power_at(40_000, **TEN_TO_ELEVEN, design=design) == pytest.approx(power, abs=0.005)


@pytest.mark.parametrize(("design", "share"), [("sequential", 5000), ("group_sequential", 1000)])
def test_power_as_simulated(design, share):
    """People, not a normal walk: conversions counted at each of ten looks."""
    units, looks, runs = 20_000, 10, 3000
    ours, theirs = (round(units * part / looks) for part in (share / 10_000, 1 - share / 10_000))
    generator = np.random.default_rng(share)
    seen = [
        generator.binomial(size, rate, (runs, looks)).cumsum(axis=1) / (size * np.arange(1, looks + 1))
        for size, rate in ((theirs, 0.100), (ours, 0.118))
    ]
    at = np.arange(1, looks + 1)
    errors = np.sqrt(sum(p * (1 - p) / (size * at) for p, size in zip(seen, (theirs, ours), strict=True)))
    z = (seen[1] - seen[0]) / errors
    if design == "sequential":
        bounds = [halfwidth(n, n, planned_units=units, alpha=0.05) for n in (ours + theirs) * at]
    else:
        bounds = spending_bounds(at / looks)
    planned = power_at(
        units,
        0.018,
        variance=(0.09 * ours + 0.118 * 0.882 * theirs) / (ours + theirs),
        share=share,
        design=design,
        looks=looks,
    )
    assert (z > bounds).any(axis=1).mean() == pytest.approx(planned, abs=0.03)
    assert 0.2 < planned < 0.95


@pytest.mark.parametrize("design", DESIGNS)
def test_size_effect_and_power_are_one_thing(design):
    variance, effect = 0.09, 0.02
    size = sample_size(effect, variance=variance, share=1000, power=0.85, design=design)
    assert power_at(size, effect, variance=variance, share=1000, design=design) == pytest.approx(
        0.85, abs=1e-3
    )
    found = detectable_effect(size, variance=variance, share=1000, power=0.85, design=design)
    assert found == pytest.approx(effect, rel=1e-3)


def test_a_bound_far_out_does_not_lose_what_is_beyond_usual_reach():
    """Sharpest a thousand times later: the bound at the end is 32, and so strong an effect passes it."""
    bound = halfwidth(1.0, 1.0, planned_units=1000.0, alpha=0.05)
    assert bound > 25
    found = power_at(100, 2 * (bound + 1) / 10, variance=1.0, design="sequential", planned_units=100_000)
    assert found == pytest.approx(norm.cdf(1), abs=0.01)


def test_a_sequence_that_is_narrowest_elsewhere_needs_more():
    options = {"variance": 0.09, "design": "sequential"}
    at_the_end = sample_size(0.01, **options)
    early = sample_size(0.01, **options, planned_units=2000)
    assert early > 1.02 * at_the_end
    assert power_at(early, 0.01, **options, planned_units=2000) == pytest.approx(0.8, abs=1e-3)


def test_the_order_of_the_designs():
    fixed, sequential, planned = (sample_size(**TEN_TO_ELEVEN, design=design) for design in DESIGNS)
    assert fixed < planned < 1.1 * fixed < 1.5 * fixed < sequential


def test_the_baseline_of_what_was_seen():
    found = baseline_of(conversions(5000, 500))
    assert found.value == 0.1
    assert found.variance == pytest.approx(0.09, rel=1e-3)
    rare = baseline_of(conversions(5000, 0), bounded=True)
    assert rare.value == 0
    assert 0 < rare.variance < 0.001
    assert baseline_of(conversions(5000, 0)) is None
    assert baseline_of(Moments()) is None
    assert isinstance(found, Baseline)


@pytest.mark.parametrize(
    "asked",
    [{"effect": 0.0}, {"variance": 0.0}, {"share": 0}, {"share": 10_000}, {"power": 1.0}, {"power": 0.01}],
)
def test_what_cannot_be_planned(asked):
    with pytest.raises(ValueError, match="an effect|a share|a power"):
        sample_size(**{"effect": 0.1, "variance": 1.0, **asked})


@given(
    st.sampled_from(DESIGNS),
    st.floats(0.001, 1),
    st.floats(0.01, 100),
    st.integers(100, 9900),
    st.floats(0.5, 0.95),
)
@settings(max_examples=25, deadline=None)
def test_more_certainty_and_smaller_effects_need_more(design, effect, variance, share, power):
    plan = {"variance": variance, "share": share, "power": power, "design": design, "looks": 5}
    size = sample_size(effect, **plan)
    assert size <= sample_size(effect, **{**plan, "alpha": 0.01})
    assert size <= sample_size(effect, **{**plan, "power": 0.97})
    assert sample_size(effect / 2, **plan) == pytest.approx(4 * size, abs=4)
    assert size == pytest.approx(sample_size(-effect, **{**plan, "share": 10_000 - share}), abs=1)
    least = (norm.isf(0.025) + norm.ppf(power)) ** 2 * 4 * variance / effect**2
    assert size >= math.floor(least)
