"""What many checks come to: one word, how much it matters, why, and the numbers that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windsock.monitoring import performance_checks as checks
from windsock.monitoring.kept_metrics import REALISED, numbers_of_intervals
from windsock.monitoring.performance_case import Case
from windsock.monitoring.performance_severity import SEVERITIES, kind_of, severity_of
from windsock.ports.left_out import left_out
from windsock.records import CheckResult, MetricValue, PerformanceReport, Severity, Status
from windsock.records.check_text import check_text, first_checks

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict on a window.

    :param status: over all checks.
    :param quality: over the checks of how good the answers are: only these ask for a retrain.
    """

    status: Status
    quality: Status
    severity: Severity = Severity.NONE
    quality_severity: Severity = Severity.NONE
    reason: str = ""


def judge(case: Case) -> Judgement:
    """Bring a case's checks together.

    Fail if a check fails; else error if one could not run; else pass if labels say that the answers are as
    good as the baseline; else insufficient, whatever estimates and rates say: they do not see that the truth
    has changed.
    """
    quality = [check for check in case.checks if kind_of(check) in checks.QUALITY]
    others = [check for check in case.checks if check not in quality]
    word = quality_of(quality)
    status = next(
        (bad for bad in (Status.FAIL, Status.ERROR) if any(one.status is bad for one in case.checks)), word
    )
    judged = severity_of(quality)
    return Judgement(
        status=status,
        quality=word,
        severity=max(judged, severity_of(others), key=SEVERITIES.index),
        quality_severity=judged,
        reason=_reason(case, status),
    )


def quality_of(found: Sequence[CheckResult]) -> Status:
    """Return what checks of how good the answers are come to; others are passed over."""
    found = [check for check in found if kind_of(check) in checks.QUALITY]
    bad = next(
        (word for word in (Status.FAIL, Status.ERROR) if any(one.status is word for one in found)), None
    )
    known = any(one.passed for one in found if kind_of(one) == checks.DROP)
    return bad or (Status.PASS if known else Status.INSUFFICIENT)


def _reason(case: Case, status: Status) -> str:
    told = [check for check in case.checks if check.status is status and status is not Status.PASS]
    if status is Status.INSUFFICIENT:
        told = [check for check in told if kind_of(check) in (checks.COVERAGE, checks.DROP, checks.ESTIMATE)]
        calm = any(check.passed for check in case.checks if kind_of(check) == checks.ESTIMATE)
        if calm and told:
            labels = "no labels" if not case.numbers.get("labelled") else "no verdict by labels"
            return f"estimate within its limits, {labels}; {first_checks(told)}"
    if status is not Status.PASS:
        return first_checks(told) or f"{status.value}: no check could be made"
    passed = [check for check in case.checks if check.passed and kind_of(check) in checks.QUALITY]
    open_ = [check.name for check in case.checks if check.status is Status.INSUFFICIENT]
    unsaid = f"; without a verdict: {', '.join(open_)}" if open_ else ""
    return "; ".join(check_text(check) for check in passed) + unsaid


def findings_of(case: Case, labelled: pd.DataFrame) -> tuple[str, ...]:
    """Return what is to be known of labels and log, counted; never a value.

    :param labelled: the labelled rows of the look-back.
    """
    joined = case.joined
    before = 0
    if not labelled.empty:
        before = int((labelled["label_time"] < labelled["receive_time"]).sum())
    counted = {
        "labels of an answer that is not in the log; send the prediction id of the answer": joined.unknown,
        "labels that a later one replaced, or that came twice": joined.duplicates,
        "labels that came after this was judged": joined.late,
        "answers whose prediction id a later answer has, too": joined.repeated,
        "labels that are dated before their answer: the clocks differ": before,
        "damaged lines of the log": joined.damaged,
    }
    told = [f"{what}: {count:,}" for what, count in counted.items() if count]
    told += left_out(joined, case.foreign)
    if joined.cut is not None:
        told.append(f"there are too many answers: only those since {joined.cut:%Y-%m-%d %H:%M} UTC count")
    return tuple(told)


def numbers_of(case: Case, report: PerformanceReport) -> dict[str, float]:
    """Return the numbers that charts and later windows need."""
    known: dict[str, float | None] = {}
    if "labelled" in case.numbers:  # else they are those of the window before
        known = {"coverage": report.coverage, "label_age_hours": report.label_age_hours}
    known |= {check.name: check.value for check in case.checks if check.name in ("latency_p95",)}
    return {
        **{name: value for name, value in known.items() if value is not None},
        **_values(REALISED, report.realised),
        **numbers_of_intervals(report.realised),
        **_values("estimated", report.estimated),
        **case.numbers,
    }


def _values(prefix: str, metrics: Sequence[MetricValue]) -> dict[str, float]:
    return {f"{prefix}:{metric.name}": metric.value for metric in metrics if metric.value is not None}
