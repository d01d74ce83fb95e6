"""A slide of a metric over windows: a weighted line, its error held over all looks of a series.

Each new window is a look. A look spends its part of the error (Lan and DeMets 1983, Biometrika 70:659), and
the parts add up to the whole error over any number of looks: by the union bound (Bonferroni) that holds
however the looks depend on each other. They share most of their windows, so what comes out is far less: see
``benchmarks/trend.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ERROR = 0.10
"""Bound of the chance that a steady series is ever said to fall, over all looks that there will ever be."""
EARLY = 27
"""Half of the error, 5 %, is spent on so many looks: those of a series of 30 windows."""
PROVEN = 0.95
"""A line is said not to fall further than a limit where a bound of this level says so."""
ROUNDS = 50
"""More than enough of Newton's steps for the variance between windows: about five are taken."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through windows, from the first to the last.

    :param start: its value at the first window.
    :param change: what it rises from the first window to the last.
    :param error: standard error of the change.
    :param freedom: degrees of freedom where the error comes from how the windows vary; ``None`` where it is
        that of the rows within them.
    """

    start: float
    change: float
    error: float
    freedom: int | None = None

    def reach(self, tail: float) -> float:
        """Return how far the change may lie on one side of what was seen, but for a tail of chance."""
        from scipy.special import ndtri, stdtrit

        quantile = ndtri(1 - tail) if self.freedom is None else stdtrit(self.freedom, 1 - tail)
        return float(quantile) * self.error


def fit_line(times: Sequence[float], values: Sequence[float], rows: Sequence[int], spread: float) -> Line:
    """Fit a line to windows, each weighted by one over its variance.

    That is the variance of its rows; where the windows vary around the line by more than that, the variance
    between windows on top, which no number of rows makes smaller, and Student's t (a meta-regression with
    the estimate of Paule and Mandel 1982, J. Res. NBS 87:377). So a large window does not pull the line.

    :param times: of the windows, rising; at least two that differ.
    :param spread: variance of the metric on one row: on ``n`` rows it is an ``n``-th of it.
    """
    import numpy as np

    by_rows = spread / np.asarray(rows, dtype="float64")
    place = (np.asarray(times, dtype="float64") - times[0]) / (times[-1] - times[0])
    seen = np.asarray(values, dtype="float64")
    freedom = len(rows) - 2
    start, change, moment, left = _weighted(place, seen, 1 / by_rows)
    between = 0.0
    for _ in range(ROUNDS if freedom >= 1 else 0):
        weights = 1 / (by_rows + between)
        start, change, moment, left = _weighted(place, seen, weights)
        uneven = float((weights * left**2).sum())
        if uneven <= freedom * (1 + 1e-6):
            break
        between += (uneven - freedom) / float((weights**2 * left**2).sum())
    error = math.sqrt(1 / moment)
    return Line(start=start, change=change, error=error, freedom=freedom if between else None)


def _weighted(
    place: NDArray[Any], seen: NDArray[Any], weights: NDArray[Any]
) -> tuple[float, float, float, NDArray[Any]]:
    """Return the line's start and change, its moment, and what is left of each window."""
    import numpy as np

    apart = place - np.average(place, weights=weights)
    mean, moment = float(np.average(seen, weights=weights)), float((weights * apart**2).sum())
    change = float((weights * apart * seen).sum()) / moment
    return mean + change * float(apart[0]), change, moment, seen - mean - change * apart


def look_error(look: int) -> float:
    """Return the part of the error that a look spends; over all looks the parts add up to :data:`ERROR`.

    :param look: 1 for the first one.
    """
    return ERROR * EARLY / ((EARLY + look - 1) * (EARLY + look))
