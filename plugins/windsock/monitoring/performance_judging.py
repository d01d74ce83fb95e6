"""The parts of a performance verdict: each adds its checks, metrics and numbers to the case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from windsock.exceptions import TransportError, WindsockError
from windsock.monitoring import performance_anomalies as anomalies
from windsock.monitoring import performance_checks as checks
from windsock.monitoring.label_classes import missing_class
from windsock.monitoring.performance_case import (
    AWAITS,
    Case,
    between,
    guard,
    labelled_of,
    new_labels,
)
from windsock.monitoring.performance_floor import judge_floor
from windsock.monitoring.performance_metrics import estimated_metrics, realised_metrics
from windsock.monitoring.performance_trend import add_own_numbers, judge_trend
from windsock.records import CheckResult, MetricValue, ReferencePerformance, Span, Status
from windsock.spec import SEED
from windsock.statistics.counting import WindowCounts
from windsock.statistics.estimates import PREDICTION
from windsock.statistics.seasons import like_chunks, span_offset

if TYPE_CHECKING:
    import pandas as pd

ESTIMATE_ROWS = 100_000
"""Most rows whose features are read for an estimate; a random sample of more."""
TOO_FEW = f"too few answers have a label, see {checks.COVERAGE}"
NO_NEWS = (
    "no answer of the window or before it has a label that is new since the window before was judged; its "
    "numbers are not repeated"
)


def judge_realised(case: Case) -> None:
    """Judge coverage, realised metrics and their trend in the look-back."""
    spec, block = case.step.spec, case.step.spec.monitoring.performance
    rows = between(case, case.lookback)
    labelled = labelled_of(rows)
    coverage = coverage_of(case, rows, labelled)
    case.checks.append(coverage)
    is_new = not new_labels(case, labelled).empty
    if is_new or not between(case, case.step.window).empty:
        case.numbers |= {"answers": float(len(rows)), "labelled": float(len(labelled))}
    if not (coverage.passed and is_new) or case.lookback.end < case.step.window.end:
        case.numbers[AWAITS] = 1.0
    if not (coverage.passed and is_new):
        why = NO_NEWS if coverage.passed else TOO_FEW
        _no_verdict(case, spec.metric, why, len(labelled))
        return
    if block.last is not None:
        labelled = labelled.tail(block.last)
    case.realised = realised_metrics(labelled, case.schema, spec)
    case.findings += case.realised.findings
    found = {metric.name: metric for metric in case.realised.metrics}
    name = checks.judged_metric(spec.metric, found)
    if name != spec.metric:
        case.findings.append(f"{spec.metric} cannot be told from the log; {name} is judged in its place")
    add_own_numbers(case, name)
    judge_floor(case, name)
    if not case.again:  # the latest window has judged the trend
        guard(case, f"{checks.TREND}:{name}", checks.CODES[checks.TREND], lambda: judge_trend(case, name))


def coverage_of(case: Case, rows: pd.DataFrame, labelled: pd.DataFrame) -> CheckResult:
    """Check how many of a stretch's answers have a label, of each class; else nobody knows what they mean."""
    block, positive = case.step.spec.monitoring.performance, case.schema.positive
    is_rate = block.positive_rate is not None and positive is not None
    found = checks.label_coverage(len(labelled), len(rows), block.coverage)
    if not (is_rate or found.passed):
        return found
    missing = missing_class(case, rows, labelled)
    all_positive = is_rate and all(label == positive for label in labelled["label"])
    if is_rate and len(labelled) < len(rows) and (all_positive or missing):
        return checks.unknown_coverage(len(labelled), len(rows))
    return checks.missing_labels(missing, len(labelled), len(rows)) if missing and found.passed else found


def _no_verdict(case: Case, name: str, why: str, rows: int) -> None:
    case.checks += [
        checks.result(f"{kind}:{name}", Status.INSUFFICIENT, f"no verdict: {why}", n=rows)
        for kind in checks.REALISED
    ]


def judge_estimate(case: Case) -> None:
    """Estimate the window's metrics, and judge the spec's one, or the first that can be estimated."""
    spec, reference = case.step.spec, case.reference
    if reference is None or not (reference.calibration or reference.errors):
        case.findings.append("performance cannot be estimated: the version has no reference for it")
        return
    chunks = {one.metric: one for one in reference.estimated}

    def made() -> CheckResult:
        rows = _estimate_rows(case, reference)
        case.estimated = estimated_metrics(rows, case.schema, spec, reference)
        found = {metric.name: metric for metric in case.estimated}
        name = checks.judged_metric(spec.metric, dict.fromkeys(chunks, MetricValue(name="", value=None, n=0)))
        if name not in chunks:
            message = "the reference rows were too few to show how estimates vary"
            return checks.result(f"{checks.ESTIMATE}:{spec.metric}", Status.INSUFFICIENT, message)
        score = case.bundle.profile.score if case.bundle.profile else None
        like = like_chunks(chunks[name], score, case.step.window)
        return checks.estimated_performance(found.get(name), like, spec.monitoring.performance)

    guard(case, f"{checks.ESTIMATE}:{spec.metric}", checks.CODES[checks.ESTIMATE], made)


def _estimate_rows(case: Case, reference: ReferencePerformance) -> pd.DataFrame:
    """Return the window's answers; with the features that the reference's error tree asks for."""
    needed = {name for name in reference.errors.inputs if name != PREDICTION} if reference.errors else set()
    if not needed:
        return between(case, case.step.window)
    schema = case.schema.replace(fields=tuple(one for one in case.schema.fields if one.name in needed))
    return case.ports.rows.sample(
        case.step.spec.name,
        case.step.window,
        schema=schema,
        digest=case.champion.digest,
        limit=ESTIMATE_ROWS,
        seed=SEED,
    )


def judge_business(case: Case) -> None:
    """Judge the number of the business, where the spec has one."""
    block = case.step.spec.monitoring.performance
    asked = block.business
    if asked is None:
        return

    def made() -> CheckResult:
        rows = between(case, case.lookback)
        if rows.empty:
            return checks.business_metric(None, 0, block)
        if between(case, case.step.window).empty and new_labels(case, labelled_of(rows)).empty:
            return checks.result(f"{checks.BUSINESS}:{asked.name}", Status.INSUFFICIENT, NO_NEWS, n=len(rows))
        table = rows.drop(columns=["outcome"]).rename(columns={"label": "outcome"})
        value = case.ports.business.number(asked.sql, table)
        if value is not None:
            case.numbers[f"business:{asked.name}"] = value
        return checks.business_metric(value, len(rows), block)

    guard(case, f"{checks.BUSINESS}:{asked.name}", checks.CODES[checks.BUSINESS], made)


def judge_counts(case: Case) -> None:
    """Judge how answers are given, from the window's counts and those before it."""
    block, profile = case.step.spec.monitoring.performance, case.bundle.profile
    if profile is None:
        case.findings.append("scores, rates and times are not watched: the version has no profile")
        return
    sla = case.step.spec.serving.sla_latency_ms
    name, window, digest = case.step.spec.name, case.step.window, case.champion.digest
    count = case.ports.counter.count

    def counted(span: Span) -> WindowCounts:
        return count(name, digest, profile, span)

    try:
        counts = counted(window)
        lookback = window.end - (case.lookback.end - case.lookback.start)
        start = min(lookback, window.start - (window.end - window.start))
        earlier = Span(start=start, end=window.start)
        before = counted(earlier)
    except TransportError:
        raise
    except WindsockError as error:
        reason = f"{error.code}: {error.message}"
        code = anomalies.CODES[anomalies.ROWS]
        case.checks.append(checks.result("counts", Status.ERROR, reason, code=code))
        return
    case.numbers["rows"] = float(counts.rows)
    if counts.damaged:
        case.findings.append(f"{counts.damaged:,} lines of the log in the window could not be read")
    usual = anomalies.usual_rows(case.history, window, case.series)
    natural = 0.0
    if profile.score is not None:
        natural = profile.score.recurring + span_offset(profile.score, window, earlier)
    made: Sequence[tuple[str, Callable[[], CheckResult]]] = (
        (
            anomalies.SCORES,
            lambda: anomalies.score_anomaly(counts, before, profile.score, block, natural=natural),
        ),
        (anomalies.ROWS, lambda: anomalies.row_rate(counts.rows, usual, block)),
        (anomalies.NULLS, lambda: anomalies.null_answers(counts)),
        (anomalies.FALLBACKS, lambda: anomalies.fallback_rate(counts)),
        (anomalies.LATENCY, lambda: anomalies.latency_p95(counts, block.latency_p95_ms)),
        (anomalies.SLA, lambda: anomalies.latency_p95(counts, sla, anomalies.SLA)),
    )
    for check, make in made:
        guard(case, check, anomalies.CODES[check], make)
