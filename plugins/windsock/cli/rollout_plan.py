"""How long a rollout must be, as a table: units, days at the present traffic, what is found in its time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from windsock.cli.console import table
from windsock.rollout.guardrails import PREFIX
from windsock.rollout.outlook import large_margin
from windsock.rollout.planning import (
    POWER,
    Goal,
    Need,
    detectable,
    needed,
    own_design,
    own_power,
    span_text,
    usual_goal,
)
from windsock.rollout.traffic_ahead import HALF, World
from windsock.spec import OUTCOME_KINDS
from windsock.statistics.planning import Design

USUAL_EFFECT = "10%"
MEANING: dict[Design, str] = {
    "fixed": "one look at its end and no other, as with looks: 1",
    "sequential": "looks at any time",
    "group_sequential": "planned looks up to a horizon",
}
OWN_HELP = {"cycle": "a shorter `cycle`", "minimum_units": "fewer `minimum_units`"}
"""What else helps where a key of the plan needs the most."""
HEAD = ("design", "units", "time", "found in", "what it is")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person wants to find.

    :param effect: such as ``10%`` of the champion's value or ``0.01`` of the metric; ``None``: the usual.
    """

    effect: str | None
    power: float


def goal_of(text: str | None, world: World) -> Goal:
    """Return what shall be seen.

    :param text: a gain as ``10%`` of the champion's value, or a number; default: the plan's margin, else
        10 %.
    """
    if text is None and (usual := usual_goal(world)) is not None:
        return usual
    shown = (USUAL_EFFECT if text is None else text).strip()
    try:
        number = float(shown.removesuffix("%"))
    except ValueError:
        number = math.nan
    effect = number / 100 * abs(world.baseline.value) if shown.endswith("%") else number
    if not (0 < effect < math.inf):
        raise typer.BadParameter(
            "a number above 0, such as 10% of the champion's value or 0.01 of the metric",
            param_hint="--effect",
        )
    return Goal(distance=effect, is_gain=True)


def plan_lines(world: World, asked: Asked) -> Iterator[str]:
    """Yield the plan."""
    plan, baseline = world.plan, world.baseline
    goal = goal_of(asked.effect, world)
    relative = f" ({goal.distance / abs(baseline.value):.1%} of it)" if baseline.value else ""
    proof = "a gain of" if goal.is_gain else "that it loses less than"
    share = "beside the champion" if plan.strategy == "shadow" else _share(world)
    yield f"{world.model}: {plan.strategy} by {plan.metric}, {share}; from {world.source}"
    yield (
        f"champion: {plan.metric} {baseline.value:.4g}, standard deviation over units "
        f"{math.sqrt(baseline.variance):.4g}; {world.by_day[-1]:,.0f} new units a day"
    )
    yield (
        f"to see {proof} {goal.distance:.4g}{relative} with probability {asked.power:g}, at most "
        f"{plan.alpha:g} false promotions:"
    )
    yield from table(HEAD, _rows(world, goal, asked.power))
    yield from (f"note: {note}" for note in (*world.notes, *_notes(world, goal, asked.power)))


def plan_facts(world: World, asked: Asked) -> dict[str, Any]:
    """Return the plan for programs; a number that is not finite is one that never suffices."""
    from windsock.statistics.planning import DESIGNS

    plan, goal = world.plan, goal_of(asked.effect, world)
    designs = []
    for design in DESIGNS:
        need = needed(world, design, goal, asked.power)
        found = detectable(world, design, goal, asked.power, world.limit_days)
        designs.append(
            {
                "design": design,
                "is_of_this_plan": design == own_design(plan),
                "units": need.units,
                "days": need.days,
                "needs_the_most": need.why or plan.metric,
                "detectable": found or None,
            }
        )
    return {
        "model": world.model,
        "strategy": plan.strategy,
        "metric": plan.metric,
        "source": world.source,
        "champion": world.baseline.value,
        "standard_deviation": math.sqrt(world.baseline.variance),
        "units_per_day": world.by_day[-1],
        "effect": goal.distance,
        "is_gain": goal.is_gain,
        "power": asked.power,
        "alpha": plan.alpha,
        "limit": world.limit,
        "designs": designs,
        "notes": [*world.notes, *_notes(world, goal, asked.power)],
    }


def _share(world: World) -> str:
    each = f"{world.share_each / 100:g} % of the units"
    return each if world.challengers == 1 else f"{each} for each of {world.challengers} challengers"


def _of_several(world: World) -> list[str]:
    """Return what the numbers are of where several challengers are tried."""
    if world.challengers == 1:
        return []
    many = world.challengers
    told = (
        f"each of the {many} challengers is held against the champion alone, with {world.plan.alpha:g} / "
        f"{many} false promotions: units are those of the champion and one of them, {world.paired():.0%} of "
        "all, and probabilities are of one of them"
    )
    return [told]


def _rows(world: World, goal: Goal, power: float) -> list[tuple[str, ...]]:
    from windsock.statistics.planning import DESIGNS

    rows: list[tuple[str, ...]] = []
    for design in DESIGNS:
        need = needed(world, design, goal, power)
        found = detectable(world, design, goal, power, world.limit_days)
        part = f" ({found / abs(world.baseline.value):.1%})" if found and world.baseline.value else ""
        mark = "; this plan" if design == own_design(world.plan) else ""
        rows.append(
            (
                design.replace("_", " "),
                "no number" if math.isinf(need.units) else f"{need.units:,.0f}",
                "no time" if math.isinf(need.days) else span_text(need.days),
                f"{found:.3g}{part} in {world.limit}" if found else f"nothing in {world.limit}",
                f"{MEANING[design]}{mark}",
            )
        )
    return rows


def _notes(world: World, goal: Goal, power: float) -> Sequence[str]:
    plan = world.plan
    need = needed(world, own_design(plan), goal, power)
    notes = [
        *_of_several(world),
        f"whatever is seen: {plan.minimum_units:,} units (minimum_units) and {plan.cycle} (cycle) at least",
        *_longest(world, need),
    ]
    if plan.strategy == "canary" and len(plan.shares) > 1:
        steps = len(plan.shares) - 1
        notes.append(
            f"a canary's {steps} steps before the last come on top: each {plan.minimum_units:,} units, "
            f"{span_text(world.lead_days)} together, and {plan.bake} each at least"
        )
    large = large_margin(world)
    if large:
        notes.append(large)
    if need.days + world.lead_days > world.limit_days:
        notes.append(_too_long(world, goal, need, is_large=bool(large)))
    else:
        chance = own_power(world, goal)
        notes.append(f"this plan as it is, by its {world.limit}, sees it with probability {chance:.2f}")
    if not plan.horizon:
        planned = needed(world, "group_sequential", goal, power).days
        if planned < need.days * 0.95:
            notes.append(f"with a horizon of {_whole(planned)} the test takes about {span_text(planned)}")
    return notes


def _whole(days: float) -> str:
    """Return a time span as a model's file has it, rounded up."""
    hours = days * 24
    if hours >= 24:
        return f"{math.ceil(days)}d"
    return f"{math.ceil(hours)}h" if hours >= 1 else f"{max(1, math.ceil(hours * 60))}m"


def _too_long(world: World, goal: Goal, need: Need, *, is_large: bool) -> str:
    """Return that the plan does not fit into its time, and what helps against what needs the most.

    :param is_large: whether the margin was called too large.
    """
    plan = world.plan
    word, days = "horizon" if plan.horizon else "deadline", need.days + world.lead_days
    told = f"{span_text(days)} is longer than the {word} of {world.limit}"
    if math.isinf(days):
        told = "no time is enough for it"
    helps = _joined(_helps(world, goal, need, is_large=is_large))
    return f"{told}: it would mostly end as `kept`; {helps}"


def _helps(world: World, goal: Goal, need: Need, *, is_large: bool) -> list[str]:
    """Return what helps: of a guardrail, or events, it is units, share and time, not what is to be seen."""
    plan, word = world.plan, "horizon" if world.plan.horizon else "deadline"
    if math.isinf(need.days) and need.why.startswith(PREFIX):
        return ["write a wider limit for that guardrail"]
    larger = [] if is_large and not goal.is_gain else ["look for a larger gain", "write a larger margin"]
    seen = larger[:1] if goal.is_gain else larger[1:]
    share = ["a larger share"] if plan.strategy != "shadow" and world.share < HALF else []
    helps = [f"give it more time (`{word}`)", *share, *(["fewer steps"] if len(plan.shares) > 1 else [])]
    if need.why in OWN_HELP:
        return [*helps, OWN_HELP[need.why]]
    if need.why:
        return [*helps, "more units a day"]
    has_one = plan.metrics[plan.metric].kind in OUTCOME_KINDS and plan.pre_period is None
    return [*seen, *helps, *(["a `pre_period`"] if has_one else [])]


def _joined(helps: list[str]) -> str:
    return f"{', '.join(helps[:-1])}, or {helps[-1]}" if len(helps) > 1 else helps[0]


def _longest(world: World, need: Need) -> list[str]:
    """Return what needs the most units, where that is not the metric."""
    if need.why == "cycle":
        return [f"the {need.units:,.0f} units are those of a whole cycle: the metric itself needs fewer"]
    if need.why in ("", "minimum_units"):
        return []
    if math.isinf(need.units):
        return [f"{need.why}: no number of units is enough for it; such a rollout is never promoted"]
    return [f"{need.why} needs the most units: the metric itself would need fewer"]


__all__ = ["POWER", "Asked", "goal_of", "plan_facts", "plan_lines"]
