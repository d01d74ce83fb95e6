"""Customers of made-up days: columns that recur by weekday or hour, and windows of them, for the monitor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from windsock.records import ColumnKind, DriftProfile, InputField, Span
from windsock.spec import canonical_json
from windsock.statistics.profiling import build_profile
from windsock.statistics.season_finding import Found, History, find_seasons

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
FIELDS = (
    InputField(name="age", kind=ColumnKind.NUMBER),
    InputField(name="visits", kind=ColumnKind.NUMBER),
    InputField(name="plan", kind=ColumnKind.CATEGORY),
)
Shift = Callable[[datetime], float]
"""How far customers of a time are from the usual ones, in standard deviations of their age."""


def steady(moment: datetime) -> float:
    return 0.0


def by_week(moment: datetime) -> float:
    return 0.6 if moment.weekday() >= 5 else 0.0


def by_hour(moment: datetime) -> float:
    return float(0.6 * np.sin(2 * np.pi * moment.hour / 24))


def by_pay(moment: datetime) -> float:
    return -0.6 if 25 <= moment.day <= 28 else 0.0


def draw_rows(
    shift: Shift,
    days: float,
    *,
    a_day: int = 200,
    seed: int = 0,
    start: datetime = MONDAY,
    step: timedelta = DAY,
) -> pd.DataFrame:
    """Draw rows evenly spread over some days; ``at`` is their time."""
    draw = np.random.default_rng(seed)
    parts = []
    for number in range(int(days * DAY / step)):
        begin = start + number * step
        rows = int(a_day * (step / DAY))
        off = shift(begin)
        often = np.clip(np.array([0.6 - 0.2 * off, 0.3, 0.1 + 0.2 * off]), 0.01, None)
        parts.append(
            pd.DataFrame(
                {
                    "age": draw.normal(45 + 10 * off, 10, rows),
                    "visits": draw.poisson(4 + 2 * off, rows).astype(float),
                    "plan": np.array(["usual", "family", "big"], dtype=object)[
                        draw.choice(3, rows, p=often / often.sum())
                    ],
                    "at": pd.Timestamp(begin.replace(tzinfo=None))
                    + pd.to_timedelta((np.arange(rows) + 0.5) / rows * (step / HOUR), unit="h"),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def found_in(
    frame: pd.DataFrame, window: timedelta = DAY, reference: object = None, zone: str = "UTC"
) -> Found:
    """Find seasons; the profile is of the rows of ``reference``, else of all."""
    mask = np.ones(len(frame), dtype=bool) if reference is None else np.asarray(reference)
    profile = build_profile(frame[mask].drop(columns="at"), FIELDS)
    histories = {
        column.name: History(column=column, values=frame[column.name], reference=mask)
        for column in profile.columns
    }
    times = frame["at"].to_numpy().astype("datetime64[us]")
    return find_seasons(histories, times, window, zone=zone)


def profile_of(
    frame: pd.DataFrame, window: timedelta = DAY, reference: object = None, zone: str = "UTC"
) -> DriftProfile:
    """Return the profile of some rows with its seasons, as it is read again once it was stored."""
    mask = np.ones(len(frame), dtype=bool) if reference is None else np.asarray(reference)
    found = found_in(frame, window, reference, zone)
    profile = build_profile(frame[mask].drop(columns="at"), FIELDS)
    made = profile.replace(columns=tuple(found.columns[column.name] for column in profile.columns))
    return DriftProfile.model_validate_json(canonical_json(made.model_dump(mode="json")))


def day(number: int, length: timedelta = DAY) -> Span:
    """Return a window by its number, from a Monday on."""
    return Span(start=MONDAY + number * length, end=MONDAY + (number + 1) * length)
