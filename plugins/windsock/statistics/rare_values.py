"""Categories with more values than a sample can have seen: what is unseen is estimated, not taken for zero.

The most frequent values of a sample are the most frequent partly by chance, and those that it did not see are
not without rows elsewhere. So one half of the training rows chooses which values are counted by name, and the
other half measures the shares; the values without a name are counted in buckets of a hash. For a profile that
has no such half the Good-Turing estimate takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from windsock.records import MOST_CATEGORIES, ColumnProfile
from windsock.statistics.clusters import GROUPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKETS = 256
"""Buckets of the values without a name: a value that takes over 5 % of the rows is far beyond its bucket."""
FEW_UNSEEN = 0.002
"""An unseen share up to this cannot reach the limit of an effect, whatever it is held against."""
FEWEST_ONCE = 5
"""Fewer values that one row has say nothing of a share that is unseen."""
RARE = 10
"""Values of fewer rows than this are counted together, as many rows of theirs as Good-Turing expects."""


class Unseen(NamedTuple):
    """An estimated share of rows whose value the sample does not hold.

    :param share: between 0 and 1.
    :param error: its standard error.
    """

    share: float
    error: float


def good_turing(seen_once: int, seen_twice: int, rows: int) -> Unseen:
    """Estimate the share of the values that none of some rows has (Good 1953), with its error (Esty 1983).

    :param seen_once: values that one row has.
    :param seen_twice: values that two rows have.
    :param rows: all rows.
    """
    if not rows:
        return Unseen(1.0, 0.0)
    share = seen_once / rows
    variance = (seen_once * (1 - share) + 2 * seen_twice) / rows**2
    return Unseen(share, float(max(0.0, variance) ** 0.5))


def bucket_of(text: str) -> int:
    """Return the bucket of a value without a name; the same in every process and on every machine."""
    return crc32(text.encode("utf-8", "surrogatepass")) % BUCKETS


def count_buckets(counts: Iterable[tuple[str, int]]) -> NDArray[Any]:
    """Return the rows of each bucket.

    :param counts: values without a name, each with its rows.
    """
    import numpy as np

    found = np.zeros(BUCKETS, dtype=np.int64)
    for text, count in counts:
        found[bucket_of(text)] += count
    return found


def describe_values(
    values: Sequence[str], measuring: NDArray[Any], groups: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Describe a category's values: by name as far as they are frequent, and what the rest come to.

    :param values: those of the rows that have one.
    :param measuring: for each row whether its half measures; the other half chooses the names.
    :param groups: each row's group of entities, where rows share some: a value that is of one group alone was
        seen once, however many rows that entity has.
    """
    import numpy as np

    texts, codes = np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)
    every = np.bincount(codes, minlength=texts.size)
    seen = every
    if groups is not None:
        seen = np.bincount(np.unique(codes * GROUPS + groups) // GROUPS, minlength=texts.size)
    once, twice = int((seen == 1).sum()), int((seen == 2).sum())
    unseen = good_turing(once, twice, int(seen.sum()))
    facts: dict[str, Any] = {"seen_once": once, "seen_twice": twice}
    enough = once >= FEWEST_ONCE and unseen.share > FEW_UNSEEN
    if texts.size <= MOST_CATEGORIES and not enough:
        return {**facts, "categories": _by_count(texts, every, every), "other": 0}
    half = np.bincount(codes[measuring], minlength=texts.size)
    named = _by_count(texts, every, every - half)
    kept = set(named)
    pairs = list(zip(texts.tolist(), half.tolist(), strict=True))
    many = {
        "rows": int(half.sum()),
        "named": {text: count for text, count in pairs if text in kept},
        "rest": tuple(count_buckets((text, count) for text, count in pairs if text not in kept).tolist()),
    }
    return {**facts, "categories": named, "other": len(values) - sum(named.values()), "many": many}


def _by_count(texts: NDArray[Any], every: NDArray[Any], chosen_by: NDArray[Any]) -> dict[str, int]:
    """Return the rows of the values that are most frequent by some counts, the most frequent first."""
    import numpy as np

    places = np.lexsort((texts, -chosen_by))[:MOST_CATEGORIES]
    return {str(texts[place]): int(every[place]) for place in places if chosen_by[place]}


class Cells(NamedTuple):
    """A category's rows on both sides, cell by cell; the last cell is of the rows without a value.

    :param reference: rows of the training rows that are held against a window.
    :param window: rows of the window.
    :param single: which cells are looked at one by one: each is a value, a bucket of values, or what should
        be next to nothing.
    """

    reference: NDArray[Any]
    window: NDArray[Any]
    single: NDArray[Any]


def cells_of(
    column: ColumnProfile, named: NDArray[Any], rest: NDArray[Any] | None, unseen: int, nulls: int
) -> Cells:
    """Return what a window's category is tested by.

    :param named: the window's rows of each of the profile's categories, in their order.
    :param rest: its rows of all others by bucket; ``None`` where they were not counted so.
    :param unseen: its rows of all others.
    :param nulls: its rows without a value.
    """
    import numpy as np

    now = np.asarray(named, dtype="float64")
    if column.many is not None and rest is not None:
        half = [column.many.named.get(name, 0) for name in column.categories]
        reference = np.array([*half, *column.many.rest, column.many.nulls], dtype="float64")
        window = np.concatenate([now, np.asarray(rest, dtype="float64"), [nulls]])
        return Cells(reference, window, np.arange(reference.size) < reference.size - 1)
    then = np.array(list(column.categories.values()), dtype="float64")
    if not _has_unseen(column, then):
        never = float(column.other + _seen_once(column, then))
        reference, window = np.append(then, [never, column.nulls]), np.append(now, [unseen, nulls])
        return Cells(reference, window, np.arange(reference.size) < reference.size - 1)
    rare = then < RARE
    never = float(_seen_once(column, then)) + column.other
    seldom = max(0.0, _seen_up_to(column, then) - never)
    common = then[~rare] * (column.rows - never - seldom) / max(1.0, float(then[~rare].sum()))
    reference = np.array([*common, seldom, never, column.nulls])
    window = np.array([*now[~rare], float(now[rare].sum()), unseen, nulls])
    return Cells(reference, window, np.arange(reference.size) < common.size)


def _has_unseen(column: ColumnProfile, counts: NDArray[Any]) -> bool:
    """Return whether a profile without a measuring half leaves values unseen, as far as it can tell."""
    once = _seen_once(column, counts)
    return once >= FEWEST_ONCE and once / column.rows > FEW_UNSEEN if column.rows else False


def _seen_once(column: ColumnProfile, counts: NDArray[Any]) -> int:
    return int((counts == 1).sum()) if column.seen_once is None else column.seen_once


def _seen_up_to(column: ColumnProfile, counts: NDArray[Any]) -> float:
    """Return how many rows Good-Turing gives to the values of fewer than :data:`RARE` rows, unseen ones too.

    By r* = (r + 1) N(r + 1) / N(r) they are the rows of all values of up to so many; what the last of those
    numbers adds is the mean of its neighbours, because a single count of counts is noisy.
    """
    fewer = float(counts[counts < RARE].sum()) + column.other
    near = [(counts == number).sum() * number for number in range(RARE - 2, RARE + 3)]
    return min(float(column.rows), fewer + float(sum(near)) / len(near))


def shares_of(column: ColumnProfile) -> tuple[Mapping[str, int], int, int]:
    """Return a category's reference: rows by name, rows of all others, rows without a value.

    The names are in an order that their counts have no part in by chance: the most frequent first.
    """
    if column.many is None:
        order = sorted(column.categories, key=lambda name: (-column.categories[name], name))
        return {name: column.categories[name] for name in order}, column.other, column.nulls
    chosen_by = {name: count - column.many.named.get(name, 0) for name, count in column.categories.items()}
    order = sorted(chosen_by, key=lambda name: (-chosen_by[name], name))
    return (
        {name: column.many.named.get(name, 0) for name in order},
        sum(column.many.rest),
        column.many.nulls,
    )


def unseen_of(column: ColumnProfile) -> float | None:
    """Return the share of rows that the reference gives to values without a name; ``None`` without rows."""
    if column.many is not None:
        return sum(column.many.rest) / column.many.rows if column.many.rows else None
    if not column.rows:
        return None
    once = column.seen_once
    if once is None:
        once = sum(count == 1 for count in column.categories.values())
    return min(1.0, column.other / column.rows + good_turing(once, 0, column.rows).share)
