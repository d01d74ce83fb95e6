"""How far a window lies from a drift profile, from counts alone."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnProfile
from windsock.statistics.counting import ColumnCounts, count_categories
from windsock.statistics.rare_values import shares_of
from windsock.statistics.ties import SAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 10
"""Bins of a number, each of about as many rows of the profile."""
OWN_BINS = 20
"""Categories that are bins of their own."""


def ks_interval(column: ColumnProfile, window: ColumnCounts) -> tuple[float, float]:
    """Return bounds between which the exact two-sample Kolmogorov-Smirnov distance lies.

    At the edges both distribution functions are known from both sides; between two edges each can only rise
    from its value at the left one to its value at the right one.

    :param window: counts around this column's edges.
    :returns: lowest and highest possible distance; (0, 1) where one side has no rows.
    """
    import numpy as np

    if not column.rows or not window.rows or window.below is None or window.up_to is None:
        return 0.0, 1.0
    left, right = np.array(column.below) / column.rows, np.array(column.up_to) / column.rows
    window_left, window_right = window.below / window.rows, window.up_to / window.rows
    low = max(np.abs(left - window_left).max(), np.abs(right - window_right).max())
    outside = max(left[0], window_left[0], 1 - right[-1], 1 - window_right[-1])
    between = max(
        (left[1:] - window_right[:-1]).max(initial=0), (window_left[1:] - right[:-1]).max(initial=0)
    )
    high = max(low, outside, between)
    return float(low), float(high)


def ks_by_chance(rows: int, other_rows: int, *, comparisons: int = 1, alpha: float = 0.05) -> float:
    """Return the Kolmogorov-Smirnov distance that equal distributions exceed with probability alpha.

    Smirnov's asymptotic quantile, with Bonferroni's correction for several comparisons.

    :param rows: rows of one side.
    :param other_rows: rows of the other.
    :param comparisons: how many columns are looked at together.
    """
    quantile = math.sqrt(-math.log(alpha / comparisons / 2) / 2)
    return quantile * math.sqrt((rows + other_rows) / (rows * other_rows))


def bin_numbers(column: ColumnProfile, window: ColumnCounts) -> tuple[list[int], list[int]]:
    """Return how many values of the profile and of a window fall into bins of about a tenth of the profile.

    :returns: as many counts for each side; the last is of the rows without a value.
    """
    up_to = [0] * len(column.edges) if window.up_to is None else window.up_to
    tenths = [column.rows * tenth / BINS for tenth in range(1, BINS)]
    ends = sorted({bisect_left(column.up_to, tenth) for tenth in tenths} - {len(column.up_to)})
    return (
        [*_steps([column.up_to[end] for end in ends], column.rows), column.nulls],
        [*_steps([int(up_to[end]) for end in ends], window.rows), window.nulls],
    )


def _steps(cumulated: Sequence[int], total: int) -> list[int]:
    ends = [0, *cumulated, total]
    return [high - low for low, high in itertools.pairwise(ends)]


def bin_categories(
    column: ColumnProfile, counts: Mapping[str, int], nulls: int
) -> tuple[list[int], list[int]]:
    """Return how many rows of the profile and of a window fall into its most frequent categories.

    The rarer ones, and those that the profile does not name, are counted together: many small counts would
    look like a change whatever the window.

    :param counts: rows of each category in the window.
    :param nulls: rows of the window without a category.
    :returns: as many counts for each side; the last two are of the others, and of rows without a value.
    """
    return bin_named(column, count_categories(column, counts, nulls))


def bin_named(column: ColumnProfile, window: ColumnCounts) -> tuple[list[int], list[int]]:
    """Return the same bins as :func:`bin_categories`, from counts in the profile's order."""
    named = [] if window.named is None else [int(count) for count in window.named]
    now = dict(zip(column.categories, named, strict=False))
    then, other, nulls = shares_of(column)
    kept = list(then)[:OWN_BINS]
    reference, current = [then[name] for name in kept], [now.get(name, 0) for name in kept]
    rest = sum(then.values()) + other - sum(reference), window.rows - sum(current)
    return [*reference, rest[0], nulls], [*current, rest[1], window.nulls]


def wasserstein(column: ColumnProfile, window: ColumnCounts) -> float | None:
    """Return the Wasserstein distance in standard deviations of the profile, from counts.

    The mean distance of the two sides' quantiles in the middle of equal parts. Between two edges the
    window's values are taken as spread evenly; beyond the first and the last one as a power-law tail that
    reaches the smallest or largest value.

    :returns: ``None`` where one side has no values, or the profile's do not vary but in their last digits.
    """
    import numpy as np

    if not window.rows or not column.sd or window.below is None or window.up_to is None:
        return None
    if len(column.edges) == 1 and column.sd <= SAME * abs(column.edges[0]):
        return None
    if window.lowest is None or window.highest is None:
        return None
    own = np.array(column.quantiles)
    ranks = (np.arange(own.size) + 0.5) / own.size * window.rows
    edges = np.array(column.edges)
    values = np.repeat(edges, 2)
    cumulated = np.empty(values.size)
    cumulated[::2], cumulated[1::2] = window.below, window.up_to
    seen = np.interp(ranks, cumulated, values)
    middle = float(own[own.size // 2])
    below, above = ranks < cumulated[0], ranks > cumulated[-1]
    under, over = int(window.below[0]), window.rows - int(window.up_to[-1])
    seen[below] = middle + _tail(
        edges[0] - middle, window.lowest - middle, under, 1 - ranks[below] / max(under, 1)
    )
    seen[above] = middle + _tail(
        edges[-1] - middle, window.highest - middle, over, (ranks[above] - cumulated[-1]) / max(over, 1)
    )
    return float(np.abs(seen - own).mean() / column.sd)


def _tail(begin: float, end: float, rows: int, shares: NDArray[Any]) -> NDArray[Any]:
    """Return quantiles of a power-law tail from ``begin``, the largest of whose values lies at ``end``.

    Both are distances from the middle; beyond the edge of a normal distribution it is as good as any.
    """
    import numpy as np

    if rows < 2 or begin == 0 or end / begin <= 1:
        return np.full(shares.shape, end if rows == 1 else (begin + end) / 2)
    exponent = math.log(end / begin) / math.log(rows)
    quantiles: NDArray[Any] = begin * np.minimum((1 - shares) ** -exponent, end / begin)
    return quantiles


def population_stability(reference: Sequence[int], window: Sequence[int]) -> float | None:
    """Return the population stability index (PSI) of counts in the same bins; above 0.25 is a large change.

    Half a row is added to each bin, so that an empty one is no infinite change. Bins that are empty on both
    sides are left out.

    :returns: ``None`` where one side has no rows.
    """
    pairs = [(a, b) for a, b in zip(reference, window, strict=True) if a or b]
    if not sum(reference) or not sum(window):
        return None
    totals = [sum(side) + len(pairs) / 2 for side in (reference, window)]
    shares = [((a + 0.5) / totals[0], (b + 0.5) / totals[1]) for a, b in pairs]
    return math.fsum((now - then) * math.log(now / then) for then, now in shares)


def jensen_shannon(reference: Sequence[int], window: Sequence[int]) -> float | None:
    """Return the Jensen-Shannon distance of counts in the same bins: from 0 (equal shares) to 1 (no overlap).

    It is the root of the divergence to base 2.

    :returns: ``None`` where one side has no rows.
    """
    totals = sum(reference), sum(window)
    if not all(totals):
        return None
    divergence = 0.0
    for a, b in zip(reference, window, strict=True):
        then, now = a / totals[0], b / totals[1]
        middle = (then + now) / 2
        divergence += sum(share * math.log2(share / middle) / 2 for share in (then, now) if share)
    return math.sqrt(min(1.0, max(0.0, divergence)))
