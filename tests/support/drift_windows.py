"""Reference frames, their profiles, and windows counted against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from windsock.records import ColumnKind, DriftProfile, InputField
from windsock.statistics.counting import (
    NUMERIC,
    ColumnCounts,
    WindowCounts,
    count_categories,
    count_numbers,
)
from windsock.statistics.profiling import build_profile

FIELDS = (
    InputField(name="age", kind=ColumnKind.NUMBER),
    InputField(name="visits", kind=ColumnKind.INTEGER),
    InputField(name="plan", kind=ColumnKind.CATEGORY),
    InputField(name="member", kind=ColumnKind.BOOLEAN),
    InputField(name="joined", kind=ColumnKind.DATETIME),
)


def draw_frame(rows: int, seed: int = 1, *, shift: float = 0.0) -> pd.DataFrame:
    """Return rows of five columns; ``age`` is moved by so many standard deviations."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": draw.normal(40 + 10 * shift, 10, rows),
            "visits": draw.poisson(3, rows).astype(float),
            "plan": draw.choice(["basic", "plus", "pro"], rows, p=[0.5, 0.3, 0.2]).astype(object),
            "member": draw.choice([0.0, 1.0], rows, p=[0.7, 0.3]),
            "joined": pd.Timestamp("2026-01-01") + pd.to_timedelta(draw.integers(0, 100, rows), "D"),
        }
    )


def profile_of(frame: pd.DataFrame, **changed: Any) -> DriftProfile:
    """Return the profile of a frame with those of its columns that are known here."""
    fields = [field for field in FIELDS if field.name in frame.columns]
    return build_profile(frame, fields).model_copy(update=changed)


def count_frame(profile: DriftProfile, frame: pd.DataFrame, **changed: Any) -> WindowCounts:
    """Count a frame against a profile; a column that it lacks is absent from all rows."""
    columns: dict[str, ColumnCounts] = {}
    for column in profile.columns:
        if column.name not in frame.columns:
            columns[column.name] = ColumnCounts(rows=0, nulls=0, absent=len(frame))
            continue
        values = frame[column.name]
        if column.kind in NUMERIC:
            columns[column.name] = count_numbers(column, values.to_numpy(dtype="float64"))
        elif column.kind is ColumnKind.DATETIME:
            columns[column.name] = ColumnCounts(
                rows=int(values.notna().sum()), nulls=int(values.isna().sum())
            )
        else:
            if column.kind is ColumnKind.BOOLEAN:
                values = values.map({0.0: "false", 1.0: "true"})
            counts: Mapping[str, int] = values.value_counts().to_dict()
            columns[column.name] = count_categories(column, counts, int(values.isna().sum()))
    return WindowCounts(**{"rows": len(frame), "columns": columns, **changed})
