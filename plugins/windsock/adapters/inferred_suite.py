"""A first expectation suite from a frame: what it keeps itself, with room, for people to sharpen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind, ColumnRole, ColumnSchema

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 50
"""A column of more different values gets no list of them."""
ROOM = 0.5
"""Numbers may leave the range that was seen by this share of its width."""
MOSTLY = 0.99
USED = (ColumnRole.FEATURE, ColumnRole.SENSITIVE, ColumnRole.TARGET)


def infer_expectations(frame: pd.DataFrame, columns: Sequence[ColumnSchema]) -> list[dict[str, Any]]:
    """Return expectations that the frame keeps; the same frame gives the same ones, whatever its rows' order.

    :param frame: typed rows.
    :param columns: their schema; ignored columns are only expected to be there.
    """
    least = max(1, int(len(frame) * ROOM))
    found = [
        _of("expect_table_row_count_to_be_between", min_value=least),
        _of(
            "expect_table_columns_to_match_set",
            column_set=sorted(column.name for column in columns),
            exact_match=False,
        ),
    ]
    for column in columns:
        if column.role in USED and column.nulls < len(frame):
            found.extend(_about(column, frame[column.name]))
    return found


def structural_part(expectations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what holds of the next snapshots, too: columns without any null.

    Counts, ranges, words and shares of nulls move from one snapshot to the next: they are held against all
    accepted snapshots, with tolerances (:mod:`windsock.data.memory`). Columns and their kinds are the data
    contract's, which people may change.
    """
    return [one for one in expectations if _is_structural(one)]


def _is_structural(expectation: Mapping[str, Any]) -> bool:
    name, kwargs = expectation.get("type"), expectation.get("kwargs") or {}
    return bool(name == "expect_column_values_to_not_be_null" and kwargs.get("mostly", 1.0) >= 1)


def _of(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": name, "kwargs": kwargs}


def _about(column: ColumnSchema, values: pd.Series[Any]) -> list[dict[str, Any]]:
    present = 1 - column.nulls / len(values)
    # Room for twice as many missing values, and a little more; a target may have none.
    mostly = 1.0 if column.role is ColumnRole.TARGET else max(0.0, round(1 - 2 * (1 - present) - 0.01, 4))
    found = [_of("expect_column_values_to_not_be_null", column=column.name, mostly=mostly)]
    if column.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        found.append(
            _of("expect_column_values_to_be_in_type_list", column=column.name, type_list=["float64", "int64"])
        )
        found.extend(_range(column.name, values))
    elif column.kind is ColumnKind.CATEGORY and column.distinct <= MOST_CATEGORIES:
        words = sorted({str(word) for word in values.dropna()})
        found.append(
            _of("expect_column_values_to_be_in_set", column=column.name, value_set=words, mostly=MOSTLY)
        )
    return found


def _range(name: str, values: pd.Series[Any]) -> list[dict[str, Any]]:
    import numpy as np

    finite = values[np.isfinite(values.astype("float64"))].astype("float64")
    if finite.empty:
        return []
    low, high = float(finite.min()), float(finite.max())
    room = (high - low) * ROOM
    least = 0.0 if low >= 0 else low - room  # what was never negative shall not become so
    return [
        _of(
            "expect_column_values_to_be_between",
            column=name,
            min_value=least,
            max_value=high + room,
            mostly=MOSTLY,
        )
    ]
