"""``check_drift``: is a window of the prediction log distributed as its version's training rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from windsock.exceptions import WindsockError
from windsock.monitoring.accepted_reference import accepted_reference, told_of
from windsock.monitoring.backlog import tried_once
from windsock.monitoring.drift_columns import FEW_REFERENCE, Judgement, judge_columns, minimum_rows
from windsock.monitoring.drift_distributions import distributions_of
from windsock.monitoring.drift_rows import Samples, decide_exactly, exact_tests, take_samples
from windsock.monitoring.drift_targets import count_targets
from windsock.monitoring.drift_telling import Told, tell_gauges, write_report
from windsock.monitoring.drift_verdict import (
    INSUFFICIENT_CODE,
    WindowJudgement,
    column_text,
    judge_window,
    named,
)
from windsock.monitoring.empty_windows import REASON
from windsock.monitoring.lasting_excursions import without_what_lasts
from windsock.monitoring.undated import LOOKED_AT, undated_text
from windsock.monitoring.unjudged import MINIMUM_ROWS, looked_since, unjudged_text
from windsock.ports import Distribution, LoadedBundle, Ports
from windsock.records import (
    Champion,
    CheckDriftInput,
    CheckResult,
    ColumnDrift,
    DriftProfile,
    DriftReport,
    Span,
    Status,
    WindowVerdict,
)
from windsock.statistics.counting import WindowCounts
from windsock.statistics.seasons import like_profile

if TYPE_CHECKING:
    from windsock.spec import DriftBlock

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class _Window:
    """A window with what is needed to judge it; samples are taken once, where they are needed.

    :param profile: what it is held against: its like, where the version's columns have seasons.
    """

    step: CheckDriftInput
    ports: Ports
    bundle: LoadedBundle
    profile: DriftProfile
    counts: WindowCounts
    accepted: Span | None = None
    findings: list[str] = field(default_factory=list)
    taken: Samples | None = None

    @property
    def rule(self) -> DriftBlock:
        return self.step.spec.monitoring.drift

    def samples(self) -> Samples:
        """Return the samples.

        :raises WindsockError: if there are none.
        """
        if self.taken is None:
            self.taken = take_samples(self.step, self.ports, self.bundle, self.accepted)
        return self.taken

    def distributions(self, report: DriftReport) -> Callable[[], Sequence[Distribution]]:
        """Return what gives the distributions that the report draws."""
        return partial(distributions_of, report, self.profile, self.counts, self.bundle.schema)


@tried_once("drift")
def check_drift(step: CheckDriftInput, ports: Ports, key: str) -> DriftReport:
    """Judge a closed window against the profile of the version that serves, or what a person has accepted.

    The verdict is kept before anything is told: reports and gauges that fail are findings.

    :raises DatabaseUnavailableError: if the ledger does not answer: this is never "no live version".
    :raises StorageError: if the prediction log or the bundle cannot be read.
    :raises UnverifiedBundleError: if the bundle, or the drift that was accepted, is not what was signed.
    """
    champion = ports.ledger.champion(step.spec.name)
    if champion is None:
        return _keep(step, ports, _nothing_to_judge(step, ports, None, "no live version"))
    bundle = ports.bundles.describe(champion.bundle_uri, champion.digest)
    if bundle.profile is None:
        reason = f"version {champion.version} has no drift profile; the next retrain makes one"
        return _keep(step, ports, _nothing_to_judge(step, ports, champion, reason))
    found = accepted_reference(ports, champion, step.window)
    profile = bundle.profile if found is None else found[0].profile
    counts = ports.counter.count(step.spec.name, champion.digest, profile, step.window)
    held, lasting = without_what_lasts(
        profile,
        step.window,
        counts,
        lambda span: ports.counter.count(step.spec.name, champion.digest, profile, span),
        step.spec.monitoring.drift,
    )
    like = like_profile(held, step.window)
    window = _Window(step=step, ports=ports, bundle=bundle, profile=like, counts=counts)
    if lasting:
        window.findings.append(f"away for longer than training has seen, so no wider limit: {named(lasting)}")
    if found is not None:
        window.accepted = found[0].windows
        window.findings.append(told_of(*found))
    if not counts.rows and not counts.damaged:
        report = _nothing_to_judge(step, ports, champion, REASON, Status.EMPTY)
        return _keep(step, ports, report)
    window.counts = replace(counts, targets=count_targets(step, ports, bundle, window.findings))
    method, judgement = _judge(window)
    verdict = judge_window(window.profile, window.counts, judgement, window.rule)
    report = _keep(step, ports, _report(window, champion, method, judgement, verdict))
    told = tell_gauges(report, ports)
    if report.status is Status.FAIL and window.rule.report:
        told += write_report(report, ports, bundle.schema, window.samples, window.distributions(report))
    log.debug("%s: drift %s: %s", report.model, report.status.value, report.reason)
    return _with_told(report, told)


def _with_told(report: DriftReport, told: Told) -> DriftReport:
    return report.replace(
        findings=(*report.findings, *told.findings), report_uri=told.report_uri, run_id=told.run_id
    )


def _judge(window: _Window) -> tuple[str, Judgement]:
    """Judge by the method that the spec asks for; where it fails, by counts, and say so."""
    judgement = _decided(window, judge_columns(window.profile, window.counts, window.rule))
    method = window.rule.method
    enough = window.counts.rows >= minimum_rows(window.profile, window.rule)
    if method == "counts" or not enough:
        return "counts", judgement
    try:
        samples = window.samples()
        if method == "exact":
            tested = exact_tests(samples, window.profile, window.counts)
            return method, judge_columns(window.profile, window.counts, window.rule, tested=tested)
        drifted = window.ports.reporter.drifted(samples.reference, samples.current, window.bundle.schema)
    except WindsockError as error:
        window.findings.append(f"{error.code} method {method} failed, counts judged: {error}")
        return "counts", judgement
    return method, _by_reporter(window, judgement, drifted)


def _decided(window: _Window, judgement: Judgement) -> Judgement:
    """Return a judgement in which columns that counts left open were looked at row by row."""
    names = judgement.undecided
    if not names:
        return judgement
    try:
        tested = decide_exactly(window.profile, window.counts, names, window.samples())
    except WindsockError as error:
        window.findings.append(
            f"{error.code} decided by the middle of their bounds: {named(names)}; no rows to look at: {error}"
        )
        return judgement
    if left := [name for name in names if name not in tested]:
        window.findings.append(f"decided by the middle of their bounds: {named(left)}")
    if tested:
        window.findings.append(f"decided by rows, because counts could not: {named(tuple(tested))}")
    return judge_columns(window.profile, window.counts, window.rule, tested=tested)


def _by_reporter(
    window: _Window, judgement: Judgement, drifted: Mapping[str, tuple[bool, float]]
) -> Judgement:
    """Return a judgement in which Evidently decides about each column that it could judge."""
    columns = []
    for column in judgement.columns:
        said = drifted.get(column.name)
        blind = FEW_REFERENCE in column.findings and said is not None and not said[0]
        if said is None or blind or column.status is Status.ERROR:
            columns.append(column)
            continue
        word = f"evidently {said[1]:.3g}"
        status = Status.FAIL if said[0] else Status.PASS
        columns.append(column.replace(status=status, findings=(*column.findings, word)))
    left = [column.name for column in judgement.columns if column.name not in drifted]
    if left:
        window.findings.append(f"judged by counts, because Evidently cannot: {named(left)}")
    return replace(judgement, columns=tuple(columns))


def _nothing_to_judge(
    step: CheckDriftInput,
    ports: Ports,
    champion: Champion | None,
    reason: str,
    status: Status = Status.INSUFFICIENT,
) -> DriftReport:
    is_empty = status is Status.EMPTY
    check = CheckResult(
        name="minimum_rows" if is_empty else "live_profile",
        status=Status.INSUFFICIENT,
        code=INSUFFICIENT_CODE,
        message=reason,
    )
    return DriftReport(
        model=step.spec.name,
        version=champion.version if champion else "",
        digest=champion.digest if champion else "",
        window=step.window,
        rows=0,
        status=status,
        method=step.spec.monitoring.drift.method,
        checks=(check,),
        reason=reason if is_empty else f"{INSUFFICIENT_CODE} insufficient: {reason}",
        judged_at=ports.now(),
    )


def _report(
    window: _Window, champion: Champion, method: str, judgement: Judgement, verdict: WindowJudgement
) -> DriftReport:
    return DriftReport(
        model=champion.model,
        version=champion.version,
        digest=champion.digest,
        window=window.step.window,
        rows=window.counts.rows,
        status=verdict.status,
        severity=verdict.severity,
        method=method,
        columns=judgement.columns,
        score=judgement.score,
        target=judgement.target,
        checks=verdict.checks,
        drift_score=verdict.drift_score,
        drift_ratio=verdict.drift_ratio,
        findings=(*window.findings, *_noticed(judgement, window.counts, window.accepted)),
        reason=verdict.reason
        if window.accepted is None
        else f"{verdict.reason}; held against accepted drift",
        judged_at=window.ports.now(),
    )


NOTICED = {
    "absent": "not in all rows of the log (other versions, or another schema)",
    "all_null": "without any value",
    "constant": "with one and the same value in all rows",
    FEW_REFERENCE: "with too few training rows to show a large shift, so not judged",
    "few_rows": "with too few rows to judge",
    "few_units": "with rows of too few units to judge",
    "few_values": "with too few values to judge",
    "nulls": "drifted by their share of missing values",
    "one_value": "in which one value that was rare or unknown takes a large share",
    "uncounted": "not counted at all",
    "unreadable": "with values of another kind, or encrypted without a key",
    "unseen": "with categories that training did not know",
    "vanished": "without categories that training knew well",
}
"""What a column's findings mean."""


def _noticed(judgement: Judgement, counts: WindowCounts, accepted: Span | None) -> list[str]:
    """Return a sentence for each finding of the columns, with their names and never a value."""
    found = []
    for word, meaning in NOTICED.items():
        if names := [column.name for column in judgement.columns if word in column.findings]:
            found.append(f"{meaning}: {named(names)}")
    score_rows = "held-out rows" if accepted is None else "the rows that were accepted"
    found += _noticed_apart("scores", judgement.score, score_rows)
    found += _noticed_apart("outcomes", judgement.target, "held-out rows")
    if counts.damaged:
        found.append(f"{counts.damaged:,} damaged lines of the prediction log are left out")
    if counts.fallbacks:
        found.append(f"{counts.fallbacks:,} rows were answered by another version than their own")
    return found


def _noticed_apart(what: str, column: ColumnDrift | None, against: str) -> list[str]:
    if column is None or column.status is Status.PASS:
        return []
    if column.status is not Status.FAIL or column.effect is None or column.limit is None:
        return [f"{what} could not be judged: {', '.join(column.findings) or column.status.value}"]
    return [f"{what} drifted against {against}: {column_text(column)}"]


def _keep(step: CheckDriftInput, ports: Ports, report: DriftReport) -> DriftReport:
    """Keep the verdict; where an earlier one of this window stands, say so, and where none was for long."""
    least = next((one.limit for one in report.checks if one.name == "minimum_rows"), None)
    numbers = {
        MINIMUM_ROWS: least,
        FEW_REFERENCE: float(sum(FEW_REFERENCE in one.findings for one in report.columns)),
        "rows": float(report.rows),
        "drifted": float(len(report.drifted)),
        "drift_score": report.drift_score,
        "drift_ratio": report.drift_ratio,
        "score_effect": report.score.effect if report.score else None,
    }
    verdict = WindowVerdict(
        model=report.model,
        kind="drift",
        window=report.window,
        version=report.version,
        digest=report.digest,
        status=report.status,
        severity=report.severity,
        reason=report.reason,
        numbers={name: value for name, value in numbers.items() if value is not None},
        judged_at=report.judged_at,
    )
    stands = ports.monitor.add_window(verdict)
    report = _tell_undated(step, ports, _tell_unjudged(step, ports, report, stands))
    if stands.judged_at == report.judged_at or stands.status is report.status:
        return report
    finding = f"the first verdict of this window stands: {stands.status.value}, of version {stands.version}"
    return report.replace(findings=(*report.findings, finding))


def _tell_undated(step: CheckDriftInput, ports: Ports, report: DriftReport) -> DriftReport:
    """Say of a failed window what would tell a pattern from drift, where training rows have no time."""
    if report.status is not Status.FAIL or not undated_text(step.spec, "drift"):
        return report
    kept = ports.monitor.windows(report.model, "drift", since=report.window.end - LOOKED_AT)
    told = undated_text(step.spec, "drift", [one for one in kept if one.window.end <= report.window.end])
    return report.replace(findings=(*report.findings, told))


def _tell_unjudged(
    step: CheckDriftInput, ports: Ports, report: DriftReport, stands: WindowVerdict
) -> DriftReport:
    if not report.status is stands.status is Status.INSUFFICIENT:
        return report
    end = report.window.end
    since = looked_since(step.spec.monitoring, end)
    kept, performance = (
        [one for one in ports.monitor.windows(report.model, kind, since=since) if one.window.end <= end]
        for kind in ("drift", "performance")
    )
    told = unjudged_text(step.spec, kept, performance=performance)
    return report.replace(findings=(*report.findings, told)) if told else report
