"""How long a rollout must be: units, days at the present traffic, and what can be found in its time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import typer

from windsock.cli.console import table
from windsock.cli.rollout_traffic import World
from windsock.records import RolloutPlan
from windsock.rollout.promotion import PROMOTION_UNITS
from windsock.spec import parse_duration
from windsock.statistics.planning import Design

POWER = 0.8
USUAL_EFFECT = "10%"
MEANING: dict[Design, str] = {
    "fixed": "one look at its end and no other; shown to compare",
    "sequential": "looks at any time",
    "group_sequential": "planned looks up to a horizon",
}
HEAD = ("design", "units", "days", "found in", "what it is")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person wants to find.

    :param effect: such as ``10%`` of the champion's value or ``0.01`` of the metric; ``None``: the usual.
    """

    effect: str | None
    power: float


def effect_of(text: str | None, world: World) -> float:
    """Return the gain to find, in the metric's unit.

    :param text: ``10%`` of the champion's value, or a number; default: the plan's margin, else 10 %.
    """
    plan = world.plan
    if text is None and plan.margin:
        return plan.margin
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
    return effect


def plan_lines(world: World, asked: Asked) -> Iterator[str]:
    """Yield the plan."""
    plan, baseline = world.plan, world.baseline
    effect = effect_of(asked.effect, world)
    relative = f" ({effect / abs(baseline.value):.1%} of it)" if baseline.value else ""
    proof = f"a gain of {effect:.4g}{relative}"
    if plan.margin is not None and asked.effect is None and plan.margin:
        proof = f"that it loses less than {effect:.4g}{relative}"
    share = "beside the champion" if plan.strategy == "shadow" else f"{world.share / 100:g} % of the units"
    rate = world.by_day[-1]
    yield f"{world.model}: {plan.strategy} by {plan.metric}, {share}; from {world.source}"
    yield (
        f"champion: {plan.metric} {baseline.value:.4g}, standard deviation over units "
        f"{math.sqrt(baseline.variance):.4g}; {rate:,.0f} new units a day"
    )
    yield f"to see {proof} with probability {asked.power:g}, at most {plan.alpha:g} false promotions:"
    yield from table(HEAD, _rows(world, effect, asked.power))
    yield from (f"note: {note}" for note in (*world.notes, *_notes(world, effect, asked.power)))


def _rows(world: World, effect: float, power: float) -> list[tuple[str, ...]]:
    from windsock.statistics.planning import DESIGNS, detectable_effect

    most = world.units_in(parse_duration(world.limit) / timedelta(days=1))
    rows: list[tuple[str, ...]] = []
    for design in DESIGNS:
        units, days = needed(world, design, effect, power)
        found = detectable_effect(most, power=power, **_options(world, design))
        part = f" ({found / abs(world.baseline.value):.1%})" if world.baseline.value else ""
        mark = "; this plan" if design == own_design(world.plan) else ""
        rows.append(
            (
                design.replace("_", " "),
                f"{units:,}",
                f"{days:,.1f}",
                f"{found:.3g}{part} in {world.limit}",
                f"{MEANING[design]}{mark}",
            )
        )
    return rows


def own_design(plan: RolloutPlan) -> Design:
    """Return the design that a plan asks for."""
    return "group_sequential" if plan.horizon else "sequential"


def _options(world: World, design: Design) -> dict[str, Any]:
    """Return what the planner's functions are told of a world; the sequence is as narrow as the judge's."""
    plan = world.plan
    narrowest = float(max(plan.minimum_units, PROMOTION_UNITS)) if design == "sequential" else None
    return {
        "variance": world.baseline.variance,
        "share": world.share,
        "alpha": plan.alpha,
        "design": design,
        "looks": plan.looks,
        "planned_units": narrowest,
    }


def needed(world: World, design: Design, effect: float, power: float) -> tuple[int, float]:
    """Return units of both arms and days; never fewer than the plan's minimum and cycle."""
    from windsock.statistics.planning import power_at, sample_size

    plan, units, options = world.plan, world.plan.minimum_units, _options(world, design)
    if power_at(units, effect, **options) < power:
        units = max(units, sample_size(effect, power=power, **options))
    cycle = plan.length("cycle") / timedelta(days=1)
    return units, max(cycle, world.days_for(units))


def _notes(world: World, effect: float, power: float) -> Sequence[str]:
    plan = world.plan
    units, days = needed(world, own_design(plan), effect, power)
    notes = [
        f"whatever is seen: {plan.minimum_units:,} units (minimum_units) and {plan.cycle} (cycle) at least"
    ]
    if plan.strategy == "canary" and len(plan.shares) > 1:
        steps = len(plan.shares) - 1
        notes.append(
            f"a canary's {steps} steps before the last come on top: each {plan.minimum_units:,} units, about "
            f"{world.days_for(plan.minimum_units):.1f} days, and {plan.bake} at least"
        )
    longest = parse_duration(world.limit) / timedelta(days=1)
    if days > longest:
        word = "horizon" if plan.horizon else "deadline"
        notes.append(
            f"{days:,.0f} days are longer than the {word} of {world.limit}: such a gain would mostly end as "
            f"`kept`; look for a larger one, give it more time, or add a pre_period"
        )
    if not plan.horizon:
        _, planned = needed(world, "group_sequential", effect, power)
        if planned < days * 0.95:
            notes.append(f"with a horizon of {math.ceil(planned)}d the test takes about {planned:.1f} days")
    return notes


__all__ = ["POWER", "Asked", "effect_of", "needed", "plan_lines"]
