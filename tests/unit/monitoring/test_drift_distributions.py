"""Both distributions of a column: shares of all rows, by counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from windsock.monitoring.drift_distributions import distributions_of
from windsock.ports import Distribution
from windsock.records import (
    Answer,
    ColumnDrift,
    DriftReport,
    InputField,
    InputSchema,
    Span,
    Status,
)
from windsock.statistics.counting import ColumnCounts, WindowCounts, count_numbers
from windsock.statistics.profiling import build_profile

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIELDS = (
    InputField(name="age", kind="number"),
    InputField(name="visits", kind="integer"),
    InputField(name="plan", kind="category"),
    InputField(name="gender", kind="category", sensitive=True),
)
SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)


def rows(seed: int, shift: float = 0.0, size: int = 4_000) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": draw.normal(40 + shift, 10, size),
            "visits": draw.integers(0, 5, size).astype(float),
            "plan": draw.choice([f"plan {number}" for number in range(30)], size).astype(object),
            "gender": draw.choice(["f", "m"], size).astype(object),
        }
    )
    frame.loc[: size // 4 - 1, "age"] = np.nan
    return frame


def counts_of(profile: Any, frame: pd.DataFrame) -> WindowCounts:
    columns = {}
    for column in profile.columns:
        values = frame[column.name]
        if column.edges:
            columns[column.name] = count_numbers(column, values.to_numpy(dtype="float64"))
        else:
            seen = values.value_counts()
            named = np.array([int(seen.get(name, 0)) for name in column.categories])
            columns[column.name] = ColumnCounts(
                rows=len(values), nulls=0, named=named, unseen=len(values) - int(named.sum())
            )
    return WindowCounts(rows=len(frame), columns=columns)


def made(before: pd.DataFrame, now: pd.DataFrame) -> dict[str, Distribution]:
    profile = build_profile(before, FIELDS)
    columns = tuple(
        ColumnDrift(name=one.name, kind=one.kind, status=Status.FAIL, rows=len(now), effect=0.3, limit=0.05)
        for one in profile.columns
    )
    report = DriftReport(
        model="churn",
        version="1",
        digest="a" * 64,
        window=Span(start=NOON, end=NOON + timedelta(days=1)),
        rows=len(now),
        status=Status.FAIL,
        method="counts",
        columns=columns,
        reason="drift",
        judged_at=NOON,
    )
    return {one.name: one for one in distributions_of(report, profile, counts_of(profile, now), SCHEMA)}


def test_shares_are_of_all_rows_and_add_up():
    before, now = rows(1), rows(2, shift=8.0)
    found = made(before, now)
    assert set(found) == {"age", "visits", "plan"}  # nothing sensitive is drawn
    for one in found.values():
        assert sum(bar.reference for bar in one.bars) == pytest.approx(1)
        assert sum(bar.current for bar in one.bars) == pytest.approx(1)


def test_ranges_hold_the_values_that_lie_in_them():
    before, now = rows(1), rows(2, shift=8.0)
    bars = made(before, now)["age"].bars
    cuts = [float(bar.label) for bar in bars[1:-2]] + [float(bars[-2].label.removeprefix(">= "))]
    for place, (low, high) in enumerate(zip(cuts, cuts[1:], strict=False), start=1):
        right = before["age"].between(low, high, inclusive="left").mean()
        got = now["age"].between(low, high, inclusive="left").mean()
        assert bars[place].reference == pytest.approx(right, abs=0.005)
        assert bars[place].current == pytest.approx(got, abs=0.01)
    assert (bars[-1].label, bars[-1].reference) == ("(no value)", 0.25)


def test_few_values_have_a_bar_each_and_new_ones_one_together():
    before, now = rows(1), rows(2)
    now.loc[:999, "visits"] = 9.0
    bars = {bar.label: bar for bar in made(before, now)["visits"].bars}
    assert set(bars) == {"0", "1", "2", "3", "4", "(other values)"}
    assert bars["3"].reference == (before["visits"] == 3).mean()
    assert bars["(other values)"].current == 0.25


def test_rare_categories_are_drawn_together():
    before, now = rows(1), rows(2)
    now.loc[:1_999, "plan"] = "a new one"
    found = made(before, now)["plan"]
    assert not found.is_ordered
    assert len(found.bars) == 13
    others = next(bar for bar in found.bars if bar.label == "(all others)")
    assert others.current > 0.5


def test_a_window_without_rows_is_not_drawn():
    profile = build_profile(rows(1), FIELDS)
    empty = counts_of(profile, rows(2).head(0))
    assert all(not one.total for one in empty.columns.values())
    assert made(rows(1), rows(2).head(0)) == {}
