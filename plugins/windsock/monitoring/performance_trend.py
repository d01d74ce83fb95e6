"""``performance_trend``: whether a metric slides over the last judged windows; its error is of all looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from windsock.monitoring.performance_case import Case, between, labelled_of
from windsock.monitoring.performance_checks import RELATIVE, TREND, result
from windsock.monitoring.performance_metrics import metric_value
from windsock.records import CheckResult, Interval, MetricValue, Span, Status, WindowVerdict
from windsock.records.check_text import against_limit, number_text
from windsock.records.stretches import judged_until
from windsock.spec import MonitoringBlock, PerformanceBlock
from windsock.statistics.intervals import quantile_of_normal
from windsock.statistics.metrics import direction
from windsock.statistics.trends import PROVEN, Line, fit_line, look_error

WINDOWS = 30
"""So many judged windows make a trend, at most ..."""
REACH = 60
"""... of the last so many: some may be missing."""
POINTS = 8
"""Fewer windows do not show whether they vary by more than chance."""
LOOK, LOOK_ROWS = "trend_look", "trend_rows"
"""Numbers of a verdict: how many looks its series has had, and the labels that the last one was on."""


SPREAD, VARIANCE, SPREAD_ROWS = "spread", "variance", "spread_rows"
"""Numbers of a verdict, by which slides are planned.

The metric's variance on one row as its interval has it, as its standard error has it, and the rows of both.
"""


class Point(NamedTuple):
    """A metric on the labelled rows of one window alone."""

    end: datetime
    value: float
    rows: int


def series_start(block: MonitoringBlock, end: datetime) -> datetime:
    """Return since when windows may be part of a trend."""
    return end - REACH * block.window_length


def add_own_numbers(case: Case, name: str) -> None:
    """Note the metric on the labelled rows of the window, and of the one that leaves the look-back.

    Labels come late: the second number has those that came in the meantime.
    """
    length = case.step.window.end - case.step.window.start
    spread = row_spread(case.realised.metric(name))
    if spread is not None:
        case.numbers[f"{SPREAD}:{name}"] = spread
        _add_variance(case, name)
    first = Span(start=case.lookback.start, end=case.lookback.start + length)
    for prefix, span in (("own", case.step.window), ("settled", first)):
        found = _point(case, name, span)
        if found is not None and span.end <= case.step.window.end:
            case.numbers |= {f"{prefix}:{name}": found.value, f"{prefix}_rows:{name}": float(found.rows)}


def _add_variance(case: Case, name: str) -> None:
    metric, variance = case.realised.metric(name), case.realised.variance(name)
    if metric is not None and variance is not None:
        rows = float(metric.on_rows)
        case.numbers |= {f"{VARIANCE}:{name}": variance, f"{SPREAD_ROWS}:{name}": rows}


def _point(case: Case, name: str, span: Span) -> Point | None:
    labelled = labelled_of(between(case, span))
    value, rows = metric_value(name, labelled, case.schema, case.step.spec)
    return None if value is None else Point(span.end, value, rows)


def judge_trend(case: Case, name: str) -> CheckResult:
    """Judge the trend with this window as its last one; the look that it takes is noted."""
    block = case.step.spec.monitoring.performance
    points = trend_points(case, name)
    look = next_look(case.series, case.step.window, case.champion.digest, sum(one.rows for one in points))
    made = performance_trend(name, points, case.realised.metric(name), block, look=look)
    if made.interval is not None:
        case.numbers |= {LOOK: float(look), LOOK_ROWS: float(sum(one.rows for one in points))}
    return made


def trend_points(case: Case, name: str) -> tuple[Point, ...]:
    """Return the last judged windows of the version: counted anew in the look-back, as they were kept before.

    Verdicts of releases that judged the look-back alone have no numbers of their own window.
    """
    length = case.step.window.end - case.step.window.start
    age = case.lookback.end - case.lookback.start - length
    own = [one for one in case.series if one.digest == case.champion.digest]
    found: dict[datetime, Point] = {}
    for verdict in own:
        for prefix, end in (("own", verdict.window.end), ("settled", judged_until(verdict) - age)):
            value, rows = (verdict.numbers.get(f"{kind}:{name}") for kind in (prefix, f"{prefix}_rows"))
            if value is not None and rows:
                found[end] = Point(end, value, int(rows))
    ends = {one.window.end for one in own if one.window.end - one.window.start == length}
    ends = {end for end in ends | {case.step.window.end} if end <= case.step.window.end}
    points: list[Point] = []
    for end in sorted(ends, reverse=True):
        span = Span(start=end - length, end=end)
        point = _point(case, name, span) if span.start >= case.lookback.start else found.get(end)
        if point is not None and len(points) < WINDOWS:
            points.append(point)
    return tuple(reversed(points))


def next_look(series: Iterable[WindowVerdict], window: Span, digest: str, rows: int) -> int:
    """Return the number of the look that is taken now: each has a part of the error of its own.

    A window that is judged again on the same labels is the same look, not another one.
    """
    looks = [one for one in series if one.digest == digest and LOOK in one.numbers]
    for one in looks:
        if one.window == window and one.numbers.get(LOOK_ROWS) == rows:
            return int(one.numbers[LOOK])
    return 1 + max((int(one.numbers[LOOK]) for one in looks), default=0)


def row_spread(metric: MetricValue | None) -> float | None:
    """Return a metric's variance on one row, from its interval; ``None`` where it has none."""
    if metric is None or metric.interval is None:
        return None
    half = (metric.interval.high - metric.interval.low) / 2
    error = half / quantile_of_normal(metric.interval.level)
    return metric.on_rows * error**2 or None


def performance_trend(
    name: str, points: Sequence[Point], metric: MetricValue | None, block: PerformanceBlock, *, look: int
) -> CheckResult:
    """Check that the line through the judged windows does not fall by more than the limit.

    It fails when the line falls by more than the limit, and surely falls: the interval, which holds over all
    looks of the series, lies above 0. It passes when a bound that holds with 95 % is within the limit.

    :param points: the windows, in their order.
    :param metric: the metric of the look-back, whose interval says how much rows vary.
    :param look: how many looks the series has had, this one among them.
    """
    check, rows = f"{TREND}:{name}", sum(one.rows for one in points)
    bounds: dict[str, Any] = {"limit": block.trend, "relation": "<=", "n": rows}
    if len(points) < POINTS:
        message = f"judged windows with a realised {name}: {len(points)}; at least {POINTS} make a trend"
        return result(check, Status.INSUFFICIENT, message, **bounds)
    spread = row_spread(metric)
    if spread is None:
        why = f": {metric.reason}" if metric is not None and metric.reason else ""
        message = f"{name} has no interval on {rows:,} labels{why}"
        return result(check, Status.INSUFFICIENT, message, **bounds)
    seconds = [one.end.timestamp() for one in points]
    line = fit_line(seconds, [one.value for one in points], [one.rows for one in points], spread)
    unit = abs(line.start) if name in RELATIVE and line.start else 1.0
    loss, interval = _loss(line, -direction(name) / unit, look)
    within = loss + line.reach(1 - PROVEN) / unit <= block.trend
    failed = loss > block.trend and interval.low > 0
    status = Status.FAIL if failed else (Status.PASS if within else Status.INSUFFICIENT)
    return result(
        check,
        status,
        against_limit(
            f"loss of {name} along its line",
            loss,
            "<=",
            block.trend,
            status=status,
            interval=interval,
            n=f"{rows:,} labels",
        )
        + f"; from {number_text(line.start)} to {number_text(line.start + line.change)} through "
        f"{len(points)} windows, {points[0].end:%Y-%m-%d %H:%M} to {points[-1].end:%Y-%m-%d %H:%M} UTC, "
        f"look {look}",
        value=loss,
        interval=interval,
        **bounds,
    )


def _loss(line: Line, sign: float, look: int) -> tuple[float, Interval]:
    tail = look_error(look)
    loss, reach = sign * line.change, abs(sign) * line.reach(tail)
    return loss, Interval(low=loss - reach, high=loss + reach, level=1 - 2 * tail)
