"""The charts of a rollout's page: the difference over the looks, z against its bounds, units by arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from windsock.adapters.svg_chart import Anchor, LineChart, steps_of, thinned
from windsock.records import ChallengerLook, Interval, Rollout, RolloutDecision, RolloutPlan, judged_of

MOST_LOOKS = 400
"""Looks that a chart shows; of more, every second, third ... is drawn."""
MOST_DOTTED = 60
SETTLED = 4
"""The first quarter of the looks, whose intervals are wide, does not decide on the chart's height."""


def charts(rollout: Rollout, decisions: Sequence[RolloutDecision]) -> str:
    """Return the charts that the decisions have numbers for, each with its caption.

    Of several challengers each has its own, against the champion alone, up to the look that dropped it.
    """
    drawn = [
        chart
        for lane, one in enumerate(rollout.challengers)
        for chart in _of_challenger(rollout, f" {one.version}", lane, decisions)
    ]
    drawn.append(("Units by arm, in the step of the look", _units(decisions)))
    return "".join(
        f"<figure><figcaption>{caption}</figcaption>{chart}</figure>" for caption, chart in drawn if chart
    )


def _of_challenger(
    rollout: Rollout, version: str, lane: int, decisions: Sequence[RolloutDecision]
) -> list[tuple[str, str]]:
    plan, several = rollout.plan, bool(rollout.others)
    who, end = (f"Version{escape(version)}", f"-{lane + 1}") if several else ("Challenger", "")
    about = f"{who}: z" if several else "z"
    looks = [one for look in decisions if (one := _point(look, lane)) is not None]
    return [
        (f"{who} minus champion, by look", _difference(plan, looks, decisions, end, lane)),
        (f"{about} at the planned looks, and their bounds", _bounds(plan, looks, end, lane)),
    ]


class Point(NamedTuple):
    """What a look says of one challenger."""

    look: RolloutDecision
    judged: RolloutDecision | ChallengerLook


def _point(look: RolloutDecision, lane: int) -> Point | None:
    """Return what a look says of a challenger; ``None`` from the look on that follows its drop."""
    judged = judged_of(look, lane)
    if judged is None or (isinstance(judged, ChallengerLook) and judged.withdrawn):
        return None
    return Point(look, judged)


def lane_style(name: str, lane: int) -> str:
    """Return the class by which a challenger's part of a chart has its colour.

    :param lane: from 0; the first challenger has the plain class, as where there is one.
    """
    return name if lane == 0 else f"{name}-{lane + 1}"


def _at(look: RolloutDecision) -> float:
    return look.judged_at.timestamp()


def _by_step(looks: Sequence[RolloutDecision]) -> Iterator[list[RolloutDecision]]:
    """Yield the looks of each step: what was seen begins anew with every one."""
    for _, group in groupby(looks, key=attrgetter("step")):
        yield list(group)


def _seen(points: Sequence[Point]) -> list[tuple[RolloutDecision, Interval, float]]:
    return thinned(
        [
            (look, judged.estimate.interval, judged.estimate.difference)
            for look, judged in points
            if judged.estimate.interval is not None and judged.estimate.difference is not None
        ],
        MOST_LOOKS,
    )


def margin_of(plan: RolloutPlan, last: RolloutDecision | ChallengerLook) -> float | None:
    """Return the difference at which the challenger is just not worse; ``None``: it must be better.

    Of a margin that is a part of the champion's value it is what the last look was held against.

    :param last: what the last look says of the challenger.
    """
    if plan.margin is None and plan.relative_margin is None:
        return None
    held = next((check for check in last.checks if check.name == "promotion"), None)
    if plan.relative_margin is not None and held is not None:
        return held.limit
    if plan.margin is None:
        return None
    return plan.margin if plan.metrics[plan.metric].lower_is_better else -plan.margin


def _difference(
    plan: RolloutPlan, judged: Sequence[Point], decisions: Sequence[RolloutDecision], end: str, lane: int
) -> str:
    seen = _seen(judged)
    if not seen:
        return ""
    margin = margin_of(plan, judged[-1].judged)
    limits = [0.0] if margin is None else [0.0, margin]
    settled = seen[len(seen) // SETTLED :]
    ends = [end for _, interval, _ in settled for end in (interval.low, interval.high)]
    chart = LineChart(
        _span([look for look, _, _ in seen]),
        _room([*ends, *limits]),
        name=f"difference{end}",
        label=f"interval of the difference of {plan.metric} by look",
    )
    _frame(chart, [*ends, *limits], [look for look, _, _ in seen])
    for step in _by_step([look for look, _, _ in seen]):
        inside = {look.number for look in step}
        part = [(_at(look), interval, value) for look, interval, value in seen if look.number in inside]
        if len(part) == 1:
            chart.bar(part[0][0], part[0][1].low, part[0][1].high, f"whisker{_own(lane)}")
        chart.band([(at, interval.low, interval.high) for at, interval, _ in part], lane_style("band", lane))
        points = [(at, value) for at, _, value in part]
        chart.line(points, lane_style("challenger", lane))
        if len(seen) <= MOST_DOTTED:
            chart.dots(points, lane_style("dot", lane))
    chart.level(0.0, "zero")
    if margin is not None and margin != 0:
        chart.level(margin, "limit", "margin")
    _step_marks(chart, decisions)
    return chart.svg()


def _own(lane: int) -> str:
    return f" {lane_style('challenger', lane)}" if lane else ""


def _bounds(plan: RolloutPlan, judged: Sequence[Point], end: str, lane: int) -> str:
    """Draw z against its bounds; with a margin it is the interval that is held against it, not z."""
    looks = thinned(
        [
            (look, one.estimate.z, one.estimate.bound)
            for look, one in judged
            if one.planned_look is not None and one.estimate.z is not None and one.estimate.bound is not None
        ],
        MOST_LOOKS,
    )
    if not looks or plan.margin is not None or plan.relative_margin is not None:
        return ""
    highest = max(bound for _, _, bound in looks[len(looks) // SETTLED :])
    values = [*(z for _, z, _ in looks), -highest, highest, 0.0]
    chart = LineChart(
        _span([look for look, _, _ in looks]),
        _room(values),
        name=f"bounds{end}",
        label="z against its bounds",
    )
    _frame(chart, values, [look for look, _, _ in looks])
    chart.level(0.0, "zero")
    for side in (1, -1):
        points = [(_at(look), side * bound) for look, _, bound in looks]
        chart.line(points, "limit")
        chart.dots(points, "bound")
    points = [(_at(look), z) for look, z, _ in looks]
    chart.line(points, lane_style("challenger", lane))
    chart.dots(points, lane_style("dot", lane))
    return chart.svg()


def _units(decisions: Sequence[RolloutDecision]) -> str:
    looks = thinned(list(decisions), MOST_LOOKS)
    largest = max((arm.units for look in looks for arm in look.totals.arms), default=0)
    if largest == 0:
        return ""
    chart = LineChart(_span(looks), (0.0, largest * 1.08), name="units", label="units by arm and look")
    _frame(chart, [0.0, float(largest)], looks, whole=True)
    for step in _by_step(looks):
        for place in range(len(step[0].totals.arms)):
            style = lane_style("challenger", place - 1) if place else "champion"
            seen = [(look, look.totals.arms) for look in step]
            points = [(_at(look), float(arms[place].units)) for look, arms in seen if place < len(arms)]
            chart.line(points, style)
            if len(looks) <= MOST_DOTTED:
                chart.dots(points, lane_style("dot", place - 1) if place else "olddot")
    _step_marks(chart, decisions)
    return chart.svg()


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


__all__ = ["charts", "lane_style"]
