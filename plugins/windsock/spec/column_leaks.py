"""Which columns give the target away: how nearly each does alone, held against what the others reach.

Strength is out of sample. A column's values become bins (quantiles of numbers, the values of categories), the
target's mean in a bin is taken from the other folds (cross-fitted target encoding), and what that reaches is
an AUC (one class against the rest, mean over the classes) or, for numbers, R2 (of values and of ranks). Folds
keep the rows of one entity together, and are blocks where rows have a time.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.spec.label_folds import Labels, Prediction, read_labels
from windsock.spec.leak_suspects import LeakKind, LeakSuspect

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

BINS = 16
BINS_OF_CLASS = 6
"""A number is cut into 16 bins of equal size, with many classes into 6 for each: more would tell customers
whose rows come again by their numbers."""
ROWS_OF_BIN = 5
MOST_ROWS, MANY_COLUMNS, FEWER_ROWS = 10_000, 200, 2_000
"""So many rows are taken; with more columns fewer rows."""
MOST_TOGETHER = 100
"""So many columns, the strongest ones, are what the weaker columns reach together."""
FEWEST_FILLED = 100
"""A column's values alone are judged from so many rows with a value."""
FEWEST_OF_SIDE = 10
COPIED = 0.98
"""Such a share of rows in which a value means one class is a copy of the target, written otherwise."""
COPIED_OF_CLASS = 0.9
LINE = 0.9999
"""R2 of a straight line through a copy of a number."""
STRONG = {False: 0.985, True: 0.965}
"""AUC, and R2 of numbers, from which a column alone is compared with the others: a copy with 1 % of wrong
rows reaches 0.99 and 0.98, less what few rows scatter."""
PERFECT = {False: 0.998, True: 0.9975}
"""From here on a column is named whatever the others reach, in enough rows."""
PERFECT_ROWS = 150
CONTRAST = 2.0
"""So many times smaller than the next column's is what a suspect leaves open."""
CERTAIN = 2.0
"""Standard errors between them."""
PART_OF_COLUMNS, MOST_IN_GROUP = 3, 5
"""Near-equal columns stand out together if they are a third of the columns at most, and so few."""
FEWEST_OF_ONE_CLASS = 30
"""One of three or more classes is judged for itself from so many rows."""
ABSENT = 0.9
"""AUC from which it gives the target away that a column has a value at all."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column to be judged.

    :param values: one for each row, missing where there is none.
    :param number: whether they have an order: numbers and times.
    """

    name: str
    values: pd.Series[Any]
    number: bool


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How nearly a column alone gives the target away.

    :param alone: AUC or R2 out of sample, 0 where it cannot be measured.
    :param absence: AUC by which having a value separates the target; 0.5: not at all.
    :param copy: whether each value means one class, or the target is a straight line of the values.
    :param filled: rows with a value.
    :param of_classes: AUC of each class against the rest, in all rows; empty for numbers.
    """

    alone: float
    absence: float
    copy: bool
    filled: int
    of_classes: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    column: Column
    strength: Strength


@dataclass(frozen=True, kw_only=True)
class _Outstanding:
    """The columns that stand out, and what the others reach: the best alone, and the weaker ones together."""

    columns: tuple[_Judged, ...]
    next_best: float | None
    together: float | None


def column_leaks(
    columns: Sequence[Column],
    target: pd.Series[Any],
    *,
    numbers: bool,
    groups: pd.Series[Any] | None = None,
    times: pd.Series[Any] | None = None,
    known: Sequence[str] = (),
) -> tuple[LeakSuspect, ...]:
    """Return the columns that nearly give the target away while the others do not, strongest first.

    :param columns: what a model may learn from.
    :param target: the target of the same rows; rows without one are left out.
    :param numbers: whether it is a number to predict; else it is classes.
    :param groups: whose row it is: rows of one are never fitted on for each other.
    :param times: when it was: folds are blocks of time.
    :param known: columns that are known at prediction time: never named, and they hide no other column.
    """
    most = max(FEWER_ROWS, MOST_ROWS * MANY_COLUMNS // max(MANY_COLUMNS, len(columns)))
    labels = read_labels(target, numbers=numbers, groups=groups, times=times, most=most)
    if labels is None:
        return ()
    judged = [_judge(column, labels) for column in columns]
    named: dict[str, LeakKind] = {}
    for one in judged:
        if one.column.name in known:
            continue
        if one.strength.copy:
            named[one.column.name] = "copy"
        elif one.strength.absence >= ABSENT:
            named[one.column.name] = "absence"
        elif one.strength.alone >= PERFECT[numbers] and labels.rows >= PERFECT_ROWS:
            named[one.column.name] = "alone"
    rest = [one for one in judged if one.column.name not in named]
    outstanding = _outstanding(rest, labels, compare=bool(named))
    named |= {one.column.name: "alone" for one in outstanding.columns if one.column.name not in known}
    found = [
        _leak(one, named[one.column.name], labels, outstanding) for one in judged if one.column.name in named
    ]
    rest = [one for one in rest if one not in outstanding.columns]
    found += _leaks_of_classes(rest, labels, known)
    return tuple(sorted(found, key=lambda leak: (-leak.strength, leak.column or "")))


def strength_of(column: Column, labels: Labels) -> Strength:
    """Return how nearly a column alone gives the target away."""
    return _judge(column, labels).strength


def _leak(one: _Judged, kind: LeakKind, labels: Labels, beside: _Outstanding) -> LeakSuspect:
    absent = kind == "absence"
    return LeakSuspect(
        column=one.column.name,
        kind=kind,
        measure="r2" if labels.numbers and not absent else "auc",
        strength=min(1.0, one.strength.absence if absent else one.strength.alone),
        next_best=None if absent else beside.next_best,
        together=None if absent else beside.together,
        rows=labels.rows,
        filled=one.strength.filled,
    )


def _leaks_of_classes(judged: Sequence[_Judged], labels: Labels, known: Sequence[str]) -> list[LeakSuspect]:
    """Return the columns that give one of three or more classes away, which their mean AUC hides."""
    found: dict[str, LeakSuspect] = {}
    if labels.numbers or labels.class_count < 3:
        return []
    for code in range(labels.class_count):
        of_class = labels.of_class(code)
        if of_class.codes.sum() < FEWEST_OF_ONE_CLASS:
            continue
        ones = [
            replace(one, strength=replace(one.strength, alone=one.strength.of_classes[code]))
            for one in judged
            if one.strength.of_classes
        ]
        apart = {
            one.column.name
            for one in ones
            for place, alone in enumerate(one.strength.of_classes)
            if place != code and alone >= STRONG[False]
        }
        outstanding = _outstanding(ones, of_class, compare=False, apart=apart)
        for one in outstanding.columns:
            before = found.get(one.column.name)
            if one.column.name not in known and (before is None or before.strength < one.strength.alone):
                found[one.column.name] = _leak(one, "one_class", of_class, outstanding)
    return list(found.values())


def _outstanding(
    judged: Sequence[_Judged],
    labels: Labels,
    *,
    compare: bool,
    apart: Set[str] = frozenset(),
) -> _Outstanding:
    """Return the columns that stand out, one after another or several near-equal ones at once.

    :param compare: what the weaker columns reach together is asked for, whatever stands out.
    :param apart: columns that are not among those that reach something together: flags of all classes but
        one tell that one, too.
    """
    room = min(MOST_IN_GROUP, (len(judged) + 1) // PART_OF_COLUMNS)
    rest = sorted(judged, key=lambda one: -one.strength.alone)
    weak = [one for one in rest if one.strength.alone < STRONG[labels.numbers]]
    held = [one for one in weak if one.column.name not in apart]
    together = _together(held, labels) if compare or len(weak) < len(rest) else None
    found: list[_Judged] = []
    while size := _group(rest, labels, together, room - len(found), apart):
        found, rest = [*found, *rest[:size]], rest[size:]
    best = rest[0].strength.alone if rest else None
    return _Outstanding(columns=tuple(found), next_best=best, together=together)


def _group(
    rest: Sequence[_Judged], labels: Labels, together: float | None, room: int, apart: Set[str]
) -> int:
    """Return how many of the strongest columns stand out at once from all others; 0: none do."""
    for size in range(1, min(len(rest), max(1, room)) + 1):
        if rest[size - 1].strength.alone < STRONG[labels.numbers]:
            return 0
        if size > 1:
            together = _together([one for one in rest[size:] if one.column.name not in apart], labels)
        if _stands_out(rest[size - 1 :], labels, together):
            return size
    return 0


def _stands_out(rest: Sequence[_Judged], labels: Labels, together: float | None) -> bool:
    """Return whether the strongest column leaves far less open than the next, and than the others."""
    first, *others = rest
    left = 1 - first.strength.alone
    if together is not None and CONTRAST * (1 - together) <= left:
        return False  # the target is easy without it
    if not others:
        return True
    if CONTRAST * left > 1 - others[0].strength.alone:
        return False
    better, worse = _prediction(first.column, labels), _prediction(others[0].column, labels)
    return better is None or worse is None or labels.deviations(better, worse) >= CERTAIN


def _judge(column: Column, labels: Labels) -> _Judged:
    values, there = _read(column, labels)
    filled = int(there.sum())
    absence = labels.separation(there) if min(filled, labels.rows - filled) >= FEWEST_OF_SIDE else 0.5
    best, copy = (
        _best(*_predictions(values, there, column.number, labels)),
        there.all() and _is_copy(values, column.number, labels),
    )
    of_classes = best.of_classes if best else ()
    if max(FEWEST_FILLED, labels.rows // 10) <= filled < labels.rows:
        part = labels.part(there)
        if part is not None and part.rows == filled:  # the values alone, where there are some
            some, has = values[there], there[there]
            best = _best(best, *_predictions(some, has, column.number, part))
            copy = _is_copy(some, column.number, part)
    strength = Strength(
        alone=max(0.0, best.score) if best else 0.0,
        absence=absence,
        copy=bool(copy),
        filled=filled,
        of_classes=of_classes,
    )
    return _Judged(column=column, strength=strength)


def _prediction(column: Column, labels: Labels) -> Prediction | None:
    """Return what a column says of all rows; computed again: thousands of them need much room."""
    return _best(*_predictions(*_read(column, labels), column.number, labels))


def _best(*predictions: Prediction | None) -> Prediction | None:
    there = [one for one in predictions if one is not None]
    return max(there, key=lambda one: one.score, default=None)


def _read(column: Column, labels: Labels) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the values of the rows that are looked at, and which of them are there."""
    import numpy as np
    import pandas as pd

    values = column.values.iloc[labels.places]
    there = values.notna().to_numpy(dtype=bool)
    if not column.number:
        return pd.factorize(values)[0], there
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        read = values.astype("int64").to_numpy(dtype=float)
    else:
        read = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    there = there & np.isfinite(read)
    return np.where(there, read, 0.0), there


def _predictions(
    values: NDArray[Any], there: NDArray[Any], number: bool, labels: Labels
) -> tuple[Prediction | None, Prediction | None]:
    """Return what a column's bins say, and what the order of its numbers does."""
    import numpy as np
    import pandas as pd

    if not there.any():
        return None, None
    codes, words = pd.factorize(values)
    bins = max(BINS, min(BINS_OF_CLASS * labels.class_count, int(there.sum()) // ROWS_OF_BIN))
    if number and len(words) > bins:
        ranks = pd.Series(values[there]).rank(pct=True).to_numpy()
        codes = np.full(len(values), bins + 1, dtype=np.int64)
        codes[there] = (ranks * bins).astype(np.int64)
    else:
        codes = np.where(there, codes, len(words))
    return labels.encoded(codes), labels.ranked(values) if number and there.all() else None


def _is_copy(values: NDArray[Any], number: bool, labels: Labels) -> bool:
    """Return whether each value means one class, or a straight line leads to the target."""
    import numpy as np
    import pandas as pd

    if labels.numbers:
        return number and labels.line(values) >= LINE
    codes, words = pd.factorize(values)
    classes = labels.class_count
    if len(words) != classes:
        return False
    counts = np.zeros((classes, classes))
    np.add.at(counts, (codes, labels.codes), 1)
    means = counts.argmax(axis=1)
    if len(set(means.tolist())) < classes:
        return False
    right = counts[np.arange(classes), means]
    of_class = counts.sum(axis=0)[means]
    return bool(right.sum() >= COPIED * counts.sum() and (right >= COPIED_OF_CLASS * of_class).all())


def _together(judged: Sequence[_Judged], labels: Labels) -> float | None:
    strongest = sorted(judged, key=lambda one: -one.strength.alone)[:MOST_TOGETHER]
    encoded = [_predictions(*_read(one.column, labels), one.column.number, labels)[0] for one in strongest]
    usable = [one for one in encoded if one is not None]
    return labels.stacked(usable) if usable else None
