"""The reference against itself: how far parts of the training rows lie from the whole, without any drift."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind, ColumnProfile
from windsock.spec import SEED
from windsock.statistics.significance import benjamini_hochberg, chi_square, cramers_v, ks_p

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Q = 0.01
"""False discovery rate of the verdict that the smallest window is found for."""
LARGE_SHIFT = 0.2
"""The KS distance that no window may overlook for want of rows; half a standard deviation is about that."""
DRAWN_CHUNKS = 40
MOST_ALARMS = 2
"""Of these chunks so many may alarm: 5 %."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Apart:
    """How far some rows of a column lie from all of them.

    :param rows: how many of them count.
    :param effect: KS distance, or Cramer's V, from all rows.
    :param p: p-value against the rows that are not among them; a function, since not all ask for it.
    """

    rows: int
    effect: float
    p: Callable[[], float]


_Measure = Callable[["NDArray[Any]"], _Apart | None]
"""Takes positions of rows; returns nothing where none of them has a value."""


def find_minimum_rows(columns: Sequence[ColumnProfile], features: pd.DataFrame) -> int:
    """Return the number of rows from which on a window can have a verdict.

    It is the number of rows in which the rule of the verdict (Kolmogorov-Smirnov, Benjamini-Hochberg with
    q 0.01 over all columns) can reject a shift of KS distance 0.2 of one column. Then the rule is tried on 40
    chunks of so many rows, drawn from the reference itself: while more than 5 % of them alarm, the number is
    doubled.

    :param columns: profiles of the features.
    :param features: the rows that they describe.
    """
    import numpy as np

    measures = _measures(columns, features)
    rows = smallest_window(len(measures), len(features))
    generator = np.random.default_rng(SEED)
    while 0 < 2 * rows <= len(features):
        drawn = [generator.choice(len(features), rows, replace=False) for _ in range(DRAWN_CHUNKS)]
        if sum(_alarms(list(measures.values()), part) for part in drawn) <= MOST_ALARMS:
            break
        rows *= 2
    return rows


def smallest_window(columns: int, reference: int) -> int:
    """Return the rows of a window in which a KS distance of 0.2 is significant in one of several columns.

    By Smirnov's asymptotic quantile, 115 rows for 50 columns and a long reference.

    :param columns: columns that are tested together.
    :param reference: rows of the reference; a short one asks for longer windows. Beside one that is too short
        (:func:`least_reference`) no window is long enough: then it is the number for a long reference.
    """
    if not columns or not reference:
        return 0
    enough = least_reference(columns)
    return math.ceil(enough / (1 - enough / reference) if reference > enough else enough)


def least_reference(columns: int) -> float:
    """Return the rows beyond which a reference can show a KS distance of 0.2 in one of several columns.

    Beside a reference of so many rows or fewer, that distance is not significant however long the window is.

    :param columns: columns that are tested together, at least 1.
    """
    return -math.log(Q / columns / 2) / 2 / LARGE_SHIFT**2


def _alarms(measures: Sequence[_Measure], part: NDArray[Any]) -> bool:
    found = [apart for measure in measures if (apart := measure(part)) is not None]
    return any(benjamini_hochberg([apart.p() for apart in found], Q)) if found else False


def _measures(columns: Sequence[ColumnProfile], features: pd.DataFrame) -> dict[str, _Measure]:
    """Return for each column with values how far some of its rows lie from all."""
    found: dict[str, _Measure] = {}
    for column in columns:
        if column.edges:
            found[column.name] = _number_measure(column, features[column.name].to_numpy(dtype="float64"))
        elif column.rows and column.kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
            found[column.name] = _category_measure(column, features[column.name].to_numpy())
    return found


def _number_measure(column: ColumnProfile, values: NDArray[Any]) -> _Measure:
    import numpy as np

    edges, total = np.array(column.edges), column.rows
    below, up_to = np.array(column.below) / total, np.array(column.up_to) / total

    def measure(part: NDArray[Any]) -> _Apart | None:
        drawn = values[part]
        ordered = np.sort(drawn[~np.isnan(drawn)])
        rows = ordered.size
        if not 0 < rows < total:
            return None
        left, right = (np.searchsorted(ordered, edges, side) / rows for side in ("left", "right"))
        effect = float(max(np.abs(left - below).max(), np.abs(right - up_to).max()))
        others = total - rows
        return _Apart(rows=rows, effect=effect, p=lambda: ks_p(effect * total / others, rows, others))

    return measure


def _category_measure(column: ColumnProfile, values: NDArray[Any]) -> _Measure:
    import numpy as np

    every = [*column.categories.values(), column.other, column.nulls]
    read = _boolean_places if column.kind is ColumnKind.BOOLEAN else _places(list(column.categories))

    def measure(part: NDArray[Any]) -> _Apart | None:
        if not 0 < part.size < sum(every):
            return None
        counts = np.bincount(read(values[part]), minlength=len(every)).tolist()
        others = [whole - drawn for whole, drawn in zip(every, counts, strict=True)]

        def p() -> float:
            tested = chi_square(others, counts)
            return 1.0 if tested is None else tested.p

        return _Apart(rows=part.size, effect=cramers_v(every, counts), p=p)

    return measure


def _boolean_places(values: NDArray[Any]) -> list[int]:
    """Return 0 for false, 1 for true, 3 for a missing value; nothing else can be."""
    return [3 if value != value else int(value == 1) for value in values]


def _places(names: Sequence[str]) -> Callable[[NDArray[Any]], list[int]]:
    """Return each value's place among the categories; after them the others, then the missing."""
    places = {name: place for place, name in enumerate(names)}
    other, missing = len(names), len(names) + 1

    def read(values: NDArray[Any]) -> list[int]:
        return [missing if value is None or value != value else places.get(value, other) for value in values]

    return read
