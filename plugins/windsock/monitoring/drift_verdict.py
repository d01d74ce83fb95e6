"""What a window's columns come to: checks, status, severity, and the sentence that says why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from windsock.monitoring.drift_columns import FEW_REFERENCE, UNREADABLE_SHARE, Judgement, minimum_rows
from windsock.records import CheckResult, ColumnDrift, DriftProfile, Severity, Status
from windsock.records.check_text import SHARE, against_limit, number_text
from windsock.spec import DriftBlock
from windsock.statistics.counting import WindowCounts
from windsock.texts import first_of

COLUMNS_CODE = "WS-MONITORING-020"
SCORE_CODE = "WS-MONITORING-021"
RATIO_CODE = "WS-MONITORING-022"
PREDICTIONS_CODE = "WS-MONITORING-023"
INSUFFICIENT_CODE = "WS-MONITORING-024"
UNCOUNTED_CODE = "WS-MONITORING-025"
DAMAGE_CODE = "WS-MONITORING-026"

IMPORTANT, NEGLIGIBLE = 0.1, 0.01
"""Shares of the importance from which drift counts one step more, and below which one step less."""
MODERATE, LARGE = 2.0, 4.0
"""Multiples of a column's limit from which drift is of medium and of high severity."""
STEPS = (Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class WindowJudgement:
    """What a window comes to.

    :param checks: those that named the verdict.
    :param drift_score: mean PSI over the columns; ``None`` where no column has one.
    :param drift_ratio: share of the judged columns that drifted; ``None`` where none was judged.
    """

    status: Status
    severity: Severity
    reason: str
    checks: tuple[CheckResult, ...]
    drift_score: float | None
    drift_ratio: float | None


def judge_window(
    profile: DriftProfile, counts: WindowCounts, judgement: Judgement, rule: DriftBlock
) -> WindowJudgement:
    """Judge a window by its columns, or by the dataset rules that the spec names.

    Drift stands whatever else is wrong. Without it, a column that could not be counted or a damaged log is
    ``error``: neither lets a window pass.
    """
    columns = judgement.columns
    drift_score = _mean([column.psi for column in columns if column.psi is not None])
    judged = [column for column in columns if column.status in (Status.PASS, Status.FAIL)]
    drifted = [column for column in judged if column.status is Status.FAIL]
    drift_ratio = len(drifted) / len(judged) if judged else None
    blind = [column.name for column in columns if FEW_REFERENCE in column.findings]
    checks = [
        _enough_rows(counts.rows, minimum_rows(profile, rule)),
        *_rules(rule, len(drifted), len(judged), drift_score, drift_ratio, blind),
        *_of_scores(judgement.score, rule),
        *_faults(columns, counts),
    ]
    if not checks[0].passed:
        checks = [checks[0], *_faults(columns, counts)]
    status = _status(checks)
    failing = [*drifted, *([judgement.score] if _counts(judgement.score, rule) else [])]
    return WindowJudgement(
        status=status,
        severity=severity_of(failing) if status is Status.FAIL else Severity.NONE,
        reason=_reason(status, checks, columns),
        checks=tuple(checks),
        drift_score=drift_score,
        drift_ratio=drift_ratio,
    )


def severity_of(drifted: Sequence[ColumnDrift | None]) -> Severity:
    """Return the worst severity among drifted columns.

    By how many times its limit a column's effect is: low, medium from 2, high from 4. A tenth or more of the
    model's importance is one step more (then high becomes critical), less than a hundredth one step less.
    """
    steps = [_step(column) for column in drifted if column is not None]
    return STEPS[max(steps)] if steps else Severity.LOW


def _step(column: ColumnDrift) -> int:
    strength = (column.effect or 0.0) / column.limit if column.limit else LARGE
    step = (strength >= MODERATE) + (strength >= LARGE)
    if column.importance is not None:
        step += (column.importance >= IMPORTANT) - (column.importance < NEGLIGIBLE)
    return max(0, step)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _enough_rows(rows: int, minimum: int) -> CheckResult:
    status = Status.PASS if rows >= minimum else Status.INSUFFICIENT
    return CheckResult(
        name="minimum_rows",
        status=status,
        code=INSUFFICIENT_CODE,
        value=rows,
        limit=minimum,
        relation=">=",
        n=rows,
        message=against_limit("rows", rows, ">=", minimum, status=status),
    )


def _rules(
    rule: DriftBlock,
    drifted: int,
    judged: int,
    drift_score: float | None,
    drift_ratio: float | None,
    blind: Sequence[str],
) -> list[CheckResult]:
    """Return the checks that decide: the count of drifted columns, or the named rules in its place."""
    if not rule.rules:
        value, passed = (drifted if judged else None), drifted < rule.columns
        return [_held("drifted_columns", COLUMNS_CODE, value, rule.columns, judged, passed, "<", blind)]
    known = {"drift_score": (drift_score, SCORE_CODE), "drift_ratio": (drift_ratio, RATIO_CODE)}
    checks = []
    for name, limit in rule.rules.items():
        seen, code = known[name] if judged else (None, known[name][1])
        passed = seen is not None and seen <= limit
        checks.append(_held(name, code, seen, limit, judged, passed, "<=", blind))
    return checks


def _held(
    name: str,
    code: str,
    value: float | None,
    limit: float,
    judged: int,
    passed: bool,
    relation: Literal["<", "<="],
    blind: Sequence[str],
) -> CheckResult:
    if value is None:
        why = f": too few training rows to show a large shift: {named(blind)}" if blind else ""
        message = f"no column could be judged{why}"
        return CheckResult(name=name, status=Status.INSUFFICIENT, code=code, limit=limit, message=message)
    status, n = Status.PASS if passed else Status.FAIL, f"{judged:,} column{'s' if judged > 1 else ''}"
    what = "drifted columns" if name == "drifted_columns" else name
    return CheckResult(
        name=name,
        status=status,
        code=code,
        value=value,
        limit=limit,
        relation=relation,
        n=judged,
        message=against_limit(what, value, relation, limit, status=status, n=n),
    )


def _counts(score: ColumnDrift | None, rule: DriftBlock) -> bool:
    return score is not None and rule.predictions and score.status is Status.FAIL


def _of_scores(score: ColumnDrift | None, rule: DriftBlock) -> list[CheckResult]:
    """Return the check of the scores, where they could be judged and count."""
    if score is None or not rule.predictions or score.status not in (Status.PASS, Status.FAIL):
        return []
    said = [f"scores {column_text(score)}"] if score.effect is not None and score.limit is not None else []
    if score.status is Status.FAIL:
        said.append(f"{'they' if said else 'scores'} are not distributed as on held-out rows")
    return [
        CheckResult(
            name="prediction_drift",
            status=score.status,
            code=PREDICTIONS_CODE,
            value=score.effect,
            limit=score.limit,
            relation="<",
            n=score.rows,
            message="; ".join(said),
        )
    ]


def _faults(columns: Sequence[ColumnDrift], counts: WindowCounts) -> list[CheckResult]:
    """Return the checks that keep a window from passing: there where something is wrong only."""
    found = []
    if broken := [column.name for column in columns if column.status is Status.ERROR]:
        found.append(
            CheckResult(
                name="countable_columns",
                status=Status.ERROR,
                code=UNCOUNTED_CODE,
                value=len(broken),
                limit=0,
                relation="<=",
                n=len(columns),
                message=f"could not be counted: {named(broken)}",
            )
        )
    if counts.damaged:
        share = counts.damaged / (counts.rows + counts.damaged)
        status = Status.PASS if share <= UNREADABLE_SHARE else Status.ERROR
        n = f"{counts.damaged:,} of {counts.rows + counts.damaged:,}, left out"
        found.append(
            CheckResult(
                name="log_damage",
                status=status,
                code=DAMAGE_CODE,
                value=share,
                limit=UNREADABLE_SHARE,
                relation="<=",
                n=counts.rows + counts.damaged,
                message=against_limit(
                    "damaged lines of the log", share, "<=", UNREADABLE_SHARE, status=status, n=n, unit=SHARE
                ),
            )
        )
    return found


def _status(checks: Sequence[CheckResult]) -> Status:
    found = {check.status for check in checks}
    for status in (Status.FAIL, Status.ERROR, Status.INSUFFICIENT):
        if status in found:
            return status
    return Status.PASS


def _reason(status: Status, checks: Sequence[CheckResult], columns: Sequence[ColumnDrift]) -> str:
    if status is Status.PASS:
        return _calm(columns)
    told = [check for check in checks if check.status is status]
    parts = [_told(check, columns) for check in told]
    return f"{told[0].code} " + "; ".join(parts)


def _calm(columns: Sequence[ColumnDrift]) -> str:
    judged = [column for column in columns if column.status is Status.PASS and column.effect is not None]
    closest = max(judged, key=lambda column: _share_of_limit(column), default=None)
    drifted = sum(column.status is Status.FAIL for column in columns)
    word = f"{drifted or 'none'} of {len(columns)} columns drifted"
    if len(columns) == 1:
        word = "the only column drifted" if drifted else "the only column did not drift"
    if closest is None:
        return word
    return f"{word}; the closest: {closest.name} {column_text(closest)}"


def _told(check: CheckResult, columns: Sequence[ColumnDrift]) -> str:
    if check.name != "drifted_columns" or check.status is not Status.FAIL:
        return check.message
    drifted = sorted(
        (column for column in columns if column.status is Status.FAIL), key=_share_of_limit, reverse=True
    )
    shown = first_of([f"{one.name} {column_text(one)}" for one in drifted], SHOWN, separator="; ")
    return f"{check.message}; {shown}"


def column_text(column: ColumnDrift) -> str:
    """Return a column's effect against its limit, such as ``0.3, limit: below 0.05: fail``.

    An effect beyond its limit that the tests do not reject passes, and the sentence says so.
    """
    if column.effect is None:
        return f"without a number: {column.status.value}"
    effect, limit = column.effect, column.limit or 0.0
    by_chance = column.status is Status.PASS and effect >= limit
    p = f"p {number_text(column.p)}, " if column.p is not None else ""
    about = f"{p}so it may be chance" if by_chance else ""
    return against_limit("", effect, "<", limit, status=column.status, about=about)


def _share_of_limit(column: ColumnDrift) -> float:
    return (column.effect or 0.0) / column.limit if column.limit else (column.effect or 0.0)


def named(names: Sequence[str], shown: int = 10) -> str:
    """Return the first names of a list, and how many more there are."""
    return first_of(names, shown)
