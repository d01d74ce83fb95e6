"""Rates, slides and times of a window; see the table that is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.performance import DAY, END, WINDOW, Scene, answers, check_of, coin, metric
from windsock.records import ReferencePerformance, Span, Status

pytestmark = pytest.mark.cases
HOUR = timedelta(hours=1)
BY_ACCURACY = {"training": {"metric": "accuracy"}}
REFERENCE = ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.85),))


@pytest.mark.parametrize(
    ("name", "clicks", "shown", "right"),
    [
        ("30 clicks of 1,000 shown, 5 % are usual", 30, 1_000, (Status.INSUFFICIENT, 0.03, 1_000)),
        ("20 clicks of 1,000 shown", 20, 1_000, (Status.FAIL, 0.02, 1_000)),
        ("60 clicks of 1,000 shown", 60, 1_000, (Status.PASS, 0.06, 1_000)),
        ("no click of 1,000 shown", 0, 1_000, (Status.ERROR, 0.0, 1_000)),
        ("1 click of 1 shown", 1, 1, (Status.PASS, 1.0, 1)),
        ("1 click of 2 shown", 1, 2, (Status.INSUFFICIENT, 0.5, 2)),
    ],
)
def test_clicks(case: Callable[..., None], name: str, clicks: int, shown: int, right: Any) -> None:
    scene = Scene(REFERENCE, spec=BY_ACCURACY, positive_rate={"baseline": 0.05}, coverage=0.0)
    outcomes = [True if place < clicks else None for place in range(shown)]
    rate = check_of(
        scene.look(answers(outcomes, [True] * shown, start=END - HOUR, length=HOUR)), "positive_rate"
    )
    case(name, right=right, got=(rate.status, rate.value, rate.n))


@pytest.mark.parametrize(
    ("name", "last", "right"),
    [
        ("accuracy slides 0.85 -> 0.82 over 30 windows of 2,000", 0.82, Status.FAIL),
        ("accuracy stays 0.85 over 30 windows of 2,000", 0.85, Status.PASS),
    ],
)
def test_slides(case: Callable[..., None], name: str, last: float, right: Status) -> None:
    scene = Scene(REFERENCE, spec=BY_ACCURACY)
    for day in range(7, 30):
        value = 0.85 + (29 - day) / 29 * (last - 0.85)
        scene.remember(day, own__accuracy=value, own_rows__accuracy=2_000)
    for day in range(1, 7):
        scene.remember(day)
    parts = []
    for day in range(7):
        value = 0.85 + (29 - day) / 29 * (last - 0.85)
        parts.append(answers(*coin(2_000, right=value, seed=day), start=WINDOW.start - day * DAY))
    import pandas as pd

    report = scene.look(pd.concat(parts, ignore_index=True))
    case(name, right=right, got=check_of(report, "performance_trend").status)


def test_a_number_of_another_window(case: Callable[..., None]) -> None:
    scene = Scene(REFERENCE, spec=BY_ACCURACY)
    frame = answers(*coin(5_000, right=0.7), start=END - 2 * DAY, length=20 * HOUR)
    before = Span(start=WINDOW.start - DAY, end=WINDOW.end - DAY)
    later, scene.ports = scene.ports, replace(scene.ports, now=lambda: before.end + HOUR)
    scene.look(frame, window=before)
    scene.ports = later
    report = scene.look(frame)
    case(
        "a window without rows after one that failed",
        right=(Status.EMPTY, ()),
        got=(report.status, report.realised),
    )


@pytest.mark.parametrize(
    ("name", "each", "right"),
    [
        ("400 of 2,000 wrong, each row its own unit", 1, (Status.FAIL, 2_000, "rows")),
        ("400 of 2,000 wrong, all of 20 users of 100", 20, (Status.INSUFFICIENT, 100, "entities")),
        ("400 of 2,000 wrong, all of 4 users of 20", 100, (Status.INSUFFICIENT, 20, "entities")),
    ],
)
def test_answers_to_users(case: Callable[..., None], name: str, each: int, right: Any) -> None:
    truth = [place % 2 == 0 for place in range(2_000)]
    said = [one == (place // each % 5 > 0) for place, one in enumerate(truth)]
    frame = answers(truth, said, unit=[f"u{place // each}" for place in range(2_000)])
    reference = REFERENCE.replace(realised=(metric("accuracy", 0.9),))
    drop = check_of(Scene(reference, spec=BY_ACCURACY).look(frame), "performance_drop")
    case(name, right=right, got=(drop.status, drop.n, drop.unit))
