"""The tests of one column: which there are, and between which bounds their p-value and effect size lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.records import ColumnKind, ColumnProfile
from windsock.spec import DriftBlock
from windsock.statistics.clusters import design_effect, rows_of_unit
from windsock.statistics.counting import NUMERIC, ColumnCounts
from windsock.statistics.distances import ks_interval
from windsock.statistics.rare_values import cells_of
from windsock.statistics.significance import chi_square, ks_p, largest_growth, least_common, p_beyond

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 30
"""In fewer rows (or values of a column) nothing is said but drift."""


class RowTest(NamedTuple):
    """A test of a column's values that was made on rows.

    :param effect: KS distance, or Cramer's V.
    :param p: its p-value.
    """

    effect: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One test: its p-value and effect size, and the bounds that hold the exact ones.

    :param p: at the middle of the bounds.
    :param p_low: at the largest possible effect.
    :param p_high: at the smallest possible effect.
    :param limit: effect size from which it counts.
    :param of_nulls: whether it is about rows without a value.
    :param of_one: whether it is about the one value of a category that has grown most.
    """

    p: float
    p_low: float
    p_high: float
    effect: float
    effect_low: float
    effect_high: float
    limit: float
    of_nulls: bool = False
    of_one: bool = False

    @property
    def strength(self) -> float:
        """How many times its limit the effect is."""
        return self.effect / self.limit if self.limit else self.effect


class Weights(NamedTuple):
    """What a row counts for on each side: less than one where rows of the same unit are alike.

    :param reference: of the training rows.
    :param window: of the window's.
    """

    reference: float = 1.0
    window: float = 1.0


def weights_of(column: ColumnProfile, window: ColumnCounts) -> Weights:
    """Return what a column's rows count for, by the design effect of their entities and units.

    Where the window's rows cannot show it (they are all in one bin, or encrypted), a unit's rows are taken
    for alike.
    """
    reference = 1 / column.design_effect
    known, rows = window.groups, window.rows + window.nulls
    if known is None or not rows:
        return Weights(reference=reference)
    grouped = min(int(known.sum()), rows)
    is_number = column.kind in NUMERIC
    effect = (design_effect(known, ordered=is_number) if _is_shown(known) else None) or rows_of_unit(known)
    return Weights(reference=reference, window=(rows - grouped + grouped / effect) / rows)


def _is_shown(groups: NDArray[Any]) -> bool:
    """Return whether the groups' bins were counted; else all their rows are in the last one."""
    return bool(groups[:, :-1].any())


def hypotheses_of(
    column: ColumnProfile,
    window: ColumnCounts,
    rule: DriftBlock,
    tested: RowTest | None = None,
    weights: Weights = Weights(),  # noqa: B008
) -> tuple[Hypothesis, ...]:
    """Return the tests of a column: of its values, and of the share of rows without one.

    :param tested: stands in place of the test of the values.
    :param weights: what a row counts for.
    """
    values = None
    if column.kind in NUMERIC:
        values = _of_numbers(column, window, _limit(column, rule.ks), tested, weights)
    elif column.kind is not ColumnKind.DATETIME and column.rows + column.nulls:
        return _of_categories(column, window, _limit(column, rule.cramers_v), tested, weights)
    nulls = None
    if values is None or column.nulls or window.nulls:
        nulls = _by_counts(
            _weighed(column.rows, column.nulls, weights.reference),
            _weighed(window.rows, window.nulls, weights.window),
            rule.cramers_v,
            of_nulls=True,
        )
    return tuple(test for test in (values, nulls) if test is not None)


def _limit(column: ColumnProfile, matters: float) -> float:
    """Return the effect size from which a column has drifted: what matters, beyond what recurs anyway."""
    return min(1.0, max(matters, column.wobble) + column.recurring)


def _weighed(rows: int, nulls: int, weight: float) -> list[float]:
    return [rows * weight, nulls * weight]


def _of_numbers(
    column: ColumnProfile, window: ColumnCounts, limit: float, tested: RowTest | None, weights: Weights
) -> Hypothesis | None:
    if not column.rows or not window.rows or window.below is None:
        return None
    if tested is not None:
        return _exactly(tested, limit)
    low, high = ks_interval(column, window)
    middle = (low + high) / 2
    rows = _counted(column.rows, weights.reference), _counted(window.rows, weights.window)
    beyond = column.recurring
    return Hypothesis(
        p=ks_p(middle - beyond, *rows),
        p_low=ks_p(high - beyond, *rows),
        p_high=ks_p(low - beyond, *rows),
        effect=middle,
        effect_low=low,
        effect_high=high,
        limit=limit,
    )


def _counted(rows: int, weight: float) -> int:
    return rows if weight == 1 else max(1, round(rows * weight))


def _of_categories(
    column: ColumnProfile, window: ColumnCounts, limit: float, tested: RowTest | None, weights: Weights
) -> tuple[Hypothesis, ...]:
    """Return the tests of a category: of all its shares, and of the one value that has grown most.

    What is unseen (or not named by the profile) and null are two more values. The second test is there where
    values are so rare that the first one counts them together.
    """
    import numpy as np

    named = np.zeros(len(column.categories)) if window.named is None else window.named
    cells = cells_of(column, named, window.rest, window.unseen, window.nulls)
    reference, current = cells.reference * weights.reference, cells.window * weights.window
    beyond = column.recurring
    test = _by_counts(reference, current, limit, beyond=beyond) if tested is None else _exactly(tested, limit)
    if test is None:
        return ()
    rare = reference + current < least_common(reference, current)
    if column.many is None and int((rare & cells.single).sum()) < 2:
        return (test,)
    grown = largest_growth(reference, current, cells.single)
    if grown is None:
        return (test,)
    return test, _exactly(RowTest(grown.effect, grown.p), limit, of_one=True)


def _by_counts(
    reference: Sequence[float] | NDArray[Any],
    window: Sequence[float] | NDArray[Any],
    limit: float,
    *,
    of_nulls: bool = False,
    beyond: float = 0.0,
) -> Hypothesis | None:
    test = chi_square(reference, window)
    if test is None:
        return None
    p = p_beyond(test, beyond) if beyond else test.p
    return _exactly(RowTest(test.cramers_v, p), limit, of_nulls=of_nulls)


def _exactly(tested: RowTest, limit: float, *, of_nulls: bool = False, of_one: bool = False) -> Hypothesis:
    return Hypothesis(
        p=tested.p,
        p_low=tested.p,
        p_high=tested.p,
        effect=tested.effect,
        effect_low=tested.effect,
        effect_high=tested.effect,
        limit=limit,
        of_nulls=of_nulls,
        of_one=of_one,
    )
