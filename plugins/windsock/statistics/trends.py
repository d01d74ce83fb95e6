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

ERROR = 0.10
"""Bound of the chance that a steady series is ever said to fall, over all looks that there will ever be."""
EARLY = 27
"""Half of the error, 5 %, is spent on so many looks: those of a series of 30 windows."""
PROVEN = 0.95
"""A line is said not to fall further than a limit where a bound of this level says so."""
POWER = 0.8


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
    """Fit a line to windows, each weighted by its rows.

    The error is that of the rows within the windows; where the windows vary around the line by more than
    that, it is theirs, with Student's t.

    :param times: of the windows, rising; at least two that differ.
    :param spread: variance of the metric on one row: on ``n`` rows it is an ``n``-th of it.
    """
    import numpy as np

    weights = np.asarray(rows, dtype="float64")
    place = (np.asarray(times, dtype="float64") - times[0]) / (times[-1] - times[0])
    seen = np.asarray(values, dtype="float64")
    apart = place - np.average(place, weights=weights)
    mean, moment = np.average(seen, weights=weights), float((weights * apart**2).sum())
    change = float((weights * apart * seen).sum()) / moment
    error, freedom = math.sqrt(spread / moment), len(rows) - 2
    if freedom >= 1:
        left = seen - mean - change * apart
        uneven = float((weights * left**2).sum()) / spread
        if uneven > freedom:
            error *= math.sqrt(uneven / freedom)
            return Line(start=float(mean + change * apart[0]), change=change, error=error, freedom=freedom)
    return Line(start=float(mean + change * apart[0]), change=change, error=error)


def look_error(look: int) -> float:
    """Return the part of the error that a look spends; over all looks the parts add up to :data:`ERROR`.

    :param look: 1 for the first one.
    """
    return ERROR * EARLY / ((EARLY + look - 1) * (EARLY + look))


def seen_loss(rows: float, spread: float, *, windows: int, look: int, limit: float) -> float:
    """Return the loss over evenly spaced windows that a look finds with a chance of :data:`POWER`.

    :param rows: labelled rows of each window.
    :param spread: variance of the metric on one row.
    :param limit: what the loss must exceed as it is estimated.
    """
    from scipy.special import ndtri

    moment = rows * sum((place / (windows - 1) - 0.5) ** 2 for place in range(windows))
    error = math.sqrt(spread / moment)
    return max(float(ndtri(1 - look_error(look))) * error, limit) + float(ndtri(POWER)) * error
