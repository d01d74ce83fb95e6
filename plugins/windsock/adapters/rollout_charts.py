"""The charts of a rollout's page: the difference over the looks, z against its bounds, units by arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from windsock.adapters.svg_chart import Anchor, LineChart, steps_of, thinned
from windsock.records import Interval, RolloutDecision, RolloutPlan

MOST_LOOKS = 400
"""Looks that a chart shows; of more, every second, third ... is drawn."""
MOST_DOTTED = 60
SETTLED = 4
"""The first quarter of the looks, whose intervals are wide, does not decide on the chart's height."""


def charts(plan: RolloutPlan, decisions: Sequence[RolloutDecision]) -> str:
    """Return the charts that the decisions have numbers for, each with its caption."""
    drawn = (
        ("Challenger minus champion, by look", _difference(plan, decisions)),
        ("z at the planned looks, and their bounds", _bounds(plan, decisions)),
        ("Units by arm, in the step of the look", _units(decisions)),
    )
    return "".join(
        f"<figure><figcaption>{caption}</figcaption>{chart}</figure>" for caption, chart in drawn if chart
    )


def _at(look: RolloutDecision) -> float:
    return look.judged_at.timestamp()


def _by_step(looks: Sequence[RolloutDecision]) -> Iterator[list[RolloutDecision]]:
    """Yield the looks of each step: what was seen begins anew with every one."""
    for _, group in groupby(looks, key=attrgetter("step")):
        yield list(group)


def _seen(looks: Sequence[RolloutDecision]) -> list[tuple[RolloutDecision, Interval, float]]:
    return thinned(
        [
            (look, look.estimate.interval, look.estimate.difference)
            for look in looks
            if look.estimate.interval is not None and look.estimate.difference is not None
        ],
        MOST_LOOKS,
    )


def margin_of(plan: RolloutPlan, decisions: Sequence[RolloutDecision]) -> float | None:
    """Return the difference at which the challenger is just not worse; ``None``: it must be better.

    Of a margin that is a part of the champion's value it is what the last look was held against.
    """
    if plan.margin is None and plan.relative_margin is None:
        return None
    last = next((check for check in decisions[-1].checks if check.name == "promotion"), None)
    if plan.relative_margin is not None and last is not None:
        return last.limit
    if plan.margin is None:
        return None
    return plan.margin if plan.metrics[plan.metric].lower_is_better else -plan.margin


def _difference(plan: RolloutPlan, decisions: Sequence[RolloutDecision]) -> str:
    seen = _seen(decisions)
    if not seen:
        return ""
    margin = margin_of(plan, decisions)
    limits = [0.0] if margin is None else [0.0, margin]
    settled = seen[len(seen) // SETTLED :]
    ends = [end for _, interval, _ in settled for end in (interval.low, interval.high)]
    chart = LineChart(
        _span([look for look, _, _ in seen]),
        _room([*ends, *limits]),
        name="difference",
        label=f"interval of the difference of {plan.metric} by look",
    )
    _frame(chart, [*ends, *limits], [look for look, _, _ in seen])
    for step in _by_step([look for look, _, _ in seen]):
        inside = {look.number for look in step}
        part = [(_at(look), interval, value) for look, interval, value in seen if look.number in inside]
        if len(part) == 1:
            chart.bar(part[0][0], part[0][1].low, part[0][1].high, "whisker")
        chart.band([(at, interval.low, interval.high) for at, interval, _ in part], "band")
        points = [(at, value) for at, _, value in part]
        chart.line(points, "challenger")
        if len(seen) <= MOST_DOTTED:
            chart.dots(points, "dot")
    chart.level(0.0, "zero")
    if margin is not None and margin != 0:
        chart.level(margin, "limit", "margin")
    _step_marks(chart, decisions)
    return chart.svg()


def _bounds(plan: RolloutPlan, decisions: Sequence[RolloutDecision]) -> str:
    """Draw z against its bounds; with a margin it is the interval that is held against it, not z."""
    looks = thinned(
        [
            (look, look.estimate.z, look.estimate.bound)
            for look in decisions
            if look.planned_look is not None
            and look.estimate.z is not None
            and look.estimate.bound is not None
        ],
        MOST_LOOKS,
    )
    if not looks or plan.margin is not None or plan.relative_margin is not None:
        return ""
    highest = max(bound for _, _, bound in looks[len(looks) // SETTLED :])
    values = [*(z for _, z, _ in looks), -highest, highest, 0.0]
    chart = LineChart(
        _span([look for look, _, _ in looks]), _room(values), name="bounds", label="z against its bounds"
    )
    _frame(chart, values, [look for look, _, _ in looks])
    chart.level(0.0, "zero")
    for side in (1, -1):
        points = [(_at(look), side * bound) for look, _, bound in looks]
        chart.line(points, "limit")
        chart.dots(points, "bound")
    points = [(_at(look), z) for look, z, _ in looks]
    chart.line(points, "challenger")
    chart.dots(points, "dot")
    return chart.svg()


def _units(decisions: Sequence[RolloutDecision]) -> str:
    looks = thinned(list(decisions), MOST_LOOKS)
    largest = max((max(_pair(look)) for look in looks), default=0)
    if largest == 0:
        return ""
    chart = LineChart(_span(looks), (0.0, largest * 1.08), name="units", label="units by arm and look")
    _frame(chart, [0.0, float(largest)], looks, whole=True)
    for step in _by_step(looks):
        for place, style in enumerate(("champion", "challenger")):
            points = [(_at(look), float(_pair(look)[place])) for look in step]
            chart.line(points, style)
            if len(looks) <= MOST_DOTTED:
                chart.dots(points, "dot" if place else "olddot")
    _step_marks(chart, decisions)
    return chart.svg()


def _pair(look: RolloutDecision) -> tuple[int, int]:
    return look.totals.champion.units, look.totals.challenger.units


def _span(looks: Sequence[RolloutDecision]) -> tuple[float, float]:
    return _at(looks[0]), _at(looks[-1])


def _room(values: Iterable[float]) -> tuple[float, float]:
    """Return the ends of an axis with a little air."""
    seen = list(values)
    low, high = min(seen), max(seen)
    air = (high - low) * 0.1 or 1e-3
    return low - air, high + air


def _frame(
    chart: LineChart, values: Sequence[float], looks: Sequence[RolloutDecision], *, whole: bool = False
) -> None:
    low, high = min(values), max(values)
    ticks = steps_of(low, high) if high > low else [low]
    if whole:
        ticks = [tick for tick in ticks if tick == int(tick)]
    chart.grid((tick, f"{tick:,.0f}" if whole else f"{tick:.4g}") for tick in ticks)
    first, last = looks[0], looks[-1]
    short = (last.judged_at - first.judged_at).total_seconds() < 3 * 86_400
    form = "%d %b %H:%M" if short else "%d %b %Y"
    edges: list[tuple[float, str, Anchor]] = [(_at(first), f"{first.judged_at:{form}}", "start")]
    if last.number != first.number:
        edges.append((_at(last), f"{last.judged_at:{form}} UTC", "end"))
    else:
        edges = [(_at(first), f"{first.judged_at:{form}} UTC", "middle")]
    chart.below(edges)


def _step_marks(chart: LineChart, decisions: Sequence[RolloutDecision]) -> None:
    steps = [step[0] for step in _by_step(decisions)]
    for begun in steps if len(steps) > 1 else ():
        chart.mark(_at(begun), "step", f"{begun.share / 100:g} %")


__all__ = ["charts"]
