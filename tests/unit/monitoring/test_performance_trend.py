from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest

from support.performance import CHAMPION, END, WINDOW
from windsock.monitoring.performance_trend import (
    LOOK,
    LOOK_ROWS,
    WINDOWS,
    Point,
    next_look,
    performance_trend,
    row_spread,
)
from windsock.records import MetricValue, Status, WindowVerdict
from windsock.spec import PerformanceBlock
from windsock.statistics.intervals import wilson

BLOCK = PerformanceBlock()
SERIES = 150


def measured(hits: int, rows: int) -> MetricValue:
    return MetricValue(name="accuracy", value=hits / rows, n=rows, interval=wilson(hits, rows))


def alarms(random: np.random.Generator, shares: Sequence[float], rows: int) -> bool:
    """Return whether any look of a series alarms; each window adds one."""
    hits = random.binomial(rows, shares)
    points = [Point(END + place * timedelta(days=1), hit / rows, rows) for place, hit in enumerate(hits)]
    looks = range(8, len(points) + 1)
    return any(
        performance_trend(
            "accuracy", points[:last], measured(int(hits[last - 7 : last].sum()), 7 * rows), BLOCK, look=look
        ).status
        is Status.FAIL
        for look, last in enumerate(looks, 1)
    )


def test_a_slide_is_found_and_steady_series_are_left_alone() -> None:
    """Small; ``benchmarks/trend.py`` draws 2,000 of each."""
    random = np.random.default_rng(14)
    slide, steady = np.linspace(0.85, 0.82, WINDOWS), np.full(WINDOWS, 0.85)
    assert sum(alarms(random, slide, 1000) for _ in range(SERIES)) >= 0.8 * SERIES
    assert sum(alarms(random, steady, 1000) for _ in range(SERIES)) <= 0.05 * SERIES


def test_an_error_metric_is_a_share_of_where_the_line_begins() -> None:
    points = [Point(END + place * timedelta(days=1), 10 + place / 9, 1000) for place in range(10)]
    metric = MetricValue(name="mae", value=10.5, n=7000, interval=wilson(0, 10).replace(low=10.4, high=10.6))
    made = performance_trend("mae", points, metric, BLOCK, look=1)
    assert (made.status, made.value) == (Status.FAIL, pytest.approx(0.1))


@pytest.mark.parametrize("metric", [None, MetricValue(name="accuracy", value=1.0, n=20)])
def test_without_an_interval_of_the_metric_there_is_no_verdict(metric: MetricValue | None) -> None:
    points = [Point(END + place * timedelta(days=1), 1 - place / 9, 2) for place in range(10)]
    assert row_spread(metric) is None
    assert performance_trend("accuracy", points, metric, BLOCK, look=1).status is Status.INSUFFICIENT


def test_a_window_that_is_judged_again_on_the_same_labels_is_the_same_look() -> None:
    def verdict(day: int, look: int, digest: str = CHAMPION) -> WindowVerdict:
        return WindowVerdict(
            model="churn",
            kind="performance",
            window=WINDOW.replace(start=WINDOW.start - day * (END - WINDOW.start), end=END - timedelta(day)),
            version="1",
            digest=digest,
            status=Status.PASS,
            numbers={LOOK: float(look), LOOK_ROWS: 500.0},
            judged_at=END,
        )

    series = [verdict(2, 4), verdict(1, 5)]
    assert next_look(series, WINDOW, CHAMPION, 500) == 6
    assert next_look([*series, verdict(0, 6)], WINDOW, CHAMPION, 500) == 6
    assert next_look([*series, verdict(0, 6)], WINDOW, CHAMPION, 501) == 7
    assert next_look(series, WINDOW, "f" * 64, 500) == 1
