"""Rows counted against a drift profile, once; counts of parts add up to those of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind, ColumnProfile
from windsock.statistics.rare_values import count_buckets
from windsock.statistics.ties import Cuts, cuts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER)


@dataclass(frozen=True, kw_only=True, eq=False)
class ColumnCounts:
    """How a column's rows fall around a profile.

    :param rows: rows with a usable value.
    :param nulls: rows without one (null, NaN, or beyond what a number may be).
    :param absent: rows of versions that know no such field.
    :param unreadable: rows whose value is of another kind than the profile's, or encrypted without a key.
    :param below: for each edge of a number, how many values are smaller; int64.
    :param up_to: for each edge of a number, how many values are smaller or equal; int64.
    :param lowest: smallest number; ``None`` without rows.
    :param highest: largest number; ``None`` without rows.
    :param named: rows of each category in the order of the profile's ``categories``; int64.
    :param unseen: rows of categories that the profile does not name.
    :param rest: these by bucket, where the profile counts them so; int64.
    :param groups: rows with a unit, by group of units and coarse bin of the column (see
        :mod:`windsock.statistics.clusters`); ``None`` where no row has one.
    """

    rows: int
    nulls: int
    absent: int = 0
    unreadable: int = 0
    below: NDArray[Any] | None = None
    up_to: NDArray[Any] | None = None
    lowest: float | None = None
    highest: float | None = None
    named: NDArray[Any] | None = None
    unseen: int = 0
    rest: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None

    @property
    def total(self) -> int:
        """All rows, with and without a usable value."""
        return self.rows + self.nulls + self.absent + self.unreadable

    def __add__(self, other: ColumnCounts) -> ColumnCounts:
        lows = [one for one in (self.lowest, other.lowest) if one is not None]
        highs = [one for one in (self.highest, other.highest) if one is not None]
        return ColumnCounts(
            rows=self.rows + other.rows,
            nulls=self.nulls + other.nulls,
            absent=self.absent + other.absent,
            unreadable=self.unreadable + other.unreadable,
            below=_sum(self.below, other.below),
            up_to=_sum(self.up_to, other.up_to),
            lowest=min(lows) if lows else None,
            highest=max(highs) if highs else None,
            named=_sum(self.named, other.named),
            unseen=self.unseen + other.unseen,
            rest=_sum(self.rest, other.rest),
            groups=_sum(self.groups, other.groups),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowCounts:
    """What a window of the prediction log holds, against one version's profile.

    Shadow answers are not counted: their rows are counted where they were answered.

    :param rows: answered rows, of whatever version.
    :param columns: the profile's features by name, over all rows.
    :param scores: the scores of the profile's own version; ``None`` where the profile has none.
    :param targets: outcomes of the profile's own version's rows; ``None`` where none were joined.
    :param variants: rows by variant.
    :param fallbacks: rows that another one answered than the one they belong to, which failed.
    :param predictions: rows of the profile's own version by predicted class; empty for numbers.
    :param latency: rows by the time of their request (in logs of before: of the model): a count up to each of
        :data:`LATENCY_EDGES`, one beyond.
    :param damaged: lines of the log that could not be read.
    """

    rows: int
    columns: Mapping[str, ColumnCounts]
    scores: ColumnCounts | None = None
    targets: ColumnCounts | None = None
    variants: Mapping[str, int] = field(default_factory=dict)
    fallbacks: int = 0
    predictions: Mapping[str, int] = field(default_factory=dict)
    latency: tuple[int, ...] = ()
    damaged: int = 0

    def __add__(self, other: WindowCounts) -> WindowCounts:
        return WindowCounts(
            rows=self.rows + other.rows,
            columns={name: self.columns[name] + other.columns[name] for name in self.columns},
            scores=_both(self.scores, other.scores),
            targets=_both(self.targets, other.targets),
            variants=_merged(self.variants, other.variants),
            fallbacks=self.fallbacks + other.fallbacks,
            predictions=_merged(self.predictions, other.predictions),
            latency=_added(self.latency, other.latency),
            damaged=self.damaged + other.damaged,
        )


LATENCY_EDGES: tuple[float, ...] = tuple(round(10 ** (step / 10), 6) for step in range(-20, 51))
"""Milliseconds, ten a decade from 0.01 to 100,000: a quantile read from the counts is known to 26 %."""


def count_numbers(column: ColumnProfile, values: NDArray[Any]) -> ColumnCounts:
    """Count numbers around a profile's edges.

    :param values: shape (rows,), float64; NaN where missing.
    """
    import numpy as np

    ordered = np.sort(values[~np.isnan(values)])  # sorting first makes the searches fast
    return count_ordered(cuts_of(column), ordered, int(values.size - ordered.size))


def count_ordered(cuts: Cuts, ordered: NDArray[Any], nulls: int) -> ColumnCounts:
    """Count numbers in rising order around edges.

    :param cuts: the edges, with their tolerance.
    :param ordered: shape (rows,), float64, without NaN.
    :param nulls: rows without a number.
    """
    import numpy as np

    return ColumnCounts(
        rows=int(ordered.size),
        nulls=nulls,
        below=np.searchsorted(ordered, cuts.lower, "left").astype(np.int64),
        up_to=np.searchsorted(ordered, cuts.upper, "right").astype(np.int64),
        lowest=float(ordered[0]) if ordered.size else None,
        highest=float(ordered[-1]) if ordered.size else None,
    )


def count_categories(column: ColumnProfile, counts: Mapping[str, int], nulls: int) -> ColumnCounts:
    """Place the rows of each category in a profile's order.

    :param counts: rows of each category in the window.
    :param nulls: rows of the window without a category.
    """
    import numpy as np

    named = np.array([counts.get(name, 0) for name in column.categories], dtype=np.int64)
    rows = sum(counts.values())
    return ColumnCounts(
        rows=rows,
        nulls=nulls,
        named=named,
        unseen=rows - int(named.sum()),
        rest=None
        if column.many is None
        else count_buckets((name, count) for name, count in counts.items() if name not in column.categories),
    )


def _sum(one: NDArray[Any] | None, other: NDArray[Any] | None) -> NDArray[Any] | None:
    if one is None or other is None:
        return one if other is None else other
    total: NDArray[Any] = one + other
    return total


def _both(one: ColumnCounts | None, other: ColumnCounts | None) -> ColumnCounts | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def _merged(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in (*one, *(set(other) - set(one)))}


def _added(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    if not one or not other:
        return one or other
    return tuple(a + b for a, b in zip(one, other, strict=True))
