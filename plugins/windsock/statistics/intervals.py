"""Intervals of shares, of counts, of differences, and of metrics on many rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windsock.records import Interval
from windsock.spec import SEED
from windsock.statistics.bootstrap import LEVEL, RESAMPLES, interval_of, resample

if TYPE_CHECKING:
    from windsock.statistics.metrics import Scorer

BOOTSTRAP_ROWS = 1_000
"""On more rows the bootstrap costs too much; groups of rows are left out in turn instead."""
GROUPS = 100


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


def metric_intervals(scorers: Mapping[str, Scorer], rows: int) -> dict[str, Interval | None]:
    """Return an interval for each metric on the same rows: bootstrap, or on many rows the jackknife.

    :param scorers: metrics as functions of row weights.
    :returns: ``None`` for a metric that too many resamples do not define.
    """
    if rows <= BOOTSTRAP_ROWS:
        values = resample(scorers, rows, resamples=RESAMPLES)
        return {name: interval_of(found) for name, found in values.items()}
    return _jackknife(scorers, rows)


def _jackknife(scorers: Mapping[str, Scorer], rows: int) -> dict[str, Interval | None]:
    """Leave each of 100 random groups of rows out in turn (Shao and Tu 1995, section 2.3; Kott 2001)."""
    import numpy as np
    from scipy.special import stdtrit

    group = np.random.default_rng(SEED).permutation(rows) % GROUPS
    found: dict[str, list[float]] = {name: [] for name in scorers}
    with np.errstate(all="ignore"):
        for left_out in range(GROUPS):
            weights = (group != left_out).astype("float64")
            for name, scorer in scorers.items():
                found[name].append(scorer(weights))
        whole = {name: scorer(None) for name, scorer in scorers.items()}
    reach = float(stdtrit(GROUPS - 1, (1 + LEVEL) / 2))
    return {name: _spread(whole[name], np.array(values), reach) for name, values in found.items()}


def _spread(value: float, without: Any, reach: float) -> Interval | None:
    import numpy as np

    if not math.isfinite(value) or not np.isfinite(without).all():
        return None
    half = reach * math.sqrt((GROUPS - 1) / GROUPS * float(((without - without.mean()) ** 2).sum()))
    return Interval(low=value - half, high=value + half, level=LEVEL)
