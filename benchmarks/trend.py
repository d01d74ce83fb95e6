"""Slides that the trend finds, and steady series that it wrongly alarms on: ``make bench NAME=trend``.

Each series has 30 windows, and each window is a look at all windows up to it, as the monitor judges them. The
window's labels are drawn row by row. Bars: accuracy that slides from 0.85 to 0.82 over 30 windows of 1,000
labels is found in at least 80 % of the series; at most 5 % of the steady series alarm at any look. What is
held against a bar is the exact one-sided 95 % limit of the share that was drawn: few series miss it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from harness import PROJECT, Bar, report

sys.path.insert(0, str(PROJECT / "plugins"))

from windsock.monitoring.performance_trend import POINTS, WINDOWS, Point, performance_trend, row_spread
from windsock.records import MetricValue, Status
from windsock.spec import PerformanceBlock
from windsock.statistics.intervals import wilson
from windsock.statistics.proportions import clopper_pearson
from windsock.statistics.trend_planning import seen_loss, slide_of

SEED = 20261130
LOOK_BACK = 7
"""Windows of a look-back: seven days of windows of a day."""
LARGE = 20_000
"""Labels of a large window."""
FOUND, WRONG = 0.80, 0.05
LEVEL = 0.90
"""Of both sides together: each limit alone holds with 95 %."""
START = datetime(2026, 1, 1, tzinfo=UTC)


def alarms(
    random: np.random.Generator,
    shares: Sequence[float],
    rows: Sequence[int],
    block: PerformanceBlock,
    *,
    wobble: float = 0.0,
    missing: float = 0.0,
) -> int | None:
    """Return the first window at which a series alarms; ``None``: at none.

    :param shares: the true accuracy of each window.
    :param rows: labels of each window.
    :param wobble: standard deviation of the true accuracy from window to window.
    :param missing: share of windows that were never judged.
    """
    points: list[Point] = []
    hits: list[tuple[int, int]] = []
    look = 0
    for place, (share, size) in enumerate(zip(shares, rows, strict=True)):
        if random.random() < missing:
            continue
        right = int(random.binomial(size, min(1.0, share + random.normal(0, wobble))))
        hits.append((right, size))
        points.append(Point(START + place * timedelta(days=1), right / size, size))
        good, all_rows = (sum(column) for column in zip(*hits[-LOOK_BACK:], strict=True))
        metric = MetricValue(
            name="accuracy", value=good / all_rows, n=all_rows, interval=wilson(good, all_rows)
        )
        made = performance_trend("accuracy", points[-WINDOWS:], metric, block, look=look + 1)
        look += made.interval is not None
        if made.status is Status.FAIL:
            return place
    return None


def share_of_alarms(series: int, seed: int, shares: Sequence[float], rows: int, **more: float) -> float:
    """Return the share of series that alarm at any of their windows."""
    random, found = np.random.default_rng(seed), 0
    block = PerformanceBlock(trend=more.pop("trend", 0.02))
    uneven, large = more.pop("uneven", 0.0), int(more.pop("large", 0))
    for _ in range(series):
        sizes = np.maximum(10, random.poisson(rows * random.lognormal(0, uneven, len(shares))))
        sizes[random.integers(len(shares), size=large)] = LARGE
        found += alarms(random, shares, sizes.tolist(), block, **more) is not None
    return found / series


def planned(rows: int) -> str:
    """Return the loss of accuracy 0.85 that the plan promises to be found at the last window."""
    looked = LOOK_BACK * rows
    metric = MetricValue(name="accuracy", value=0.85, n=looked, interval=wilson(round(0.85 * looked), looked))
    slide = slide_of(
        "accuracy", 0.85, spread=row_spread(metric) or 0.0, variance=0.85 * 0.15, rows=float(looked)
    )
    look = WINDOWS - POINTS + 1
    least = seen_loss(rows, slide, windows=WINDOWS, look=look, limit=0.02, recent=LOOK_BACK)
    return "none" if least is None else f"a loss of {least:.3f}"


def main() -> int:
    """Print the table; 1 if a bar is missed."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--series", type=int, default=2_000)
    series = asked.parse_args().series
    slide = np.linspace(0.85, 0.82, WINDOWS).tolist()
    steady = [0.85] * WINDOWS
    cells: tuple[tuple[str, Sequence[float], int, dict[str, float], str], ...] = (
        ("slide 0.85 -> 0.82, 1,000 labels", slide, 1_000, {}, "found"),
        ("the same, one window in five missing", slide, 1_000, {"missing": 0.2}, "-"),
        ("the same, 300 labels", slide, 300, {}, "-"),
        ("the same, 3,000 labels", slide, 3_000, {}, "-"),
        ("the same, limit 0.05", slide, 1_000, {"trend": 0.05}, "-"),
        ("steady 0.85, 1,000 labels", steady, 1_000, {}, "wrong"),
        ("steady 0.85, 100 labels", steady, 100, {}, "wrong"),
        ("steady 0.85, 30 to 3,000 labels", steady, 300, {"uneven": 1.0}, "wrong"),
        ("steady 0.99, 1,000 labels", [0.99] * WINDOWS, 1_000, {}, "wrong"),
        ("steady 0.85, windows vary by 0.01", steady, 1_000, {"wobble": 0.01}, "wrong"),
        ("steady 0.85, windows vary by 0.03", steady, 1_000, {"wobble": 0.03}, "wrong"),
        (
            "steady 0.85, windows vary by 0.03, 100 to 10,000 labels",
            steady,
            1_000,
            {"wobble": 0.03, "uneven": 1.0},
            "wrong",
        ),
        (
            "steady 0.85, windows vary by 0.03, two of 20,000 labels",
            steady,
            300,
            {"wobble": 0.03, "large": 2},
            "wrong",
        ),
        ("steady 0.85 for 120 windows", [0.85] * 120, 1_000, {}, "wrong"),
    )
    bars, rows_told = [], []
    for number, (name, shares, rows, more, kind) in enumerate(cells):
        share = share_of_alarms(series, SEED + number, shares, rows, **more)
        known = clopper_pearson(share * series, series, level=LEVEL)
        rows_told.append((name, f"{series:,}", f"{share:.1%} [{known.low:.1%}, {known.high:.1%}]"))
        if kind == "wrong":
            bars.append(Bar(bar=f"{name}: at most", value=known.high, unit="of series", limit=WRONG))
        elif kind == "found":
            bar = Bar(bar=f"{name}: at least", value=known.low, unit="of series", limit=FOUND, at_most=False)
            bars.append(bar)
    rows_told += [
        (f"planned, {rows:,} labels: found in 80 %", "", planned(rows)) for rows in (100, 300, 1_000, 3_000)
    ]
    return report("trend", "Trend over 30 windows", ("series", "series drawn", "alarm"), rows_told, bars)


if __name__ == "__main__":
    raise SystemExit(main())
