"""What a plan of a rollout starts from: the champion's value, and the units of the days to come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from windsock.exceptions import RolloutRefusedError
from windsock.ports import Ports, Traffic
from windsock.records import RolloutPlan, Span
from windsock.spec import SHARE_KINDS, ModelSpec

if TYPE_CHECKING:
    from windsock.statistics.planning import Baseline

DAYS = 7
HALF = 5_000
"""Basis points of each arm of a shadow's comparison: every unit is in both."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a person says instead of the traffic.

    :param baseline: the metric of the champion.
    :param sd: its standard deviation over units.
    """

    baseline: float | None = None
    units_per_day: float | None = None
    sd: float | None = None


@dataclass(frozen=True, kw_only=True)
class World:
    """What the plan starts from.

    :param by_day: new units on each day to come; the last one goes on for ever.
    :param source: where the numbers are from.
    :param notes: what must be known of them, one sentence each.
    """

    model: str
    plan: RolloutPlan
    baseline: Baseline
    by_day: tuple[float, ...]
    source: str
    notes: tuple[str, ...] = ()

    @property
    def arms(self) -> int:
        """Arms that one unit counts in: a shadow sees the champion's units."""
        return 2 if self.plan.strategy == "shadow" else 1

    @property
    def share(self) -> int:
        """Basis points of the challenger at the step that decides."""
        return HALF if self.plan.strategy == "shadow" else self.plan.shares[-1]

    @property
    def limit(self) -> str:
        """How long it may last."""
        return self.plan.horizon or self.plan.deadline

    def units_in(self, days: float) -> float:
        """Return the units of both arms after so many days."""
        whole = self.by_day[: math.floor(days)]
        rest = self.by_day[min(len(whole), len(self.by_day) - 1)] * (days - len(whole))
        return (sum(whole) + rest) * self.arms

    def days_for(self, units: float) -> float:
        """Return after how many days there are so many units of both arms."""
        missing, days = units / self.arms, 0.0
        for count in self.by_day[:-1]:
            if count >= missing:
                return days + missing / count
            missing, days = missing - count, days + 1
        return days + missing / self.by_day[-1]


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
    baseline = _baseline(spec.name, plan, seen, given)
    by_day = _by_day(spec.name, seen, given)
    if plan.metrics[plan.metric].kind == "rate" and given.baseline is not None and given.sd is None:
        notes.append("the spread of a rate by hand is that of one exposure for each unit; better: --sd")
    source = "numbers given by hand" if seen is None else f"{seen.units:,} units of the last {days} days"
    return World(
        model=spec.name, plan=plan, baseline=baseline, by_day=by_day, source=source, notes=tuple(notes)
    )


def _baseline(model: str, plan: RolloutPlan, seen: Traffic | None, given: Given) -> Baseline:
    from windsock.statistics.planning import Baseline, baseline_of

    bounded = plan.metrics[plan.metric].kind in SHARE_KINDS
    if given.baseline is not None:
        if bounded and not 0 < given.baseline < 1:
            raise typer.BadParameter("a share between 0 and 1, such as 0.05", param_hint="--baseline")
        if given.sd is None and not bounded:
            raise typer.BadParameter(
                f"{plan.metric} is no share: say its standard deviation over units", param_hint="--sd"
            )
        if given.sd is not None and not given.sd > 0:
            raise typer.BadParameter("a number above 0", param_hint="--sd")
        variance = given.sd**2 if given.sd is not None else given.baseline * (1 - given.baseline)
        return Baseline(given.baseline, variance)
    sums = seen.metrics.get(plan.metric) if seen else None
    found = baseline_of(sums, bounded=bounded) if sums is not None else None
    if found is None:
        with_value = sums.units if sums is not None else 0
        raise _nothing(
            model,
            f"{seen.units if seen else 0:,} units were answered, {with_value:,} of them have a value of "
            f"{plan.metric}, and two that differ are needed",
        )
    return found


def _by_day(model: str, seen: Traffic | None, given: Given) -> tuple[float, ...]:
    """Return the new units on the days to come: as on the days that were, then as in their later half."""
    if given.units_per_day is not None:
        if not given.units_per_day > 0:
            raise typer.BadParameter("a number above 0", param_hint="--units-per-day")
        return (given.units_per_day,)
    counts = list(seen.by_day) if seen else []
    while counts and not counts[0]:
        counts.pop(0)
    later = counts[len(counts) // 2 :]
    rate = sum(later) / len(later) if later else 0.0
    if not rate:
        raise _nothing(model, "no unit came in the later half of those days")
    return (*map(float, counts), rate)


def _nothing(model: str, why: str) -> RolloutRefusedError:
    return RolloutRefusedError(
        f"{model}: the traffic does not tell enough to plan with: {why}",
        code="WS-ROLLOUT-071",
        next_action="Say it by hand with --baseline and --units-per-day (and --sd for a metric that is no "
        "share), look further back with --days, or wait for traffic.",
    )


__all__ = ["DAYS", "Given", "World", "plan_world"]
