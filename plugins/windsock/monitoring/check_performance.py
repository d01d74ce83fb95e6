"""``check_performance``: how good the answers are, by labels as far as they came and by estimates without."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from windsock.exceptions import TransportError, WindsockError
from windsock.monitoring.backlog import tried_once
from windsock.monitoring.better_than_broken import better_than_broken, better_than_broken_text
from windsock.monitoring.empty_windows import REASON
from windsock.monitoring.judge_again import judge_again, look_for
from windsock.monitoring.late_labels import LATE, reach_back, told_age
from windsock.monitoring.performance_anomalies import ROWS, SCORES
from windsock.monitoring.performance_case import ANSWERED, Case, between, history_starts, labelled_of
from windsock.monitoring.performance_checks import COVERAGE
from windsock.monitoring.performance_judging import (
    judge_business,
    judge_counts,
    judge_estimate,
    judge_realised,
)
from windsock.monitoring.performance_metrics import read_labels
from windsock.monitoring.performance_rates import judge_positives
from windsock.monitoring.performance_trend import series_start
from windsock.monitoring.performance_unjudged import tell_unjudged
from windsock.monitoring.performance_verdict import (
    Judgement,
    findings_of,
    judge,
    numbers_of,
)
from windsock.monitoring.undated import undated_text
from windsock.ports import Ports
from windsock.records import (
    Champion,
    CheckPerformanceInput,
    PerformanceReport,
    Span,
    Status,
    WindowVerdict,
    baseline_of,
)
from windsock.spec import parse_duration

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

INSUFFICIENT_CODE = "WS-MONITORING-041"
NOTHING = Judgement(status=Status.INSUFFICIENT, quality=Status.INSUFFICIENT)
EMPTY = Judgement(status=Status.EMPTY, quality=Status.EMPTY)
FAULT = Judgement(status=Status.ERROR, quality=Status.ERROR)


@tried_once("performance")
def check_performance(step: CheckPerformanceInput, ports: Ports, key: str) -> PerformanceReport:
    """Judge the champion's answers of a window and of the look-back before its end.

    Realised and estimated performance are judged apart. The verdict is kept in the control database, and the
    numbers are shown to Prometheus; a server that does not answer is a finding.

    :param key: not used: a window is judged anew when more labels have come.
    :raises TransportError: if the ledger, the log, the labels or the control database cannot be read.
    """
    now = ports.now()
    champion = ports.ledger.champion(step.spec.name)
    if champion is None:
        reason = f"{INSUFFICIENT_CODE} insufficient: no live version"
        return _keep(
            ports,
            _empty(step, now, reason),
            Judgement(status=Status.INSUFFICIENT, quality=Status.INSUFFICIENT),
            {},
        )
    try:
        case = look_for(reach_back(_open(step, ports, champion, now)))
    except TransportError:
        raise
    except WindsockError as error:
        report = _empty(step, now, f"{error.code}: {error.message}", champion, Status.ERROR)
        return _keep(ports, report, FAULT, {})
    for part in (judge_realised, judge_estimate, judge_business, judge_positives, judge_counts):
        part(case)
    if _is_empty(case):
        report = _keep(ports, _of_empty(case), EMPTY, {"rows": 0.0, **case.delay})
        return report.replace(findings=(*report.findings, *judge_again(case)))
    judgement = judge(case)
    report = _report(case, judgement)
    verdict, told = tell_unjudged(
        case, _verdict(report, judgement, {**numbers_of(case, report), **case.delay})
    )
    report = _show(case, report.replace(findings=(*report.findings, *told)))
    ports.monitor.add_window(verdict)
    return report.replace(findings=(*report.findings, *judge_again(case)))


def look_anew(step: CheckPerformanceInput, ports: Ports, champion: Champion) -> Case:
    """Return what labels say of a window by now; nothing is kept or shown.

    :raises WindsockError: if the log, the labels or the bundle cannot be read.
    """
    case = reach_back(_open(step, ports, champion, ports.now()))
    judge_realised(case)
    return case


def _open(step: CheckPerformanceInput, ports: Ports, champion: Champion, now: datetime) -> Case:
    name, block = step.spec.name, step.spec.monitoring
    length = parse_duration(block.performance.window)
    lookback = Span(start=step.window.end - length, end=step.window.end)
    bundle = ports.bundles.describe(champion.bundle_uri, champion.digest)
    joined = ports.rows.labelled(
        name,
        Span(start=min(lookback.start, step.window.start), end=step.window.end),
        block.labels,
        schema=bundle.schema,
        digest=champion.digest,
        as_of=now,
        features=False,
    )
    frame, foreign = joined.frame, 0
    if not frame.empty:
        frame, foreign = read_labels(frame[frame["variant"].isin(ANSWERED)], bundle.schema)
    earliest = history_starts(block, step.window.end)
    series = ports.monitor.windows(
        name, "performance", since=min(earliest, series_start(block, step.window.end))
    )
    rows = ports.ledger.rows(name)
    return Case(
        step=step,
        ports=ports,
        champion=champion,
        bundle=bundle,
        now=now,
        lookback=lookback,
        joined=joined,
        rows=frame,
        foreign=foreign,
        history=tuple(one for one in series if one.window.end > earliest),
        series=series,
        ledger=rows,
        baseline=baseline_of(rows, step.spec.metric),
    )


def _is_empty(case: Case) -> bool:
    """Return whether nobody asked the model in the window, as far as the log can be read."""
    own = between(case, case.step.window)
    return case.numbers.get("rows") == 0 and not len(own) and not case.joined.damaged


def _of_empty(case: Case) -> PerformanceReport:
    """Return the report of a window without rows: nothing in it is of another window.

    That there are usually rows is an alarm all the same, and no verdict on the answers.
    """
    report = _empty(case.step, case.now, REASON, case.champion, Status.EMPTY)
    return report.replace(checks=tuple(check for check in case.checks if check.name == ROWS))


def _report(case: Case, judgement: Judgement) -> PerformanceReport:
    rows = between(case, case.lookback)
    labelled = labelled_of(rows)
    broken = better_than_broken(case, judgement.quality)
    said = better_than_broken_text(broken, case.baseline.version if case.baseline else "")
    age = told_age(case, judgement.quality)
    late = (f"{LATE} {age}",) if case.lookback.end < case.step.window.end else ()
    return PerformanceReport(
        model=case.step.spec.name,
        version=case.champion.version,
        digest=case.champion.digest,
        window=case.step.window,
        status=judgement.status,
        severity=judgement.severity,
        rows=len(rows),
        labelled=len(labelled),
        coverage=_coverage(case),
        label_age_hours=_label_age(labelled),
        realised=case.realised.metrics,
        **_held_against(case),
        estimated=case.estimated,
        checks=tuple(case.checks),
        findings=(*late, *findings_of(case, labelled), *case.findings, *_undated(case, judgement)),
        lookback=case.lookback,
        reason="; ".join(text for text in (age, judgement.reason, said) if text),
        better_than_broken=broken,
        judged_at=case.now,
    )


def _undated(case: Case, judgement: Judgement) -> list[str]:
    """Return what would tell a pattern from trouble, where training rows have no time."""
    told = []
    if judgement.quality is Status.FAIL:
        told.append(undated_text(case.step.spec, "performance"))
    if any(one.name == SCORES and one.status is Status.FAIL for one in case.checks):
        told.append(undated_text(case.step.spec, "drift"))
    return [one for one in told if one]


def _held_against(case: Case) -> dict[str, Any]:
    """Return what the answers are held against: the accepted baseline, else the version's own metrics."""
    known = case.baseline
    if known is None:
        return {"baseline": case.reference.realised if case.reference else ()}
    return {"baseline": known.metrics, "baseline_version": known.version, "baseline_at": known.at}


def _coverage(case: Case) -> float | None:
    """Return the share of labelled answers; ``None`` where it is not known."""
    return next((one.value for one in case.checks if one.name == COVERAGE), None)


def _label_age(labelled: pd.DataFrame) -> float | None:
    """Return the median hours from an answer to its label; a label before its answer counts as none."""
    if labelled.empty:
        return None
    ages = (labelled["label_time"] - labelled["receive_time"]).dropna()
    return float(ages.dt.total_seconds().clip(lower=0).median() / 3600) if len(ages) else None


def _show(case: Case, report: PerformanceReport) -> PerformanceReport:
    """Set the gauges; what has no value now is cleared.

    Without a server they stay as they are, which is said.
    """
    realised = {metric.name: metric.value for metric in report.realised if metric.value is not None}
    estimated = {metric.name: metric.value for metric in report.estimated if metric.value is not None}
    samples: dict[str, list[tuple[dict[str, str], float]]] = {
        "ml_realised_performance": [({"metric": name}, one) for name, one in realised.items()],
        "ml_estimated_performance": [({"metric": name}, one) for name, one in estimated.items()],
        "ml_model_accuracy": [],
    }
    if "accuracy" in realised:
        samples["ml_model_accuracy"] = [({"model_version": report.version}, realised["accuracy"])]
    samples["recommendation_ctr"] = [({"variant": name}, rate) for name, rate in case.rates.items()]
    try:
        case.ports.gauges.set(report.model, samples)
    except WindsockError as error:
        log.warning("the gauges were not set: %s", error)
        told = f"{error.code}: the server did not take the numbers; its gauges stay as they were"
        return report.replace(findings=(*report.findings, told))
    return report


def _empty(
    step: CheckPerformanceInput,
    now: datetime,
    reason: str,
    champion: Champion | None = None,
    status: Status = Status.INSUFFICIENT,
) -> PerformanceReport:
    return PerformanceReport(
        model=step.spec.name,
        version=champion.version if champion else "",
        digest=champion.digest if champion else "",
        window=step.window,
        status=status,
        rows=0,
        labelled=0,
        reason=reason,
        judged_at=now,
    )


def _keep(
    ports: Ports, report: PerformanceReport, judgement: Judgement, numbers: Mapping[str, float]
) -> PerformanceReport:
    """Keep the verdict on how good the answers are: what else is wrong asks for no retrain."""
    ports.monitor.add_window(_verdict(report, judgement, numbers))
    return report


def _verdict(report: PerformanceReport, judgement: Judgement, numbers: Mapping[str, float]) -> WindowVerdict:
    return WindowVerdict(
        model=report.model,
        kind="performance",
        window=report.window,
        version=report.version,
        digest=report.digest,
        status=judgement.quality,
        severity=judgement.quality_severity,
        reason=report.reason,
        numbers=dict(numbers),
        lookback=report.lookback,
        judged_at=report.judged_at,
    )
