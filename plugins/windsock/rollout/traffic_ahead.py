"""What a rollout to come will meet: the champion's values, and the units of the days to come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from windsock.ports import Traffic
from windsock.records import BASIS_POINTS, RolloutPlan
from windsock.rollout.look import FEWEST_UNITS
from windsock.spec import HARM, SHARE_KINDS, parse_duration

if TYPE_CHECKING:
    from windsock.statistics.planning import Baseline

HALF = BASIS_POINTS // 2
"""Basis points of each arm of a shadow's comparison: every unit is in both."""
SHORTEST = 1 / 24
"""Part of a day, at least, that the units of one are taken to have come in."""
MANY_UNITLESS = 0.01
"""Part of the requests that may lack a unit without a word."""
DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Hurdle:
    """What a guardrail's metric shows before the rollout.

    :param labelled: part of the units that have a value.
    """

    baseline: Baseline
    labelled: float = 1.0


@dataclass(frozen=True, kw_only=True)
class World:
    """What the plan starts from.

    Of several challengers each is held against the champion alone: units are those of these two arms.

    :param by_day: new units on each day to come; the last one goes on for ever.
    :param source: where the numbers are from.
    :param notes: what must be known of them, one sentence each.
    :param labelled: part of the units that have a value of the metric.
    :param hits: events of the metric for each unit that has a value; ``None``: as many as its value says.
    :param misses: likewise exposures, or units, without the event.
    :param hurdles: what is known of the guardrails' metrics, by guardrail; those that are not named are taken
        to need no units.
    :param challengers: versions that are tried at once; they share the plan's share and its alpha evenly.
    """

    model: str
    plan: RolloutPlan
    baseline: Baseline
    by_day: tuple[float, ...]
    source: str
    notes: tuple[str, ...] = ()
    labelled: float = 1.0
    hits: float | None = None
    misses: float | None = None
    hurdles: Mapping[str, Hurdle] = field(default_factory=dict)
    challengers: int = 1

    @property
    def arms(self) -> int:
        """Arms that one unit counts in: a shadow sees the champion's units."""
        return 2 if self.plan.strategy == "shadow" else 1

    @property
    def alpha(self) -> float:
        """Risk that one challenger is promoted wrongly."""
        return self.plan.alpha / self.challengers

    @property
    def share(self) -> float:
        """Basis points of one challenger at the step that decides, of the units of both arms."""
        return self._share(-1)

    @property
    def share_each(self) -> int:
        """Basis points of one challenger at the step that decides, of all units."""
        return HALF if self.plan.strategy == "shadow" else self.plan.shares[-1] // self.challengers

    def paired(self, step: int = -1) -> float:
        """Return the part of all units that belong to the champion or to one challenger."""
        if self.challengers == 1:
            return 1.0
        each = self.plan.shares[step] // self.challengers
        return 1 - (self.challengers - 1) * each / BASIS_POINTS

    @property
    def bounded(self) -> bool:
        """Whether the metric is a share."""
        return self.plan.metrics[self.plan.metric].kind in SHARE_KINDS

    @property
    def limit(self) -> str:
        """How long it may last."""
        return self.plan.horizon or self.plan.deadline

    @property
    def limit_days(self) -> float:
        """How long it may last, in days."""
        return parse_duration(self.limit) / DAY

    @property
    def cycle_days(self) -> float:
        """How long its last step lasts at least."""
        lengths = ["cycle"] if self.plan.strategy == "ab" else ["cycle", "bake"]
        return max(parse_duration(getattr(self.plan, name)) for name in lengths) / DAY

    def least_units(self, step: int = -1) -> int:
        """Return the units without which a step is not decided, whatever is seen."""
        share = self._share(step)
        return max(
            self.plan.minimum_units, math.ceil(FEWEST_UNITS * BASIS_POINTS / min(share, BASIS_POINTS - share))
        )

    @property
    def lead_days(self) -> float:
        """How long the steps before the last take."""
        bake = self.plan.length("bake") / DAY
        return sum(
            max(bake, self.days_for(self.least_units(step), step))
            for step in range(len(self.plan.shares) - 1)
        )

    def units_in(self, days: float) -> float:
        """Return the units of both arms after so many days of the last step."""
        whole = self.by_day[: math.floor(days)]
        rest = self.by_day[min(len(whole), len(self.by_day) - 1)] * (days - len(whole))
        return (sum(whole) + rest) * self.arms * self.paired()

    def days_for(self, units: float, step: int = -1) -> float:
        """Return after how many days of a step there are so many units of both arms."""
        missing, days = units / self.arms / self.paired(step), 0.0
        for count in self.by_day[:-1]:
            if count >= missing:
                return days + missing / count
            missing, days = missing - count, days + 1
        return days + missing / self.by_day[-1]

    def _share(self, step: int) -> float:
        if self.challengers == 1:
            return HALF if self.plan.strategy == "shadow" else self.plan.shares[step]
        return self.plan.shares[step] // self.challengers / self.paired(step)


def world_of(
    model: str,
    plan: RolloutPlan,
    seen: Traffic,
    *,
    source: str,
    notes: tuple[str, ...] = (),
    by_day: tuple[float, ...] | None = None,
    challengers: int = 1,
) -> World | str:
    """Return what a stretch of the log tells of a rollout to come, or why it tells nothing.

    :param by_day: new units of the days to come, where they are known otherwise.
    :param challengers: versions that are tried at once.
    """
    from windsock.statistics.planning import baseline_of

    bounded = plan.metrics[plan.metric].kind in SHARE_KINDS
    sums = seen.metrics.get(plan.metric)
    found = baseline_of(sums, bounded=bounded) if sums is not None else None
    if sums is None or found is None:
        return (
            f"{seen.units:,} units were answered, {sums.units if sums else 0:,} of them have a value of "
            f"{plan.metric}, and two that differ are needed"
        )
    by_day = days_to_come(seen) if by_day is None else by_day
    if not by_day:
        return "no unit came in the later half of those days"
    return World(
        model=model,
        plan=plan,
        baseline=found,
        by_day=by_day,
        source=source,
        notes=notes,
        labelled=_part(sums.units, seen.units),
        hits=sums.num / sums.units,
        misses=(sums.den - sums.num) / sums.units,
        hurdles=hurdles_of(plan, seen),
        challengers=challengers,
    )


def days_to_come(seen: Traffic) -> tuple[float, ...]:
    """Return the new units on the days to come: as on the days that were, then as in their later half.

    Empty where no unit came in that half. A day that the log has a part of counts as if it were whole.
    """
    since = max(seen.span.start, seen.first or seen.span.start)
    counts = []
    for number, count in enumerate(seen.by_day):
        begins = seen.span.start + number * DAY
        covered = min(begins + DAY, seen.span.end) - max(begins, since)
        counts.append(count / max(SHORTEST, min(1.0, covered / DAY)))
    while counts and not counts[0]:
        counts.pop(0)
    later = counts[len(counts) // 2 :]
    rate = sum(later) / len(later) if later else 0.0
    return (*counts, rate) if rate else ()


def without_unit(seen: Traffic) -> tuple[str, ...]:
    """Return what a planner must know where requests name no unit."""
    if seen.unitless <= MANY_UNITLESS * seen.exposures:
        return ()
    told = (
        f"{seen.unitless / seen.exposures:.0%} of the requests had no `unit`: each is a unit of its own, so "
        "a person who comes twice counts twice and may meet both versions; send `unit` with each request"
    )
    return (told,)


def hurdles_of(plan: RolloutPlan, seen: Traffic) -> dict[str, Hurdle]:
    """Return what a stretch of the log tells of the guardrails but ``harm``, the metric's own."""
    from windsock.statistics.planning import baseline_of

    found: dict[str, Hurdle] = {}
    for name in plan.limits:
        sums = seen.metrics.get(name) if name != HARM else None
        bounded = name != HARM and plan.metrics[name].kind in SHARE_KINDS
        baseline = baseline_of(sums, bounded=bounded) if sums is not None else None
        if sums is not None and baseline is not None:
            found[name] = Hurdle(baseline=baseline, labelled=_part(sums.units, seen.units))
    return found


def _part(some: int, every: int) -> float:
    return min(1.0, some / every) if some and every else 1.0


__all__ = ["Hurdle", "World", "days_to_come", "hurdles_of", "without_unit", "world_of"]
