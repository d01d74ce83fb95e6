"""Rows of the same unit (a user, a customer) are alike: how many rows say as much as independent ones would.

Units fall into groups by a hash. If rows were independent, the shares of a column's coarse bins would differ
between the groups as chance says; by how much more they do is the design effect (Rao & Scott 1981, by random
groups, Wolter 2007). A table of groups and bins adds up over the parts of a window, however many units there
are, and holds no unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

from windsock.records import ColumnKind, ColumnProfile

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUPS = 64
BINS = 11
"""Ten of values and one of rows without a value."""
BELOW = 0.16
"""Chance that the bound of a design effect is too low: as of one standard error."""
NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER)


def groups_of(units: Sequence[str]) -> NDArray[Any]:
    """Return the group of each unit; the same in every process and on every machine.

    A checksum alone spreads ids that follow each other too evenly: it is mixed (Appleby's finaliser).
    """
    return groups_of_bytes(unit.encode("utf-8", "surrogatepass") for unit in units)


def groups_of_bytes(units: Iterable[bytes]) -> NDArray[Any]:
    """Return the group of each unit, whose text is in UTF-8."""
    import numpy as np

    found = np.fromiter(map(crc32, units), dtype=np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        found = (found ^ (found >> np.uint32(shift))) * np.uint32(factor)
    groups: NDArray[Any] = (found % np.uint32(GROUPS)).astype(np.int64)
    return groups


def bin_of_text(place: int, text: str) -> int:
    """Return the bin of a category's value.

    :param place: its place among the profile's categories; -1 for none of them.
    """
    return (place if place >= 0 else crc32(text.encode("utf-8", "surrogatepass"))) % (BINS - 1)


def bin_ends(column: ColumnProfile) -> NDArray[Any]:
    """Return the ends of a number's bins: each holds about a tenth of the profile."""
    import numpy as np

    up_to = np.array(column.up_to)
    tenths = np.arange(1, BINS - 1) * column.rows / (BINS - 1)
    places = np.unique(np.searchsorted(up_to, tenths)) if up_to.size else np.array([], dtype=int)
    ends: NDArray[Any] = np.array(column.edges, dtype="float64")[places[places < up_to.size]]
    return ends


def bin_values(column: ColumnProfile, values: NDArray[Any], missing: NDArray[Any]) -> NDArray[Any]:
    """Return each row's bin.

    :param values: numbers and booleans as floats, categories as text.
    :param missing: which rows have no value.
    """
    import numpy as np

    found = np.full(len(values), BINS - 1, dtype=np.int64)
    there = ~missing
    if column.kind in NUMERIC:
        found[there] = np.searchsorted(bin_ends(column), values[there].astype("float64"), "left")
    elif column.kind is ColumnKind.BOOLEAN:
        found[there] = values[there].astype(bool)
    else:
        places = {name: place for place, name in enumerate(column.categories)}
        texts = [str(value) for value in values[there]]
        found[there] = [bin_of_text(places.get(text, -1), text) for text in texts]
    return found


def tabulate(groups: NDArray[Any], bins: NDArray[Any]) -> NDArray[Any]:
    """Return the rows of each group and bin."""
    import numpy as np

    counts = np.bincount(groups * BINS + bins, minlength=GROUPS * BINS)
    return counts.reshape(GROUPS, BINS)


def design_effect(table: NDArray[Any], *, ordered: bool = False) -> float | None:
    """Return how many rows of some units say as much as one independent row; 1 at least.

    Each group is held against all others (a jackknife over groups): a group that has most of the rows, such
    as that of one heavy unit, would else be held against itself. What is more than 1 is taken at its upper
    bound by chi-square, whose degrees of freedom are how many groups it comes from (Satterthwaite 1946): too
    few independent rows are no false alarm.

    Of categories by the shares of the bins. Of numbers by the shares up to each bin, which are what the
    distance of two distributions is made of: rows of a unit that are near each other fall into other bins.

    :param table: rows of each group of units and bin.
    :param ordered: whether the bins are of numbers.
    :returns: ``None`` where fewer than two groups or two bins have rows, so that nothing can differ.
    """
    from scipy.special import gammaincinv

    held = (table[:, :-1] if ordered else table).astype("float64")
    held = held[held.sum(axis=1) > 0][:, held.sum(axis=0) > 0]
    if min(held.shape) < 2:
        return None
    sizes, total = held.sum(axis=1, keepdims=True), held.sum()
    counts = held.cumsum(axis=1)[:, :-1] if ordered else held
    every = counts.sum(axis=0)
    shares = every / total
    part = (sizes / total)[:, 0]
    apart = counts / sizes - (every - counts) / (total - sizes)
    chance = shares * (1 - shares)
    weights = 1.0 if ordered else 1 / shares
    each = part**2 * total * (apart**2 * weights).sum(axis=1) / (chance * weights).sum()
    excess = float(each.sum() - (part / (1 - part)).sum())
    if excess <= 0:
        return 1.0
    freedom = float(each.sum()) ** 2 / float((each**2).sum())
    return 1.0 + excess * freedom / (2 * float(gammaincinv(freedom / 2, BELOW)))


def rows_of_unit(table: NDArray[Any]) -> float:
    """Return how many rows a row's unit has on average: the design effect where a unit's rows are all alike.

    By how much the sizes of the groups differ; 1 at least.
    """
    import numpy as np

    sizes = table.sum(axis=1)
    total = float(sizes.sum())
    apart = float(np.square(sizes - total / GROUPS).sum())
    return max(1.0, apart * GROUPS / (GROUPS - 1) / total) if total else 1.0
