"""How long a rollout must be: what it shall show, its looks as they will be, units and days it needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from windsock.records import BASIS_POINTS
from windsock.rollout.guardrails import GUARDRAIL_UNITS
from windsock.rollout.outcomes import FEWEST_EVENTS
from windsock.rollout.promotion import PROMOTION_UNITS
from windsock.rollout.traffic_ahead import DAY, World
from windsock.spec import SHARE_KINDS

if TYPE_CHECKING:
    from windsock.records import RolloutPlan
    from windsock.statistics.planning import Arms, Baseline, Design, Visit

POWER = 0.8
USUAL_GAIN = 0.1
"""Of the champion's value: what an A/B test is planned to see, unless another gain is asked for."""
SURE_EVENTS = FEWEST_EVENTS + 2 * math.sqrt(FEWEST_EVENTS)
"""Expected events of which there are that many at least with 98 % probability."""
SURE = 0.99
"""Probability with which a guardrail that must be inside its limit is, so that it costs no power."""
LOOKS = 40
"""Looks at which a confidence sequence's power is reckoned; one looked at more often has 1 % more."""
LARGEST = 1e15
"""Times what is too little beyond which nothing is looked for."""
NEAR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a test shall show.

    :param distance: a gain, or the largest loss that is no harm, in the metric's unit.
    :param is_gain: whether it is a gain; else both versions are alike in truth.
    :param part: the loss as a part of the champion's own value, where that is the smaller margin.
    """

    distance: float
    is_gain: bool
    part: float = 0.0


def usual_goal(world: World) -> Goal | None:
    """Return what a plan must see: its margin, else the usual gain; ``None``: ten percent of nothing."""
    plan, value = world.plan, abs(world.baseline.value)
    margins = [] if plan.margin is None else [(plan.margin, 0.0)]
    if plan.relative_margin is not None:
        margins.append((plan.relative_margin * value, plan.relative_margin))
    distance, part = min(margins) if margins else (0.0, 0.0)
    if distance > 0:
        return Goal(distance=distance, is_gain=False, part=part)
    return Goal(distance=USUAL_GAIN * value, is_gain=True) if value else None


def arms_of(world: World, goal: Goal) -> Arms:
    """Return both arms as they are if what shall be seen is true, by the units that have a value."""
    from windsock.statistics.planning import Arms

    lower = world.plan.metrics[world.plan.metric].lower_is_better
    champion = world.baseline
    return Arms(
        champion=champion,
        challenger=_gained(champion, goal.distance * (-1 if lower else 1), bounded=world.bounded)
        if goal.is_gain
        else champion,
        distance=goal.distance,
        share=world.share,
        bounded=world.bounded,
        weight=1 + goal.part * (1 if lower else -1),
    )


def _gained(champion: Baseline, change: float, *, bounded: bool) -> Baseline:
    """Return the challenger's arm: a share's variance goes with its value, that of a mean with its square.

    A mean that becomes smaller, or is of either sign, keeps the champion's; beyond a doubling it is taken to
    grow no more.
    """
    value = champion.value + change
    if not bounded:
        grown = value / champion.value if champion.value > 0 else 1.0
        return champion._replace(value=value, variance=champion.variance * min(2.0, max(1.0, grown)) ** 2)
    value = min(1.0, max(0.0, value))
    before, now = (one * (1 - one) for one in (champion.value, value))
    return champion._replace(value=value, variance=champion.variance * now / before if before > 0 else now)


def visits(world: World, design: Design, days: float, *, lead: float = 0.0) -> list[Visit]:
    """Return the looks of the last step as they will be.

    :param days: when it ends, since the rollout began.
    :param lead: days of the steps before.
    """
    from windsock.statistics.planning import Visit

    least, since = world.least_units(), world.cycle_days
    found = []
    for number, looks, at in _moments(world, design, days, lead):
        units = world.units_in(at - lead)
        if at > lead and units >= least * (1 - NEAR / 10):
            counts = at - lead >= since * (1 - NEAR / 10)
            found.append(Visit(units * world.labelled, min(1.0, number / looks), counts))
    return found


def _moments(world: World, design: Design, days: float, lead: float) -> list[tuple[int, int, float]]:
    """Return number, number of all, and day of each look that may decide."""
    check = world.plan.length("check") / DAY
    if design == "fixed":
        return [(1, 1, days)]
    if design == "sequential":
        start = lead + max(world.cycle_days, world.days_for(world.least_units()))
        many = min(LOOKS, 1 + math.floor(max(0.0, days - start) / check + NEAR))
        step = (days - start) / max(1, many - 1)
        return [] if start > days * (1 + NEAR / 10) else [(1, 1, start + one * step) for one in range(many)]
    looks = world.plan.looks
    if check <= days / looks:
        return [(number, looks, number * days / looks) for number in range(1, looks + 1)]
    checks = math.ceil(days / check - NEAR)
    times = [min(days, one * check) for one in range(1, checks + 1)]
    return [(math.floor(at * looks / days + NEAR), looks, at) for at in times]


def power_in(world: World, design: Design, goal: Goal, days: float, *, lead: float = 0.0) -> float:
    """Return the probability that a promotion is proved in so many days; of several that of one of them."""
    from windsock.statistics.planning import power_of

    return power_of(
        arms_of(world, goal),
        visits(world, design, days, lead=lead),
        alpha=world.alpha,
        design=design,
        planned_units=float(max(world.plan.minimum_units, PROMOTION_UNITS)),
    )


class Need(NamedTuple):
    """What a test needs.

    :param units: of both arms, at its last step; infinite where no number is enough.
    :param days: of that step.
    :param why: what needs the most, in words; empty where the metric itself does.
    """

    units: float
    days: float
    why: str = ""


def needed(world: World, design: Design, goal: Goal, power: float) -> Need:
    """Return the units and days at the last step with which a promotion is proved with this probability."""
    least = max(
        [(0.0, ""), *_least(world, goal), *_hurdles(world)],
        key=lambda one: one[0],
    )
    if math.isinf(least[0]):
        return Need(math.inf, math.inf, least[1])
    shortest = max(world.cycle_days, world.days_for(least[0]))
    reach = cache(partial(power_in, world, design, goal))
    if reach(shortest) >= power:
        why = least[1] if world.days_for(least[0]) >= world.cycle_days else "cycle"
        return Need(math.ceil(max(least[0], world.units_in(shortest))), shortest, why)
    days = _where(reach, power, shortest)
    return Need(math.inf if math.isinf(days) else math.ceil(world.units_in(days)), days)


def _least(world: World, goal: Goal) -> list[tuple[float, str]]:
    """Return the units without which nothing is decided, and why."""
    found = [(float(world.least_units()), "minimum_units")]
    if world.bounded:
        arms = arms_of(world, goal)
        part = min(world.share, BASIS_POINTS - world.share) / BASIS_POINTS
        value = min(arms.champion.value, arms.challenger.value)
        hits = world.hits if world.hits is not None else value
        misses = world.misses if world.misses is not None else 1 - value
        if hits > 0 and misses > 0:
            units = SURE_EVENTS / min(hits, misses) / part / world.labelled
            found.append((units, f"{FEWEST_EVENTS} events of {world.plan.metric} in each arm"))
    return found


def _hurdles(world: World) -> list[tuple[float, str]]:
    """Return the units with which each guardrail lies inside its limit with its whole interval."""
    from windsock.statistics.planning import Arms, chance_inside

    plan, found = world.plan, []
    alpha = world.alpha / max(1, len(plan.limits)) / len(plan.shares)
    for name, hurdle in world.hurdles.items():
        limit = plan.limits[name]
        bounded = plan.metrics[name].kind in SHARE_KINDS
        alike = Arms(hurdle.baseline, hurdle.baseline, 0.0, share=world.share, bounded=bounded)
        inside = partial(chance_inside, alike, limit=limit, planned_units=GUARDRAIL_UNITS, alpha=alpha)
        first = max(100.0, world.least_units() * hurdle.labelled)
        units = first if inside(first) >= SURE else _where(inside, SURE, first)
        found.append((units / hurdle.labelled, f"guardrail:{name} inside its limit of {limit:g}"))
    return found


def detectable(world: World, design: Design, goal: Goal, power: float, days: float) -> float | None:
    """Return the smallest gain, or margin, that is seen with this probability in so many days.

    ``None`` where nothing can be: the time is shorter than a cycle, or brings too few units.
    """
    if not any(visit.counts for visit in visits(world, design, days)):
        return None

    @cache
    def reach(distance: float) -> float:
        return power_in(world, design, Goal(distance=distance, is_gain=goal.is_gain), days)

    low = goal.distance
    for _ in range(60):
        if reach(low) < power:
            return _where(reach, power, low)
        low /= 2
    return None


def _where(reach: Callable[[float], float], power: float, low: float) -> float:
    """Return where a power that grows is first so great; infinity where it never is.

    What it is the root of is nearly a line: the power in standard errors, over the root of what grows.

    :param low: where it is too small.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    reach = cache(reach)
    high = low
    while reach(high) < power:
        high *= 2
        if high > low * LARGEST:
            return math.inf

    # Both were asked above: they are not asked again for a square that is rounded.
    asked = {math.sqrt(end): end for end in (max(low, high / 2), high)}

    @cache
    def lacking(root: float) -> float:
        seen = reach(asked.get(root, root * root))
        return float(ndtri(min(1 - 1e-12, max(1e-12, seen))) - ndtri(power))

    ends = min(asked), max(asked)
    if not lacking(ends[0]) < 0 < lacking(ends[1]):
        return high  # so near to it that rounding decides
    return float(brentq(lacking, *ends, rtol=NEAR / 2)) ** 2


def span_text(days: float) -> str:
    """Return a length of time for people: minutes below an hour, hours below a day, else days."""
    hours = days * 24
    if hours >= 24:
        return f"{days:,.1f} days" if days < 100 else f"{days:,.0f} days"
    if hours >= 1:
        return f"{hours:.1f} hours"
    minutes = max(1, math.ceil(hours * 60 - NEAR))
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def own_design(plan: RolloutPlan) -> Design:
    """Return the design that a plan asks for."""
    return "group_sequential" if plan.horizon else "sequential"


def total_days(world: World, need: Need) -> float:
    """Return the days of all steps."""
    return world.lead_days + need.days


def own_power(world: World, goal: Goal) -> float:
    """Return the probability that the plan as it is promotes, guardrails aside, in its time."""
    return power_in(world, own_design(world.plan), goal, world.limit_days, lead=world.lead_days)


__all__ = [
    "POWER",
    "Goal",
    "Need",
    "arms_of",
    "detectable",
    "needed",
    "own_design",
    "own_power",
    "power_in",
    "span_text",
    "total_days",
    "usual_goal",
    "visits",
]
