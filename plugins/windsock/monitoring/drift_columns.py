"""What became of each column of a window: pure, from counts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from windsock.monitoring.drift_tests import FLOOR, Hypothesis, RowTest, Weights, hypotheses_of, weights_of
from windsock.records import ColumnDrift, ColumnProfile, DriftProfile, Interval, Status
from windsock.spec import DriftBlock
from windsock.statistics.chunks import least_reference
from windsock.statistics.counting import NUMERIC, ColumnCounts, WindowCounts
from windsock.statistics.distances import (
    bin_named,
    bin_numbers,
    jensen_shannon,
    population_stability,
    wasserstein,
)
from windsock.statistics.rare_values import unseen_of
from windsock.statistics.significance import benjamini_hochberg
from windsock.statistics.ties import is_constant

UNREADABLE_SHARE = 0.05
"""Of rows that cannot be read more than this leave no verdict but drift."""
EXPECTED = 10.0
"""A category that is expected so often and does not come has vanished: chance does that once in 22,000."""
FEW_REFERENCE = "few_reference"
"""Finding of a column whose training rows are too few to show a large shift beside any window."""
FEW_UNITS = "few_units"
"""Finding of a column whose rows are of so few units that they say no more than fewer than 30 rows would."""
ONE_VALUE = "one_value"
"""Finding of a category in which one value takes a larger share than it had, however rare it was."""
UNDECIDED = "undecided"
"""Finding of a column whose bounds lie on both sides of what decides."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What became of a window's columns.

    :param columns: every feature of the profile.
    :param score: the scores; ``None`` where there is nothing to compare.
    :param target: the outcomes; ``None`` where there is nothing to compare.
    """

    columns: tuple[ColumnDrift, ...]
    score: ColumnDrift | None = None
    target: ColumnDrift | None = None

    @property
    def undecided(self) -> tuple[str, ...]:
        """Names of the columns that counts alone could not decide."""
        return tuple(column.name for column in self.columns if UNDECIDED in column.findings)


def minimum_rows(profile: DriftProfile, rule: DriftBlock) -> int:
    """Return how many rows a window needs: what the spec says, else the profile; 30 at the least."""
    return max(FLOOR, profile.minimum_rows if rule.minimum_rows is None else rule.minimum_rows)


def judge_columns(
    profile: DriftProfile,
    counts: WindowCounts,
    rule: DriftBlock,
    *,
    tested: Mapping[str, RowTest] | None = None,
) -> Judgement:
    """Judge each column of a window against the profile.

    A column drifts when Benjamini-Hochberg over all tests of the window rejects one of its tests, and that
    test's effect size reaches its limit. A number has two tests (values, and the share without one), a
    category one (and one of the value that has grown most, where it has rare ones), a date that of its
    missing values. Rows of the same unit count for less than one where they are alike. Scores are one more
    test of the window where they count (``rule.predictions``); the target is tested by itself. A column whose
    training rows could not show a large shift is insufficient, unless it has drifted all the same.

    :param tested: tests of a column's values that were made on rows, in place of those from counts.
    """
    minimum = minimum_rows(profile, rule)
    own_rows = None if counts.scores is None else counts.scores.total
    on_rows = tested or {}
    found = []
    for column in profile.columns:
        window = counts.columns.get(column.name)
        found.append(_look(column, window, rule, minimum, own_rows, on_rows.get(column.name)))
    score = _look_apart(profile.score, counts.scores, rule, minimum)
    target = _look_apart(profile.target, counts.targets, rule, minimum)
    counts_too = [score] if score is not None and rule.predictions else []
    judged = _judge([*found, *counts_too], rule.q)
    alone = [_judge([look], rule.q)[0] if look is not None else None for look in (score, target)]
    return Judgement(
        columns=judged[: len(found)], score=judged[-1] if counts_too else alone[0], target=alone[1]
    )


@dataclass(frozen=True, kw_only=True)
class _Look:
    """A column before the verdict: its tests, or why there are none."""

    column: ColumnProfile
    window: ColumnCounts
    tests: tuple[Hypothesis, ...] = ()
    weights: Weights = Weights()
    status: Status | None = None
    findings: tuple[str, ...] = ()


def _look(
    column: ColumnProfile,
    window: ColumnCounts | None,
    rule: DriftBlock,
    minimum: int,
    own_rows: int | None,
    tested: RowTest | None,
) -> _Look:
    if window is None:
        empty = ColumnCounts(rows=0, nulls=0)
        return _Look(column=column, window=empty, status=Status.ERROR, findings=("uncounted",))
    findings: list[str] = []
    seen, status = window, None
    if window.absent:
        findings.append("absent")
        known = window.total - window.absent
        # A field that no row has is a column of nulls, unless no row is of this version.
        nulls = window.nulls if known or own_rows == 0 else window.total
        seen = replace(window, nulls=nulls, absent=0)
    if window.unreadable:
        findings.append("unreadable")
        if window.unreadable > UNREADABLE_SHARE * window.total:
            status = Status.ERROR
    readable = seen.rows + seen.nulls
    if status is None and (readable < minimum or not column.rows + column.nulls):
        status = Status.INSUFFICIENT
        findings.append("few_rows")
    findings += _shape(column, seen)
    weights = weights_of(column, seen)
    if status is None and readable * weights.window < FLOOR:
        status = Status.INSUFFICIENT
        findings.append(FEW_UNITS)
    tests = hypotheses_of(column, seen, rule, tested, weights) if readable >= minimum else ()
    return _Look(
        column=column, window=seen, tests=tests, weights=weights, status=status, findings=tuple(findings)
    )


def _look_apart(
    column: ColumnProfile | None, window: ColumnCounts | None, rule: DriftBlock, minimum: int
) -> _Look | None:
    if column is None or window is None:
        return None
    return _look(column, window, rule, minimum, None, None)


def _shape(column: ColumnProfile, window: ColumnCounts) -> list[str]:
    """Return what is noticeable about a window's values, whatever the tests say."""
    found = []
    if not window.rows:
        return ["all_null"] if window.nulls else []
    if column.kind in NUMERIC:
        varied = window.rows > 1 and len(column.edges) > 1
        if varied and is_constant(window.lowest, window.highest, column.sd):
            found.append("constant")
        return found
    named = [] if window.named is None else [int(count) for count in window.named]
    present = sum(count > 0 for count in named) + (window.unseen > 0)
    if window.rows > 1 and present == 1 and len(column.categories) > 1:
        found.append("constant")
    if any(
        not now and then * window.rows >= EXPECTED * column.rows
        for then, now in zip(column.categories.values(), named, strict=False)
    ):
        found.append("vanished")
    if window.unseen and not column.other:
        found.append("unseen")
    return found


def _judge(looks: Sequence[_Look], q: float) -> tuple[ColumnDrift, ...]:
    """Judge columns as one family of tests.

    Rejecting is monotone in the p-values: what is rejected with the largest possible ones is rejected, what
    is not with the smallest is not.
    """
    tests = [test for look in looks for test in look.tests]
    needed = least_reference(max(1, sum(bool(look.tests) for look in looks)))
    surely = benjamini_hochberg([test.p_high for test in tests], q)
    maybe = benjamini_hochberg([test.p_low for test in tests], q)
    middle = benjamini_hochberg([test.p for test in tests], q)
    judged, begin = [], 0
    for look in looks:
        part = slice(begin, begin + len(look.tests))
        begin = part.stop
        tried = zip(look.tests, surely[part], maybe[part], middle[part], strict=True)
        judged.append(_column(look, tuple(tried), needed))
    return tuple(judged)


def _column(look: _Look, tests: Sequence[tuple[Hypothesis, bool, bool, bool]], needed: float) -> ColumnDrift:
    drifted, undecided = [], False
    for test, surely, maybe, middle in tests:
        sure = surely and test.effect_low >= test.limit
        possible = maybe and test.effect_high >= test.limit
        undecided |= possible and not sure
        if sure or (possible and middle and test.effect >= test.limit):
            drifted.append(test)
    # A drift of what could be read stands, however much could not.
    status = Status.FAIL if drifted else look.status or _quiet(look, needed)
    shown = max(drifted or [test for test, *_ in tests], key=lambda test: test.strength, default=None)
    findings = list(look.findings)
    if drifted and shown is not None and shown.of_nulls:
        findings.append("nulls")
    if any(test.of_one for test in drifted):
        findings.append(ONE_VALUE)
    if undecided:
        findings.append(UNDECIDED)
    if status is Status.INSUFFICIENT and look.status is None:
        findings.append(FEW_REFERENCE if look.tests and _reference_rows(look) <= needed else "few_values")
    described = _described(look, status, tuple(findings))
    if shown is None:
        return described
    return described.replace(
        p=shown.p,
        effect=shown.effect,
        effect_interval=None
        if shown.of_nulls or shown.effect_low == shown.effect_high
        else Interval(low=shown.effect_low, high=shown.effect_high, level=1.0),
        limit=shown.limit,
        rejected=any(test is shown and middle for test, _, _, middle in tests),
    )


def _quiet(look: _Look, needed: float) -> Status:
    """Return the status of a column in which no test found drift: with few values that says little."""
    few = any(not test.of_nulls for test in look.tests) and look.window.rows * look.weights.window < FLOOR
    blind = _reference_rows(look) <= needed
    return Status.INSUFFICIENT if few or blind or not look.tests else Status.PASS


def _reference_rows(look: _Look) -> float:
    """Return how many training rows a column's window is held against: its values, else all."""
    of_values = any(not test.of_nulls for test in look.tests)
    held = look.column.many or look.column
    return (held.rows if of_values else held.rows + held.nulls) * look.weights.reference


def _described(look: _Look, status: Status, findings: tuple[str, ...]) -> ColumnDrift:
    column, window = look.column, look.window
    now, then = window.rows + window.nulls, column.rows + column.nulls
    if column.kind in NUMERIC:
        bins = bin_numbers(column, window)
    elif column.categories:
        bins = bin_named(column, window)
    else:
        bins = [column.rows, column.nulls], [window.rows, window.nulls]
    return ColumnDrift(
        name=column.name,
        kind=column.kind,
        status=status,
        rows=window.rows,
        psi=population_stability(*bins),
        jensen_shannon=jensen_shannon(*bins),
        wasserstein=wasserstein(column, window) if column.kind in NUMERIC else None,
        null_share=window.nulls / now if now else None,
        reference_null_share=column.nulls / then if then else None,
        unseen_share=window.unseen / window.rows if window.rows and column.categories else None,
        reference_unseen_share=unseen_of(column) if column.categories else None,
        effective_rows=round(window.rows * look.weights.window, 1) if look.weights.window < 1 else None,
        importance=column.importance,
        findings=findings,
    )
