"""What a plan of a rollout starts from: the champion's value, and the units of the days to come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from windsock.exceptions import RolloutRefusedError
from windsock.ports import Ports, Traffic
from windsock.records import RolloutPlan, Span
from windsock.rollout.traffic_ahead import World, days_to_come, hurdles_of, without_unit, world_of
from windsock.spec import SHARE_KINDS, ModelSpec

if TYPE_CHECKING:
    from windsock.statistics.planning import Baseline

DAYS = 7


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a person says instead of the traffic.

    :param baseline: the metric of the champion.
    :param sd: its standard deviation over units.
    """

    baseline: float | None = None
    units_per_day: float | None = None
    sd: float | None = None


def plan_world(spec: ModelSpec, ports: Ports, days: int, given: Given) -> World:
    """Return what is known of the model's traffic, or what a person says of it.

    :raises RolloutRefusedError: if neither tells the champion's value or the units.
    """
    asked, notes = spec, []
    if spec.rollout.strategy == "direct":
        block = {**spec.rollout.model_dump(mode="json", exclude_unset=True), "strategy": "ab"}
        asked = spec.replace(rollout=type(spec.rollout).model_validate(block))
        notes.append("rollout.strategy is direct: this is what an ab would need")
    plan, now = RolloutPlan.of_spec(asked), ports.now()
    seen = None
    if given.baseline is None or given.units_per_day is None:
        span = Span(start=now - timedelta(days=days), end=now)
        seen = ports.events.traffic(spec.name, plan, span)
    if plan.metrics[plan.metric].kind == "rate" and given.baseline is not None and given.sd is None:
        notes.append("the spread of a rate by hand is that of one exposure for each unit; better: --sd")
    source = "numbers given by hand" if seen is None else f"{seen.units:,} units of the last {days} days"
    if given.baseline is None and seen is not None:
        return _seen_world(spec.name, plan, seen, given, source, tuple(notes))
    notes.append("guardrails but harm are taken to need no units: --baseline tells nothing of them")
    return World(
        model=spec.name,
        plan=plan,
        baseline=_by_hand(plan, given),
        by_day=_by_day(spec.name, seen, given),
        source=source,
        notes=tuple(notes),
        hurdles={} if seen is None else hurdles_of(plan, seen),
        challengers=plan.challengers,
    )


def _seen_world(
    model: str, plan: RolloutPlan, seen: Traffic, given: Given, source: str, notes: tuple[str, ...]
) -> World:
    by_hand = None if given.units_per_day is None else _by_day(model, seen, given)
    found = world_of(
        model, plan, seen, source=source, notes=notes, by_day=by_hand, challengers=plan.challengers
    )
    if isinstance(found, str):
        raise _nothing(model, found)
    return replace(found, notes=(*found.notes, *without_unit(seen)))


def _by_hand(plan: RolloutPlan, given: Given) -> Baseline:
    from windsock.statistics.planning import Baseline

    bounded, value = plan.metrics[plan.metric].kind in SHARE_KINDS, given.baseline or 0.0
    if bounded and not 0 < value < 1:
        raise typer.BadParameter("a share between 0 and 1, such as 0.05", param_hint="--baseline")
    if given.sd is None and not bounded:
        raise typer.BadParameter(
            f"{plan.metric} is no share: say its standard deviation over units", param_hint="--sd"
        )
    if given.sd is not None and not given.sd > 0:
        raise typer.BadParameter("a number above 0", param_hint="--sd")
    return Baseline(value, given.sd**2 if given.sd is not None else value * (1 - value))


def _by_day(model: str, seen: Traffic | None, given: Given) -> tuple[float, ...]:
    if given.units_per_day is not None:
        if not given.units_per_day > 0:
            raise typer.BadParameter("a number above 0", param_hint="--units-per-day")
        return (given.units_per_day,)
    found = days_to_come(seen) if seen is not None else ()
    if not found:
        raise _nothing(model, "no unit came in the later half of those days")
    return found


def _nothing(model: str, why: str) -> RolloutRefusedError:
    return RolloutRefusedError(
        f"{model}: the traffic does not tell enough to plan with: {why}",
        code="WS-ROLLOUT-071",
        next_action="Say it by hand with --baseline and --units-per-day (and --sd for a metric that is no "
        "share), look further back with --days, or wait for traffic.",
    )


__all__ = ["DAYS", "Given", "World", "plan_world"]
