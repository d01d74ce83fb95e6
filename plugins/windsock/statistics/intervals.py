"""Intervals of shares, of counts, and of differences of independent values."""

from __future__ import annotations

import math

from windsock.records import Interval
from windsock.statistics.proportions import LEVEL


def quantile_of_normal(level: float) -> float:
    """Return how many standard errors a two-sided interval reaches."""
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def wilson(hits: int, rows: int, *, level: float = LEVEL) -> Interval:
    """Return the interval of a share (Wilson 1927); the whole of 0 to 1 without rows.

    :param level: coverage of both sides together; each bound alone holds with ``(1 + level) / 2``.
    """
    if rows <= 0:
        return Interval(low=0.0, high=1.0, level=level)
    z = quantile_of_normal(level)
    share, square = hits / rows, z * z / rows
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / rows + square / (4 * rows))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(low=low if hits else 0.0, high=high if hits < rows else 1.0, level=level)


def poisson(count: int, *, level: float = LEVEL) -> Interval:
    """Return the exact interval of a count's mean (Garwood 1936)."""
    from scipy.special import gammaincinv

    tail = (1 - level) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return Interval(low=low, high=float(gammaincinv(count + 1, 1 - tail)), level=level)


def difference(
    value: float, interval: Interval | None, other: float, others: Interval | None
) -> Interval | None:
    """Return the interval of ``value - other`` for independent values, from their own intervals.

    Square-and-add (MOVER, Zou and Donner 2008): the intervals need not be symmetrical.

    :returns: ``None`` if one of them has no interval.
    """
    if interval is None or others is None:
        return None
    apart = value - other
    down = math.hypot(value - interval.low, others.high - other)
    up = math.hypot(interval.high - value, other - others.low)
    return Interval(low=apart - down, high=apart + up, level=min(interval.level, others.level))
