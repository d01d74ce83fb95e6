"""What recurs in the training time, by weekday or hour or in windows that come and go, and what does not.

Whether a column differs by weekday or hour is asked of whole days or hours, not of rows: the distributions of
the days of a weekday lie nearer to each other than to those of other weekdays (PERMANOVA, Anderson 2001), and
more so than in all of 199 ways to give the days other weekdays. So one odd day is no season, however many
rows it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from windsock.spec import SEED
from windsock.statistics.significance import benjamini_hochberg
from windsock.statistics.unit_tables import UnitTable, distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHUFFLES = 199
"""A season must beat all of them: by chance one column in 200 does."""
FEWEST_UNITS = 3
"""Days of a weekday (hours of an hour of the day) from which on it is a part of a season."""
SURE = 0.01
"""Chance that a time without any excursion has one, over all its windows and columns."""
ALIKE = 0.5
"""Cosine of two excursions' differences from the usual from which on they go the same way."""
LEAST_SIZE = 0.5
"""Of the larger one of two excursions, so much the smaller one must be to be like it."""
FEWEST_WINDOWS = 12
"""In fewer windows of training time no excursion is looked for."""


def differ_by_part(table: UnitTable, part: NDArray[Any]) -> bool:
    """Return whether units of the same part are more alike than units of different parts, beyond chance.

    :param table: rows by day, or by hour.
    :param part: each unit's part of the cycle; -1 for those that are left out.
    """
    import numpy as np

    used = (part >= 0) & (table.rows > 0)
    places, groups = np.unique(part[used], return_inverse=True)
    if places.size < 2:
        return False
    shares = table.shares()[used]
    centred = shares - shares.mean(axis=0)
    sizes = np.bincount(groups)
    draw = np.random.default_rng(SEED)

    def between(order: NDArray[Any]) -> float:
        sums = np.zeros((places.size, centred.shape[1]))
        np.add.at(sums, groups, centred[order])
        return float((sums**2 / sizes[:, None]).sum())

    seen = between(np.arange(len(centred)))
    return seen > 0 and all(between(draw.permutation(len(centred))) < seen for _ in range(SHUFFLES))


@dataclass(frozen=True, kw_only=True)
class Excursion:
    """A column that left its usual distribution once and came back.

    :param column: its name.
    :param window: place of the window in which it was farthest away.
    :param effect: by how much.
    """

    column: str
    window: int
    effect: float


@dataclass(frozen=True, kw_only=True)
class Variability:
    """What the windows of the training time did.

    :param recurring: by column, the effect size that was reached in two separate places; 0 for the others.
    :param lasted: by column, how many windows in a row its longest excursion took; 0 for the others.
    :param once: what was reached in one place only: it widens no limit.
    :param places: windows that are excursions of a column in which excursions recur.
    """

    recurring: Mapping[str, float]
    once: tuple[Excursion, ...] = ()
    places: tuple[int, ...] = ()
    lasted: Mapping[str, int] = field(default_factory=dict)


def find_excursions(
    tables: Mapping[str, UnitTable], kinds: Mapping[str, NDArray[Any]], reach: int
) -> Variability:
    """Find what comes and goes from window to window, and how much of it recurs.

    A window is an excursion where a column differs both from the windows of its kind before it and from those
    after it (at one end of the time, from those on the other side): beyond chance over all windows and
    columns. A trend or a step is none, for it does not come back. What a column reached in two places that
    are farther apart than ``reach`` is natural, if it went the same way and about as far in both; what it
    reached in one is not.

    :param tables: by column, the rows of each window.
    :param kinds: by column, what each window can be compared with: windows of the same number.
    :param reach: how many windows before and after each are looked at.
    """
    import numpy as np

    found = {name: _came_and_went(table, kinds[name], reach) for name, table in tables.items()}
    recurring = dict.fromkeys(tables, 0.0)
    if not found or len(next(iter(found.values()))) < FEWEST_WINDOWS:
        return Variability(recurring=recurring)
    every = np.array(list(found.values()))
    tests = int(np.isfinite(every).sum())
    flagged = np.nanmin(np.where(np.isnan(every), 1.0, every), axis=0) * max(1, tests) <= SURE
    once: list[Excursion] = []
    away: dict[str, NDArray[Any]] = {}
    for name, table in tables.items():
        places = np.flatnonzero(flagged & (found[name] <= SURE))
        if not places.size:
            continue
        effects = np.nan_to_num(_from_others(table, kinds[name])[0])[places]
        first, second = two_places(places, effects, reach, _same_way(table, kinds[name], places))
        recurring[name] = second
        if second:
            away[name] = places
        else:
            once.append(Excursion(column=name, window=int(places[effects.argmax()]), effect=first))
    # A column that shows less of an excursion than another may miss some of its windows.
    least = np.min([np.where(np.isnan(found[name]), 1.0, found[name]) for name in away or tables], axis=0)
    together = least * len(away) <= SURE
    return Variability(
        recurring=recurring,
        once=tuple(once),
        places=tuple(sorted({place for places in away.values() for place in places.tolist()})),
        lasted={name: _longest((found[name] <= SURE) | together, at) for name, at in away.items()},
    )


def windows_that_alarm(
    tables: Mapping[str, UnitTable],
    kinds: Mapping[str, NDArray[Any]],
    limits: Mapping[str, float],
    q: float,
) -> tuple[int, dict[int, tuple[str, ...]]]:
    """Judge the windows of the training time as a monitor will: each against the others of its kind.

    :param limits: by column, the effect size from which it has drifted.
    :param q: false discovery rate over the columns of a window.
    :returns: how many windows have enough rows, and the columns of those that would alarm.
    """
    import numpy as np

    judged, alarms = set[int](), dict[int, tuple[str, ...]]()
    names = list(tables)
    measured = [_from_others(tables[name], kinds[name]) for name in names]
    for window in range(len(measured[0][0]) if measured else 0):
        known = [at for at in range(len(names)) if np.isfinite(measured[at][1][window])]
        if not known:
            continue
        judged.add(window)
        rejected = benjamini_hochberg([float(measured[at][1][window]) for at in known], q)
        found = tuple(
            names[at]
            for at, sure in zip(known, rejected, strict=True)
            if sure and measured[at][0][window] >= limits[names[at]]
        )
        if found:
            alarms[window] = found
    return len(judged), alarms


def two_places(
    places: NDArray[Any], effects: NDArray[Any], reach: int, same_way: NDArray[Any]
) -> tuple[float, float]:
    """Return the largest effect, and the largest that two places farther apart than the reach have; 0: none.

    Two excursions are like each other where they go the same way and one is not much smaller.

    :param same_way: for each pair of places, whether they go the same way.
    """
    import numpy as np

    smaller, larger = np.minimum.outer(effects, effects), np.maximum.outer(effects, effects)
    away = np.abs(np.subtract.outer(places, places)) > reach
    alike = away & same_way & (smaller >= LEAST_SIZE * larger)
    return float(effects.max()), float(smaller[alike].max(initial=0.0))


def _same_way(table: UnitTable, kinds: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """Return for each pair of windows whether they differ from the others of their kind in the same way."""
    import numpy as np

    others = _others(table, kinds)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = table.counts / table.rows[:, None] - others / others.sum(axis=1)[:, None]
    apart = np.nan_to_num(apart.cumsum(axis=1) if table.ordered else apart)[places]
    lengths = np.maximum(np.linalg.norm(apart, axis=1), 1e-300)
    found: NDArray[Any] = (apart @ apart.T) / np.multiply.outer(lengths, lengths) >= ALIKE
    return found


def _longest(inside: NDArray[Any], places: NDArray[Any]) -> int:
    """Return the length of the longest row of windows in an excursion that has one of the places."""
    import numpy as np

    at = np.flatnonzero(inside)
    rows = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
    return max((row.size for row in rows if np.isin(row, places).any()), default=0)


def _came_and_went(table: UnitTable, kinds: NDArray[Any], reach: int) -> NDArray[Any]:
    """Return each window's p-value against its like before and after it, the larger one; NaN: unknown."""
    import numpy as np

    before, after = _around(table.counts, kinds, reach)
    _, then = distances(table.counts, before, ordered=table.ordered)
    _, later = distances(table.counts, after, ordered=table.ordered)
    known = np.where(np.isnan(then), later, np.where(np.isnan(later), then, np.maximum(then, later)))
    found: NDArray[Any] = known
    return found


def _around(counts: NDArray[Any], kinds: NDArray[Any], reach: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows of the same kind in the windows before and after each."""
    import numpy as np

    units = len(counts)
    before, after = np.zeros_like(counts), np.zeros_like(counts)
    low, high = np.maximum(0, np.arange(units) - reach), np.minimum(units, np.arange(units) + 1 + reach)
    for kind in np.unique(kinds):
        places = np.flatnonzero(kinds == kind)
        own = np.where((kinds == kind)[:, None], counts, 0.0)
        sums = np.concatenate([np.zeros((1, counts.shape[1])), own.cumsum(axis=0)])
        before[places] = sums[places] - sums[low[places]]
        after[places] = sums[high[places]] - sums[places + 1]
    return before, after


def _from_others(table: UnitTable, kinds: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return each window's effect size and p-value against all others of its kind; NaN: too few rows."""
    return distances(table.counts, _others(table, kinds), ordered=table.ordered)


def _others(table: UnitTable, kinds: NDArray[Any]) -> NDArray[Any]:
    """Return for each window the rows of all others of its kind."""
    import numpy as np

    others = np.zeros_like(table.counts)
    for kind in np.unique(kinds):
        same = kinds == kind
        others[same] = table.counts[same].sum(axis=0) - table.counts[same]
    return others


def reach_of(windows: int, in_two_weeks: int) -> int:
    """Return how many windows around each are looked at: two weeks, less where there are few."""
    return max(4, min(in_two_weeks, windows // 4))
