"""Numbers that are one value but for the last digits: constants and steps are compared with a tolerance.

The tolerance is relative to the value itself, so it is the same for a column of 1e-9 and one of 1e9.
"""

from __future__ import annotations

from operator import sub
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.records import ColumnKind, ColumnProfile

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME = 1e-7
"""Numbers of one value differ by less than this part of it: single precision has seven digits."""
APART = 100
"""A group of numbers is one value if the next ones are so many tolerances away."""
NOTHING = 1e-12
"""The tolerance of a column that was nothing but zeros, whose scale nobody knows."""


class Cuts(NamedTuple):
    """Where a window's numbers are counted: around each edge of a profile, with its tolerance.

    :param lower: numbers smaller than this are below the edge; rising.
    :param upper: numbers up to this are not above it; rising, and below the next lower one.
    """

    lower: NDArray[Any]
    upper: NDArray[Any]


def cuts_of(column: ColumnProfile) -> Cuts:
    """Return where numbers are counted against a profile.

    An edge that several training rows share is a value, and takes in what differs from it by the last digits.
    Edges of numbers that are all different are exact.
    """
    import numpy as np

    edges = np.array(column.edges, dtype="float64")
    if not has_ties(column):
        return Cuts(edges, edges)
    return cuts_around(edges, np.array(column.up_to) - np.array(column.below) >= 2)


def has_ties(column: ColumnProfile) -> bool:
    """Return whether some edges of a number are values that several training rows share."""
    if column.kind is not ColumnKind.NUMBER or not column.edges:
        return False
    return bool(max(map(sub, column.up_to, column.below)) >= 2)


def cuts_around(edges: NDArray[Any], tied: NDArray[Any]) -> Cuts:
    """Return where numbers are counted around edges.

    :param tied: which edges several rows share.
    """
    import numpy as np

    if not tied.any():
        return Cuts(edges, edges)
    steps = np.concatenate([[np.inf], np.diff(edges), [np.inf]])
    nearest = np.minimum(steps[:-1], steps[1:])
    at_zero = SAME * nearest if edges.size > 1 else np.full(1, NOTHING)
    room = np.where(edges == 0, at_zero, SAME * np.abs(edges))
    if _are_whole(edges):
        nearest = np.minimum(nearest, 1.0)  # the next whole number is another value
    room = np.where(tied, np.minimum(room, nearest / 4), 0.0)
    return Cuts(edges - room, edges + room)


def snap(ordered: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in rising order, of which those that are one value but for the last digits are equal.

    A group of numbers is one value if it is no wider than the tolerance and stands alone.
    """
    import numpy as np

    if ordered.size < 2 or _are_whole(ordered):
        return ordered
    values, counts = np.unique(ordered, return_counts=True)
    room = SAME * np.abs(values)
    breaks = np.flatnonzero(np.diff(values) > room[1:]) + 1
    if breaks.size == values.size - 1:
        return ordered
    first, last = np.r_[0, breaks], np.r_[breaks, values.size] - 1
    width = values[last] - values[first]
    away = np.r_[np.inf, values[first[1:]] - values[last[:-1]], np.inf]
    limit = room[last]
    alone = np.minimum(away[:-1], away[1:]) >= APART * limit
    one = (width > 0) & (width <= limit) & alone
    for start, end in zip(first[one], last[one] + 1, strict=True):
        values[start:end] = values[start + int(counts[start:end].argmax())]
    found: NDArray[Any] = np.repeat(values, counts)
    return found


def _are_whole(values: NDArray[Any]) -> bool:
    import numpy as np

    return bool((values == np.floor(values)).all() and np.abs(values).max() > 0)


def snap_to(column: ColumnProfile, values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers, each that is a value of the profile but for the last digits as that value."""
    import numpy as np

    lower, upper = cuts_of(column)
    if not lower.size:
        return values
    places = np.minimum(np.searchsorted(upper, values, "left"), upper.size - 1)
    inside = (values >= lower[places]) & (values <= upper[places])
    found: NDArray[Any] = np.where(inside, np.array(column.edges)[places], values)
    return found


def is_constant(lowest: float | None, highest: float | None, sd: float | None) -> bool:
    """Return whether numbers between two are one value but for the last digits.

    :param sd: standard deviation of the profile: what is large beside it is no last digit.
    """
    if lowest is None or highest is None:
        return False
    room = SAME * max(abs(lowest), abs(highest))
    return highest - lowest <= (room if not sd else min(room, SAME * sd))
