"""One change of the level of a series: whether there is one, and where.

The mean ranks before and after each place are compared (as by Pettitt 1979): values themselves are not, since
one that is far out would be the change. The largest standardised difference is held against what chance
gives: Hawkins (1977), Worsley (1979). Its tail is that of Csörgő and Horváth, Limit Theorems in
Change-Point Analysis (1997), (1.3.26), after Vostrikova (1981) and James, James and Siegmund (1987). Values
that are close in time may be alike: the variance is the largest of that of single values, that of a
first-order autoregression, and that of the means of batches (Alexopoulos and Seila 1998).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST = 10
"""So many values at least lie on either side of a change, a hundredth of all, and the square of their
skewness: the mean of fewer is not near normal (Cochran's rule asks for more)."""
FEWEST_SHARE = 0.01
BATCHES = 10
"""Fewer batches do not show how much their means vary."""
MOST_ALIKE = 0.9
NEGLIGIBLE = 1e-9
"""Values that differ by less than such a part of themselves, or of what nearly all are below, are one."""
NEARLY_ALL = 0.9
NOTHING = 1e-300
LEVEL = 0.01
"""How often chance may be taken for a change."""


class ChangePoint(NamedTuple):
    """A change of the level.

    :param place: the first value after it.
    :param rise: how much more often a value after it is higher than one before it than lower, from -1 to 1.
    :param p: how often chance alone gives a change as large, at any place.
    """

    place: int
    rise: float
    p: float


def change_point(
    values: NDArray[np.float64], *, latest: int | None = None, rising: bool = False, level: float = LEVEL
) -> ChangePoint | None:
    """Return the most likely change of the level, or ``None`` where chance explains the series.

    Values that are not finite are left out; the place is one in the whole series.

    :param values: in the order of time.
    :param latest: the change lies at this place or before it; default: anywhere.
    :param rising: only a change to higher values counts.
    """
    import numpy as np

    there = np.flatnonzero(np.isfinite(values))
    if len(there) < len(values):
        until = None if latest is None else int(np.searchsorted(there, latest, side="right")) - 1
        found = _change_of(values[there], latest=until, rising=rising, level=level)
        return found and found._replace(place=int(there[found.place]))
    return _change_of(values, latest=latest, rising=rising, level=level)


def _change_of(
    values: NDArray[np.float64], *, latest: int | None, rising: bool, level: float
) -> ChangePoint | None:
    import numpy as np

    count, values = len(values), ranks_of(values)
    if count < 2 * FEWEST or values.min() == values.max():
        return None
    edge = max(FEWEST, math.ceil(FEWEST_SHARE * count), math.ceil(_skewness(values) ** 2))
    last = count - edge if latest is None else min(latest, count - edge)
    if last < edge:
        return None
    centred = values - values.mean()
    before = np.cumsum(centred)[:-1]
    size = np.arange(1, count, dtype=np.float64)
    # The difference of both means, by its standard error but for the spread of the values.
    apart = -before / np.sqrt(size * (count - size) / count)
    possible = apart[edge - 1 : last]
    place = edge + int(np.argmax(possible if rising else np.abs(possible)))
    low, high = values[:place], values[place:]
    rise = float(high.mean() - low.mean()) * 2 / count
    spread = math.sqrt(_variance(np.concatenate([low - low.mean(), high - high.mean()])))
    if spread == 0:
        return ChangePoint(place, rise, 0.0) if rise > 0 or (rise < 0 and not rising) else None
    found = abs(float(apart[place - 1])) / spread
    p = chance(found, count, edge=edge, last=last) / (2 if rising else 1)
    return ChangePoint(place, rise, p) if p <= level and (rise > 0 or not rising) else None


def ranks_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value; those that are one value but for their last digits share the mean one.

    :param values: finite.
    """
    import numpy as np

    if not len(values):
        return values
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    usual = float(np.quantile(np.abs(values), NEARLY_ALL))
    same = np.maximum(NEGLIGIBLE * np.maximum(np.abs(ordered[1:]), usual), NOTHING)
    group = np.concatenate([[0], np.cumsum(ordered[1:] - ordered[:-1] > same)])
    sizes = np.bincount(group)
    middle = np.cumsum(sizes) - (sizes - 1) / 2
    found = np.empty(len(values))
    found[order] = middle[group]
    return found


def _skewness(values: NDArray[np.float64]) -> float:
    centred = values - values.mean()
    centred = centred / abs(centred).max()
    return float((centred**3).mean() / centred.std() ** 3)


def _variance(left: NDArray[np.float64]) -> float:
    """Return the variance of a value as the mean of many has it.

    :param left: what the means before and after the change leave.
    """
    import numpy as np

    count = len(left)
    single = float(left.var()) * count / max(1, count - 2)
    if single == 0:
        return 0.0
    alike = float(np.mean(left[1:] * left[:-1])) / single
    chained = 1.0
    if alike > 2 / math.sqrt(count):
        chained = (1 + min(alike, MOST_ALIKE)) / (1 - min(alike, MOST_ALIKE))
    size = int(math.sqrt(count))
    batches = count // size
    apart = 0.0
    if batches >= BATCHES:
        means = left[: batches * size].reshape(batches, size).mean(axis=1)
        apart = size * float(means.var(ddof=1))
    return max(single * chained, apart)


def chance(found: float, count: int, *, edge: int, last: int) -> float:
    """Return how often the largest standardised difference is as large by chance, on either side.

    :param edge: the first place at which a change may lie.
    :param last: the last one.
    """
    if found <= 1:
        return 1.0
    first, end = edge / count, last / count
    # How long the series is to the process that it is like: an Ornstein-Uhlenbeck process.
    length = math.log((end * (1 - first)) / (first * (1 - end)))
    density = math.exp(-(found**2) / 2) / math.sqrt(2 * math.pi)
    crossing = found * density * (length - length / found**2 + 4 / found**2)
    return min(1.0, crossing)
