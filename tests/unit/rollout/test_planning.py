"""The planner's promise against the decision itself."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from support.builders import NOON
from support.rollout_cases import events, make_arm, make_plan, make_rollout, make_totals
from windsock.ports import Traffic
from windsock.records import Moments, RolloutAction, RolloutPlan, Span
from windsock.rollout import promotion
from windsock.rollout.decision import decide
from windsock.rollout.planning import (
    Goal,
    detectable,
    needed,
    own_power,
    power_in,
    usual_goal,
    visits,
)
from windsock.rollout.traffic_ahead import Hurdle, World, days_to_come, world_of
from windsock.statistics.planning import Baseline
from windsock.statistics.sequential import spending_bounds

WEEK = (1200.0, 1100.0, 1000.0, 1000.0, 1100.0, 800.0, 800.0, 1000.0)
DAY = timedelta(days=1)


def world(plan: RolloutPlan | None = None, rate: float = 0.1, scale: float = 3.0, **fields) -> World:
    by_day = tuple(scale * many for many in WEEK)
    made = {"model": "churn", "source": "a test", "baseline": Baseline(rate, rate * (1 - rate))}
    return World(**{**made, "plan": plan or make_plan(), "by_day": by_day, **fields})


def seen_power(world: World, days: float, times: list[float], rates: tuple[float, float], runs: int) -> float:
    """Return how often the decision itself promotes, with looks at these days."""
    plan, generator = world.plan, np.random.default_rng(15)
    rollout, part = make_rollout(plan), world.share / 10_000
    new = np.diff([round(world.units_in(time)) for time in times], prepend=0)
    promoted = 0
    for _ in range(runs):
        ours = generator.binomial(new, part)
        sizes = [many.cumsum() for many in (new - ours, ours)]
        hits = [
            generator.binomial(many, rate).cumsum()
            for many, rate in zip((new - ours, ours), rates, strict=True)
        ]
        before = []
        for number, time in enumerate(times):
            arms = [
                make_arm(int(many[number]), {"conversion": events(int(many[number]), int(hit[number]))})
                for many, hit in zip(sizes, hits, strict=True)
            ]
            made = decide(rollout, make_totals(*arms), before, number=number + 1, now=NOON + time * DAY)
            if made.action is not RolloutAction.HOLD:
                promoted += made.action is RolloutAction.PROMOTE
                break
            before += [made] if made.planned_look is not None else []
    return promoted / runs


@pytest.fixture(scope="module")
def remembered():
    """Bounds once for each history of looks, which all runs share."""
    known: dict = {}

    def bounds(fractions, *, information, alpha):
        key = (tuple(fractions), tuple(information), alpha)
        if key not in known:
            known[key] = spending_bounds(fractions, information=information, alpha=alpha)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promotion, "spending_bounds", bounds)
        yield


RUNS = 400


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize(("share", "rate", "looks"), [(50, 0.1, 10), (10, 0.02, 10), (50, 0.02, 1)])
def test_the_power_of_planned_looks_is_that_of_the_decision(share, rate, looks):
    plan = make_plan(share=share, horizon="10d", looks=looks, check="6h")
    goal = Goal(distance=0.15 * rate, is_gain=True)
    at_once = plan.model_copy(update={"cycle": "1h"})
    scale = needed(world(at_once, rate), "group_sequential", goal, 0.8).units / 10_000
    asked = world(plan, rate, scale)
    promised = own_power(asked, goal)
    assert 0.7 < promised < 0.9
    times = [10 * look / looks for look in range(1, looks + 1)]
    seen = seen_power(asked, 10, times, (rate, 1.15 * rate), RUNS)
    assert seen == pytest.approx(promised, abs=3 * math.sqrt(0.16 / RUNS))


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize(("rate", "gained"), [(0.1, 0.115), (0.1, 0.1)])
def test_the_power_of_a_sequence_is_that_of_the_decision(rate, gained):
    plan = make_plan(check="6h", promote="better" if gained > rate else {"not_worse": 0.015})
    goal = Goal(distance=0.015, is_gain=gained > rate)
    need = needed(world(plan), "sequential", goal, 0.8)
    assert need.days > 7
    times = [number / 4 for number in range(28, math.floor(need.days * 4) + 1)]
    promised = power_in(world(plan), "sequential", goal, times[-1])
    seen = seen_power(world(plan), need.days, times, (rate, gained), RUNS)
    assert seen == pytest.approx(promised, abs=3 * math.sqrt(0.16 / RUNS))


def test_looks_before_a_whole_cycle_spend_and_do_not_count():
    plan = make_plan(horizon="10d", looks=10)
    found = visits(world(plan, scale=10.0), "group_sequential", 10.0)
    assert [look.fraction for look in found] == pytest.approx([one / 10 for one in range(1, 11)])
    assert [look.counts for look in found] == [False] * 6 + [True] * 4
    few = visits(world(plan, scale=1.0), "group_sequential", 10.0)
    assert few[0].fraction == pytest.approx(1.0)  # 10,000 units are there after ten days


def test_a_check_that_is_longer_than_the_looks_are_apart_skips_some():
    found = visits(
        world(make_plan(horizon="10d", looks=20, check="1d"), scale=10.0), "group_sequential", 10.0
    )
    assert [look.fraction for look in found] == pytest.approx([one / 10 for one in range(1, 11)])


def test_units_without_a_value_are_no_information():
    goal = Goal(distance=0.01, is_gain=True)
    every, some = (needed(world(labelled=part), "fixed", goal, 0.8) for part in (1.0, 0.25))
    assert some.units == pytest.approx(4 * every.units, rel=0.01)


@pytest.mark.parametrize(
    ("block", "rate", "distance", "part"),
    [
        ({}, 0.09, 0.018, 0.2),
        ({}, 0.02, 0.004, 0.2),
        ({}, 0.3, 0.02, 0.0),
        ({"promote": {"not_worse": 0.02}}, 0.02, 0.02, 0.0),
        ({"promote": {"not_worse": "10%"}}, 0.3, 0.03, 0.1),
    ],
)
def test_the_smaller_margin_is_what_must_be_seen(block, rate, distance, part):
    goal = usual_goal(world(make_plan("canary", **block), rate))
    assert (goal.distance, goal.part, goal.is_gain) == (pytest.approx(distance), part, False)


def test_a_gain_of_a_tenth_is_what_an_ab_test_must_see():
    assert usual_goal(world()) == Goal(distance=pytest.approx(0.01), is_gain=True)
    assert usual_goal(world(baseline=Baseline(0.0, 0.001))) is None


def test_what_needs_the_most_units_is_named():
    goal = Goal(distance=0.05, is_gain=True)
    slow = Hurdle(baseline=Baseline(0.3, 0.21))
    need = needed(world(make_plan(cycle="1h")), "fixed", goal, 0.8)
    assert (need.units, need.why) == (10_000, "minimum_units")
    need = needed(world(make_plan(cycle="1h", minimum_units=500), hurdles={"slow": slow}), "fixed", goal, 0.8)
    assert need.why == "guardrail:slow inside its limit of 0.05"
    assert need.units > 3000
    never = make_plan(guardrails={"slow": 0.0})
    assert math.isinf(needed(world(never, hurdles={"slow": slow}), "fixed", goal, 0.8).units)
    rare = world(make_plan(cycle="1h", minimum_units=500, share=10), 0.001)
    need = needed(rare, "fixed", Goal(distance=0.05, is_gain=True), 0.8)
    assert need.why == "20 events of conversion in each arm"
    assert need.units * 0.001 * 0.1 > 20


def test_what_is_found_grows_less_with_time_and_is_nothing_before_a_cycle():
    goal = Goal(distance=0.01, is_gain=True)
    week, month = (detectable(world(), "fixed", goal, 0.8, days) for days in (7.0, 28.0))
    assert month < week
    assert power_in(world(), "fixed", replace(goal, distance=month), 28.0) == pytest.approx(0.8, abs=0.005)
    assert detectable(world(), "fixed", goal, 0.8, 6.9) is None


# --- from the log ---------------------------------------------------------------------------------------


def traffic(by_day, *, days=7.0, first=None, hits=0.1, labelled=1.0):
    units = sum(by_day)
    many = round(units * labelled)
    found = events(many, round(many * hits))
    span = Span(start=NOON - days * DAY, end=NOON)
    return Traffic(span=span, units=units, by_day=tuple(by_day), metrics={"conversion": found}, first=first)


def test_days_that_are_there_in_part_count_as_whole_ones():
    assert days_to_come(traffic([0, 0, 4000, 4000])) == (4000.0, 4000.0, 4000.0)
    short = traffic([4000, 1000], days=1.25)
    assert days_to_come(short) == (4000.0, 4000.0, 4000.0)
    young = traffic([0, 0, 0, 0, 0, 0, 500], first=NOON - timedelta(hours=3))
    assert days_to_come(young) == (4000.0, 4000.0)
    assert days_to_come(traffic([4000, 0, 0, 0])) == ()


def test_a_world_knows_how_many_units_have_a_value():
    found = world_of("churn", make_plan(), traffic([4000] * 7, labelled=0.5), source="the log")
    assert (found.labelled, found.hits) == (0.5, pytest.approx(0.1))
    nothing = replace(traffic([4000]), metrics={"conversion": Moments()})
    assert "0 of them have a value of conversion" in world_of("churn", make_plan(), nothing, source="")


# --- several challengers --------------------------------------------------------------------------------


def test_units_of_several_are_those_of_the_champion_and_one_of_them():
    several = world(make_plan(challengers=3, share=75, horizon="14d"), challengers=3)
    single = world(make_plan(share=50, horizon="14d", alpha=0.05 / 3), scale=1.5)
    assert (several.share, several.share_each, several.paired()) == (5_000, 2_500, 0.5)
    assert several.alpha == single.alpha
    goal = Goal(distance=0.01, is_gain=True)
    for found, alone in zip(
        needed(several, "group_sequential", goal, 0.8), needed(single, "group_sequential", goal, 0.8),
        strict=True,
    ):  # fmt: skip
        assert found == alone
    assert own_power(several, goal) == own_power(single, goal)
    assert several.units_in(several.days_for(9_000)) == pytest.approx(9_000)


def test_more_challengers_take_longer():
    goal = Goal(distance=0.01, is_gain=True)
    days = [
        needed(world(make_plan(challengers=k, share=50), challengers=k), "sequential", goal, 0.8).days
        for k in (1, 2, 4)
    ]
    assert days[0] * 1.3 < days[1]
    assert days[1] * 1.3 < days[2]


def test_a_canarys_steps_before_the_last_are_longer_with_several():
    plan = make_plan("canary", challengers=4, steps=[4, 40], minimum_units=100, bake="1h")
    found = world(plan, challengers=4)
    assert found.share_each == 1_000
    assert found.paired(0) == pytest.approx(0.97)
    assert found.least_units(0) == 9_700
    assert found.lead_days == pytest.approx(world(plan).days_for(10_000), rel=0.01)
