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

from windsock.spec.column_strength import (
    PERFECT,
    PERFECT_ROWS,
    Column,
    Judged,
    Strength,
    judge,
    prediction_of,
    predictions_of,
    values_of,
)
from windsock.spec.label_folds import Labels, read_labels
from windsock.spec.leak_suspects import LeakKind, LeakSuspect
from windsock.spec.pair_leaks import PairColumn, pair_leak

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS, MANY_COLUMNS, FEWER_ROWS = 10_000, 200, 2_000
"""So many rows are taken; with more columns fewer rows."""
MOST_TOGETHER = 100
"""So many columns, the strongest ones, are what the weaker columns reach together."""
STRONG = {False: 0.985, True: 0.965}
"""AUC, and R2 of numbers, from which a column alone is compared with the others: a copy with 1 % of wrong
rows reaches 0.99 and 0.98, less what few rows scatter."""
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
class _Outstanding:
    """The columns that stand out, and what the others reach: the best alone, and the weaker ones together."""

    columns: tuple[Judged, ...]
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
    from threadpoolctl import threadpool_limits

    most = max(FEWER_ROWS, MOST_ROWS * MANY_COLUMNS // max(MANY_COLUMNS, len(columns)))
    labels = read_labels(target, numbers=numbers, groups=groups, times=times, most=most)
    if labels is None:
        return ()
    with threadpool_limits(limits=1):  # small matrices: threads would only wait for each other
        return _found(columns, labels, known)


def _found(columns: Sequence[Column], labels: Labels, known: Sequence[str]) -> tuple[LeakSuspect, ...]:
    judged = [judge(column, labels) for column in columns]
    named: dict[str, LeakKind] = {}
    for one in judged:
        if one.column.name in known:
            continue
        if one.strength.copy:
            named[one.column.name] = "copy"
        elif one.strength.absence >= ABSENT:
            named[one.column.name] = "absence"
        elif one.strength.alone >= PERFECT[labels.numbers] and labels.rows >= PERFECT_ROWS:
            named[one.column.name] = "alone"
    rest = [one for one in judged if one.column.name not in named]
    outstanding = _outstanding(rest, labels, compare=bool(named))
    named |= {one.column.name: "alone" for one in outstanding.columns if one.column.name not in known}
    found = [
        _leak(one, named[one.column.name], labels, outstanding) for one in judged if one.column.name in named
    ]
    rest = [one for one in rest if one not in outstanding.columns]
    found += _leaks_of_classes(rest, labels, known)
    found += _leaks_of_pairs(rest, labels, known)
    return tuple(sorted(found, key=lambda leak: (-leak.strength, leak.column or "")))


def strength_of(column: Column, labels: Labels) -> Strength:
    """Return how nearly a column alone gives the target away."""
    return judge(column, labels).strength


def _leak(one: Judged, kind: LeakKind, labels: Labels, beside: _Outstanding) -> LeakSuspect:
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


def _leaks_of_classes(judged: Sequence[Judged], labels: Labels, known: Sequence[str]) -> list[LeakSuspect]:
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


def _leaks_of_pairs(judged: Sequence[Judged], labels: Labels, known: Sequence[str]) -> list[LeakSuspect]:
    """Return two columns that give the target away only together; settled where both are known."""
    columns = []
    for one in judged:
        values, there = values_of(one.column, labels)
        if there.all():
            columns.append(PairColumn(one.column.name, values, one.column.number, one.strength.alone))
    found = pair_leak(columns, labels)
    if found is None or {found.one, found.other} <= set(known):
        return []
    return [
        LeakSuspect(
            column=found.one,
            other=found.other,
            kind="pair",
            measure="r2" if labels.numbers else "auc",
            strength=min(1.0, found.strength),
            rows=labels.rows,
            filled=labels.rows,
        )
    ]


def _outstanding(
    judged: Sequence[Judged],
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
    found: list[Judged] = []
    while size := _group(rest, labels, together, room - len(found), apart):
        found, rest = [*found, *rest[:size]], rest[size:]
    best = rest[0].strength.alone if rest else None
    return _Outstanding(columns=tuple(found), next_best=best, together=together)


def _group(rest: Sequence[Judged], labels: Labels, together: float | None, room: int, apart: Set[str]) -> int:
    """Return how many of the strongest columns stand out at once from all others; 0: none do."""
    for size in range(1, min(len(rest), max(1, room)) + 1):
        if rest[size - 1].strength.alone < STRONG[labels.numbers]:
            return 0
        if size > 1:
            together = _together([one for one in rest[size:] if one.column.name not in apart], labels)
        if _stands_out(rest[size - 1 :], labels, together):
            return size
    return 0


def _stands_out(rest: Sequence[Judged], labels: Labels, together: float | None) -> bool:
    """Return whether the strongest column leaves far less open than the next, and than the others."""
    first, *others = rest
    left = 1 - first.strength.alone
    if together is not None and CONTRAST * (1 - together) <= left:
        return False  # the target is easy without it
    if not others:
        return True
    if CONTRAST * left > 1 - others[0].strength.alone:
        return False
    better, worse = prediction_of(first.column, labels), prediction_of(others[0].column, labels)
    return better is None or worse is None or labels.deviations(better, worse) >= CERTAIN


def _together(judged: Sequence[Judged], labels: Labels) -> float | None:
    strongest = sorted(judged, key=lambda one: -one.strength.alone)[:MOST_TOGETHER]
    encoded = [
        predictions_of(*values_of(one.column, labels), one.column.number, labels)[0] for one in strongest
    ]
    usable = [one for one in encoded if one is not None]
    return labels.stacked(usable) if usable else None
