"""The data gate remembers: a snapshot is held against the ones that were accepted before it.

It finds data that broke: rows or values that are gone, rows that came twice, another unit, a column that
became text, one word in place of many. It is no drift detector: the limits are far wider than a population
moves from one month to the next, and what accepted snapshots have shown may always come again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from windsock.data.read_columns import NUMERIC
from windsock.data.remembered import Finding, Remembered, known_rows
from windsock.data.remembered_numbers import judge_numbers, judge_times
from windsock.data.remembered_words import judge_words
from windsock.data.tolerance import Tolerance, error_of_share, expected_copies, what_was_seen
from windsock.records import CheckResult, ColumnKind, SnapshotStatistics, Status
from windsock.spec import ModelSpec

MOST_SNAPSHOTS = 30
"""So many accepted snapshots are remembered."""
MOST_FINDINGS = 20
"""So many columns of one kind of finding get a check of their own."""
FEWER_ROWS = Tolerance(narrow=math.log(1 / 0.65), wide=math.log(1 / 0.6), jump=math.log(4))
"""Rows that may be gone, as a log ratio: 35 to 40 % of them."""
MORE_ROWS = Tolerance(narrow=math.log(10), wide=math.log(10), jump=math.log(10))
COPIES = Tolerance(narrow=0.05, wide=0.15, jump=0.3)
VALUES_LOST = Tolerance(narrow=math.log(1 / 0.8), wide=math.log(1 / 0.7), jump=math.log(4))
"""Values that may be gone, as a log ratio of the share that is there: 20 to 30 % of them."""


PART = "not compared: only some of the source's rows are there, beside recent ones"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One kind of check over a snapshot.

    :param name: name of the check; a finding about a column adds ``:COLUMN``.
    :param compares: what it compares, for the sentence of a check that passed.
    """

    name: str
    code: str
    compares: str
    ask: Callable[[Remembered], Iterable[Finding]]


def memory_checks(
    spec: ModelSpec,
    now: SnapshotStatistics,
    accepted: Sequence[SnapshotStatistics],
    *,
    lost: Sequence[str] = (),
) -> tuple[CheckResult, ...]:
    """Hold a snapshot against the accepted ones; one check for each kind, or for each column that fails it.

    Until the day of ``data.accept_changes_until`` a finding passes, and says so.

    :param now: statistics of the snapshot that is judged.
    :param accepted: statistics of accepted snapshots, newest first; the first 30 count, each content once.
    :param lost: why none of them can be read, where some were accepted.
    """
    history = list({one.snapshot_digest: one for one in accepted[:MOST_SNAPSHOTS]}.values())
    if not history:
        none = "no snapshot has been accepted yet: there is nothing to compare this one with"
        message = "; ".join(lost) or none
        return (
            CheckResult(name="memory", status=Status.PASS, code="WS-DATA-150", n=now.rows, message=message),
        )
    remembered = Remembered(spec=spec, now=now, accepted=tuple(history))
    checks: list[CheckResult] = []
    for question in QUESTIONS:
        findings = list(question.ask(remembered))
        checks += _failed(question, findings, remembered) or [_passed(question, remembered)]
    return tuple(checks)


def _passed(question: Question, remembered: Remembered) -> CheckResult:
    count = len(remembered.whole if question.ask in (_rows, _copies) else remembered.accepted)
    against = "the accepted snapshot" if count == 1 else f"the last {count} accepted snapshots"
    message = f"{question.compares} as in {against}" if count else PART
    return CheckResult(
        name=question.name, status=Status.PASS, code=question.code, n=remembered.now.rows, message=message
    )


def _failed(question: Question, findings: Sequence[Finding], remembered: Remembered) -> list[CheckResult]:
    taken, until = remembered.now.taken_at.date(), remembered.spec.data.accept_changes_until
    accepted = until is not None and taken <= until
    if accepted:
        ending = f"accepted on purpose until {until} by data.accept_changes_until"
    else:
        day = (remembered.now.taken_at + timedelta(days=1)).date()
        ending = (
            "fix the source; or, if it is meant, write data.accept_changes_until: "
            f"{day} into the model's file and run again"
        )
    status = Status.PASS if accepted else Status.FAIL
    checks = [
        CheckResult(
            name=f"{question.name}:{finding.column}" if finding.column else question.name,
            status=status,
            code=question.code,
            value=finding.value,
            limit=finding.limit,
            relation=finding.relation if finding.limit is not None else None,
            n=finding.n,
            message=f"{finding.what}; {ending}",
        )
        for finding in findings[:MOST_FINDINGS]
    ]
    more = len(findings) - MOST_FINDINGS
    if more > 0:
        message = f"{more:,} more columns; {ending}"
        checks.append(
            CheckResult(name=f"{question.name}:more", status=status, code=question.code, message=message)
        )
    return checks


def _rows(remembered: Remembered) -> Iterable[Finding]:
    accepted = remembered.whole
    if not accepted:
        return
    rows, history = max(remembered.now.rows, 1), [math.log(max(one.rows, 1)) for one in accepted]
    fewer, more = what_was_seen(history, FEWER_ROWS), what_was_seen(history, MORE_ROWS)
    least, most = math.exp(fewer.low - fewer.room), math.exp(more.high + more.room)
    last = accepted[0].rows
    what = f"{remembered.now.rows:,} rows, the last accepted snapshot had {last:,}"
    if rows < least:
        limit = math.ceil(least)
        yield Finding(
            what=f"{what}; at least {limit:,} expected", value=rows, limit=limit, relation=">=", n=rows
        )
    if rows > most:
        limit = math.floor(most)
        yield Finding(what=f"{what}; at most {limit:,} expected", value=rows, limit=limit, n=rows)


def _copies(remembered: Remembered) -> Iterable[Finding]:
    now, accepted = remembered.now, remembered.whole
    if not accepted:
        return
    seen = what_was_seen([expected_copies(one.copies, one.rows, now.rows) for one in accepted], COPIES)
    chance = error_of_share(seen.high, now.rows, min(one.rows for one in accepted))
    limit = seen.high + max(seen.room, chance)
    if now.copies > limit:
        what = (
            f"{now.copies:.1%} of the rows are copies of another one, {accepted[0].copies:.1%} of the last "
            f"accepted snapshot's; at most {limit:.1%} expected of {now.rows:,} rows"
        )
        yield Finding(what=what, value=now.copies, limit=limit, n=now.rows)


def _nulls(remembered: Remembered) -> Iterable[Finding]:
    for column, history in remembered.columns():
        before = [(1 - one.nulls, snapshot.rows) for one, snapshot in history if one.nulls < 1]
        if not before:
            continue
        seen = what_was_seen([math.log(share) for share, _ in before], VALUES_LOST)
        share = math.exp(seen.low)
        chance = error_of_share(share, remembered.now.rows, min(rows for _, rows in before))
        limit = 1 - min(share * math.exp(-seen.room), share - chance)
        if column.nulls > limit:
            what = (
                f"{column.name}: {column.nulls:.1%} of the rows have no value, {history[0][0].nulls:.1%} in "
                f"the last accepted snapshot; at most {limit:.1%} expected of {remembered.now.rows:,} rows"
            )
            yield Finding(
                column=column.name, what=what, value=column.nulls, limit=limit, n=remembered.now.rows
            )


def _numbers(remembered: Remembered) -> Iterable[Finding]:
    for column, history in remembered.columns(*NUMERIC):
        finding = judge_numbers(column, remembered.now, history)
        if finding:
            yield finding


def _times(remembered: Remembered) -> Iterable[Finding]:
    for column, history in remembered.columns(ColumnKind.DATETIME):
        finding = judge_times(column, remembered.now, history)
        if finding:
            yield finding


def _words(remembered: Remembered) -> Iterable[Finding]:
    for column, history in remembered.columns(ColumnKind.CATEGORY, ColumnKind.BOOLEAN, ColumnKind.INTEGER):
        rows = known_rows(column, remembered.now)
        finding = judge_words(column, rows, history)
        if finding:
            yield finding


QUESTIONS = (
    Question(name="row_count", code="WS-DATA-151", compares="as many rows", ask=_rows),
    Question(name="copies", code="WS-DATA-152", compares="as many copies of rows", ask=_copies),
    Question(name="null_share", code="WS-DATA-154", compares="columns as full", ask=_nulls),
    Question(name="value_range", code="WS-DATA-155", compares="numbers as large", ask=_numbers),
    Question(name="category_shares", code="WS-DATA-156", compares="words as frequent", ask=_words),
    Question(name="time_range", code="WS-DATA-157", compares="times as late", ask=_times),
)
