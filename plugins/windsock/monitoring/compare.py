"""Windows of numbers held against a drift profile, from counts alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnProfile

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class WindowCounts:
    """How a window's numbers fall around a profile's edges; counts of parts add up to those of the whole.

    :param rows: rows with a value.
    :param nulls: rows without one.
    :param below: for each edge, how many values are smaller.
    :param up_to: for each edge, how many values are smaller or equal.
    """

    rows: int
    nulls: int
    below: tuple[int, ...]
    up_to: tuple[int, ...]

    def __add__(self, other: WindowCounts) -> WindowCounts:
        return WindowCounts(
            rows=self.rows + other.rows,
            nulls=self.nulls + other.nulls,
            below=tuple(a + b for a, b in zip(self.below, other.below, strict=True)),
            up_to=tuple(a + b for a, b in zip(self.up_to, other.up_to, strict=True)),
        )


def count_window(column: ColumnProfile, values: NDArray[Any]) -> WindowCounts:
    """Count a window's numbers around a profile's edges.

    :param values: shape (rows,): the window's values, NaN where missing.
    """
    import numpy as np

    ordered = np.sort(values[~np.isnan(values)])  # sorting first makes the searches fast
    edges = np.array(column.edges)
    return WindowCounts(
        rows=int(ordered.size),
        nulls=int(values.size - ordered.size),
        below=tuple(np.searchsorted(ordered, edges, "left").tolist()),
        up_to=tuple(np.searchsorted(ordered, edges, "right").tolist()),
    )


def ks_interval(column: ColumnProfile, window: WindowCounts) -> tuple[float, float]:
    """Return bounds between which the exact two-sample Kolmogorov-Smirnov distance lies.

    At the edges both distribution functions are known from both sides; between two edges each can only rise
    from its value at the left one to its value at the right one.

    :param window: counts around this column's edges.
    :returns: lowest and highest possible distance; (0, 1) where one side has no rows.
    """
    import numpy as np

    if not column.rows or not window.rows:
        return 0.0, 1.0
    left, right = np.array(column.below) / column.rows, np.array(column.up_to) / column.rows
    window_left, window_right = np.array(window.below) / window.rows, np.array(window.up_to) / window.rows
    low = max(np.abs(left - window_left).max(), np.abs(right - window_right).max())
    begins, ends = np.r_[0, right], np.r_[left, 1]
    window_begins, window_ends = np.r_[0, window_right], np.r_[window_left, 1]
    high = max(low, (ends - window_begins).max(), (window_ends - begins).max())
    return float(low), float(high)
