"""The tests of one column: which there are, and between which bounds their p-value and effect size lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from windsock.records import ColumnKind, ColumnProfile
from windsock.spec import DriftBlock
from windsock.statistics.counting import NUMERIC, ColumnCounts
from windsock.statistics.distances import ks_interval
from windsock.statistics.significance import chi_square, ks_p

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
    """

    p: float
    p_low: float
    p_high: float
    effect: float
    effect_low: float
    effect_high: float
    limit: float
    of_nulls: bool = False

    @property
    def strength(self) -> float:
        """How many times its limit the effect is."""
        return self.effect / self.limit if self.limit else self.effect


def hypotheses_of(
    column: ColumnProfile, window: ColumnCounts, rule: DriftBlock, tested: RowTest | None = None
) -> tuple[Hypothesis, ...]:
    """Return the tests of a column: of its values, and of the share of rows without one.

    :param tested: stands in place of the test of the values.
    """
    values = None
    if column.kind in NUMERIC:
        values = _of_numbers(column, window, max(rule.ks, column.wobble), tested)
    elif column.kind is not ColumnKind.DATETIME and column.rows + column.nulls:
        return _of_categories(column, window, max(rule.cramers_v, column.wobble), tested)
    nulls = None
    if values is None or column.nulls or window.nulls:
        nulls = _by_counts(
            [column.rows, column.nulls], [window.rows, window.nulls], rule.cramers_v, of_nulls=True
        )
    return tuple(test for test in (values, nulls) if test is not None)


def _of_numbers(
    column: ColumnProfile, window: ColumnCounts, limit: float, tested: RowTest | None
) -> Hypothesis | None:
    if not column.rows or not window.rows or window.below is None:
        return None
    if tested is not None:
        return _exactly(tested, limit)
    low, high = ks_interval(column, window)
    middle = (low + high) / 2
    return Hypothesis(
        p=ks_p(middle, column.rows, window.rows),
        p_low=ks_p(high, column.rows, window.rows),
        p_high=ks_p(low, column.rows, window.rows),
        effect=middle,
        effect_low=low,
        effect_high=high,
        limit=limit,
    )


def _of_categories(
    column: ColumnProfile, window: ColumnCounts, limit: float, tested: RowTest | None
) -> tuple[Hypothesis, ...]:
    """Return the test of a category: what is unseen (or not named by the profile) and null are two more."""
    if tested is not None:
        return (_exactly(tested, limit),)
    named = [0] * len(column.categories) if window.named is None else [int(count) for count in window.named]
    test = _by_counts(
        [*column.categories.values(), column.other, column.nulls],
        [*named, window.unseen, window.nulls],
        limit,
    )
    return () if test is None else (test,)


def _by_counts(
    reference: list[int], window: list[int], limit: float, *, of_nulls: bool = False
) -> Hypothesis | None:
    test = chi_square(reference, window)
    if test is None:
        return None
    return _exactly(RowTest(test.cramers_v, test.p), limit, of_nulls=of_nulls)


def _exactly(tested: RowTest, limit: float, *, of_nulls: bool = False) -> Hypothesis:
    return Hypothesis(
        p=tested.p,
        p_low=tested.p,
        p_high=tested.p,
        effect=tested.effect,
        effect_low=tested.effect,
        effect_high=tested.effect,
        limit=limit,
        of_nulls=of_nulls,
    )
