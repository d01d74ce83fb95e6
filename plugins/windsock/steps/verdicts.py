"""The last block of every log: VERDICT, WHY, NEXT, IDS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from windsock import records as r
from windsock.exceptions import (
    ApprovalRefusedError,
    DataRefusedError,
    GateRefusedError,
    MonitoringError,
    TransportError,
    VerdictError,
    WindsockError,
)
from windsock.records.contract import CONTRACT_CODES
from windsock.spec.leak_suspects import suspects_text, way_out
from windsock.steps.housekeeping_verdicts import describe_housekeeping
from windsock.steps.monitoring_verdicts import (
    describe_claim,
    describe_decision,
    describe_drift,
    describe_end,
    describe_performance,
)
from windsock.steps.rollout_verdicts import (
    describe_rollout,
    describe_rollout_decision,
    describe_shift,
    describe_waiting,
)
from windsock.steps.run import StepResult
from windsock.steps.watch_verdicts import describe_watch
from windsock.steps.words import Verdict, limit_text, shorten


def _first_failures(checks: Sequence[r.CheckResult]) -> str:
    bad = [check for check in checks if not check.passed]
    shown = "; ".join(
        f"{check.code} {check.name}: {check.status.value}, {check.message or limit_text(check)}"
        for check in bad[:3]
    )
    return shown + (f"; and {len(bad) - 3} more" if len(bad) > 3 else "")


def _snapshot(record: r.DataSnapshot) -> Verdict:
    since = f" ({record.onset_rows:,} since {record.onset:%Y-%m-%d %H:%M} UTC)" if record.onset else ""
    recent = f", {record.recent_rows:,} of them recent{since}," if record.recent_rows else ""
    return Verdict(
        word="PASS",
        why=f"{record.rows:,} rows{recent} and {len(record.columns)} columns from {record.source}",
        ids={"model": record.model, "snapshot": shorten(record.digest)},
    )


def _failed_validation(checks: Sequence[r.CheckResult]) -> str:
    """Return what the data contract says no to, in words, before the other failures."""
    broken = [check for check in checks if not check.passed and check.code.startswith(CONTRACT_CODES)]
    words = [f"{check.code} {check.name}: {check.message}" for check in broken[:3]]
    words += [f"and {len(broken) - 3:,} more columns"] if len(broken) > 3 else []
    others = [check for check in checks if check not in broken]
    if not words or all(check.passed for check in others):
        return "; ".join(words) or _first_failures(checks)
    return f"{'; '.join(words)}; {_first_failures(others)}"


def _validation(record: r.ValidationReport) -> Verdict:
    passed = record.status is r.Status.PASS
    why = record.counted if passed else _failed_validation(record.checks)
    nothing = "nothing to do"
    if record.suspects:
        why += f"; WS-GATE-018 may not be known at prediction time: {suspects_text(record.suspects)}"
        nothing = f"{way_out(record.suspects)}; else the gate asks a person"
    return Verdict(
        word="PASS" if passed else record.status.value.upper(),
        why=why,
        next_action=nothing
        if passed
        else "fix the source, or write the key that a failed check names; the model that serves is untouched",
        ids={
            "model": record.model,
            "snapshot": shorten(record.snapshot_digest),
            "suite": shorten(record.suite_digest),
        },
    )


def _trained(record: r.TrainedModel) -> Verdict:
    cv = record.cross_validation
    return Verdict(
        word="PASS",
        why=f"{record.candidate.label}: {cv.metric} {cv.mean:.4f} +- {cv.sd:.4f} in {len(cv.folds)} folds, "
        f"{record.rows_train:,} rows ({record.rows_held_out:,} held out)",
        ids={
            "model": record.model,
            "run_id": record.run_id,
            "bundle": shorten(record.bundle_digest),
            "snapshot": shorten(record.snapshot_digest),
        },
    )


def _evaluation(record: r.Evaluation) -> Verdict:
    name, label = record.chosen.cross_validation.metric, record.chosen.candidate.label
    metric = record.metric(name)
    value = "no value" if metric is None or metric.value is None else f"{metric.value:.4f}"
    if metric and metric.interval:
        value += f" [{metric.interval.low:.4f}, {metric.interval.high:.4f}]"
    against = record.against_champion
    compared = "first model, nothing to compare with"
    if record.champion and against and against.value is not None:
        compared = f"against champion {record.champion.version}: {against.value:+.4f}"
    return Verdict(
        word="HOLD" if record.faults else "PASS",
        why="; ".join(
            [
                *record.faults,
                f"{label} {record.judged_on}: {name} {value}",
                *([] if record.faults else [compared]),
            ]
        ),
        next_action="nothing to do here; the gate's own WHY and NEXT say how to go on"
        if record.faults
        else "nothing to do",
        ids={
            "model": record.model,
            "run_id": record.chosen.run_id,
            "bundle": shorten(record.chosen.bundle_digest),
        },
    )


GATE_WORDS = {r.Outcome.PROMOTE: "PASS", r.Outcome.KEEP: "KEEP", r.Outcome.REFUSE: "FAIL"}
GATE_NEXT = {
    r.Outcome.PROMOTE: "nothing to do; the version is registered next",
    r.Outcome.KEEP: "nothing to do; the champion keeps serving",
    r.Outcome.REFUSE: "read the failed checks; fix data, model or card; nothing was deployed",
}


SILENT_NEXT = (
    "do what WHY says of the column or the target, so that the champion can be compared; or write "
    "`gate: {on_insufficient: ask}` in the model's file, run the DAG again and let a person decide; the "
    "champion keeps serving"
)


ASKED_NEXT = (
    "a person must approve it{other}, or it never serves: the version is registered next, then task "
    "approve_model asks in Airflow under Required Actions and says until when; no answer means no"
)


def _decision(record: r.GateDecision) -> Verdict:
    silent = any(check.code == "WS-GATE-012" and check.status is r.Status.ERROR for check in record.checks)
    next_action = SILENT_NEXT if silent else GATE_NEXT[record.outcome]
    if record.asks and record.outcome is r.Outcome.PROMOTE:
        other = f", other than {record.requested_by}" if record.requested_by else ""
        next_action = ASKED_NEXT.format(other=other)
    suspects = record.validation.suspects if record.validation else ()
    if suspects and record.outcome is not r.Outcome.KEEP:
        next_action += f"; to be asked no more: {way_out(suspects)}"
    return Verdict(
        word=GATE_WORDS[record.outcome],
        why=record.reason,
        next_action=next_action,
        ids={"model": record.model, "run_id": record.run_id, "bundle": shorten(record.bundle_digest)},
    )


def _registered(record: r.RegisteredVersion) -> Verdict:
    return Verdict(
        word="PASS",
        why=f"version {record.version} carries evidence {shorten(record.evidence_digest)}",
        ids={
            "model": record.model,
            "version": record.version,
            "run_id": record.run_id,
            "bundle": shorten(record.digest),
            "snapshot": shorten(record.snapshot_digest),
        },
    )


APPROVAL_WORDS = {
    r.Status.PASS: "PASS",
    r.Status.FAIL: "FAIL",
    r.Status.INSUFFICIENT: "HOLD",
    r.Status.ERROR: "ERROR",
}


def _approval(record: r.Approval) -> Verdict:
    why = record.reason or f"{len(record.approvers)} of {record.needed} approvals"
    waits = record.status is r.Status.INSUFFICIENT
    return Verdict(
        word=APPROVAL_WORDS[record.status],
        why=why,
        next_action="ask a second person to approve in the UI" if waits else "nothing to do",
        ids={"model": record.model, "version": record.version, "bundle": shorten(record.digest)},
    )


def _deployment(record: r.Deployment) -> Verdict:
    share = record.share / 100
    return Verdict(
        word="PASS",
        why=record.reason
        or f"version {record.version} answers its golden predictions at {share:g} % of the traffic",
        ids={
            "model": record.model,
            "version": record.version,
            "epoch": str(record.epoch),
            "bundle": shorten(record.digest),
        },
    )


def _promotion(record: r.Promotion | r.RollBack) -> Verdict:
    if isinstance(record, r.Promotion) and record.waiting:
        return describe_waiting(record)
    before = record.rolled_back_version if isinstance(record, r.RollBack) else record.previous_version
    several = "s" if before and " and " in before else ""
    instead = f" instead of version{several} {before}" if before else ""
    mirrored = "" if record.alias_mirrored else "; the registry's alias could not be set"
    next_action = (
        "nothing to do" if record.alias_mirrored else "nothing; housekeeping sets the alias within the hour"
    )
    if isinstance(record, r.RollBack) and before and not record.unchanged:
        held = "are held" if several else "is held"
        next_action += (
            f"; version{several} {before} {held}: to try it again, run {record.model}__daily_retrain with "
            "`force`"
        )
    broken = ""
    if isinstance(record, r.Promotion) and record.better_than_broken is not None:
        broken = (
            f"; better than broken: performance has been lost since "
            f"{record.better_than_broken:%Y-%m-%d %H:%M} UTC, and this is no recovery"
        )
        next_action = f"find out what changed: `windsock monitor {record.model}`; the alert stays until then"
    meant_for_rollout = record.reason.startswith("WS-ROLLOUT-016")
    if meant_for_rollout:
        next_action = (
            f"nothing, if the rollout was meant; else `windsock rollback {record.model} --to VERSION`, "
        )
        next_action += f"or `to_version` in the form of {record.model}__rollback"
    return Verdict(
        word="HOLD" if meant_for_rollout else "PASS",
        why=(record.reason or f"version {record.version} serves{instead}, epoch {record.epoch}{mirrored}")
        + broken,
        next_action=next_action,
        ids={
            "model": record.model,
            "version": record.version,
            "epoch": str(record.epoch),
            "bundle": shorten(record.digest),
        },
    )


DESCRIBE: dict[type[r.Record], Callable[..., Verdict]] = {
    r.DataSnapshot: _snapshot,
    r.ValidationReport: _validation,
    r.TrainedModel: _trained,
    r.Evaluation: _evaluation,
    r.GateDecision: _decision,
    r.RegisteredVersion: _registered,
    r.Approval: _approval,
    r.Deployment: _deployment,
    r.Promotion: _promotion,
    r.RollBack: _promotion,
    r.HousekeepingReport: describe_housekeeping,
    r.WatchReport: describe_watch,
    r.DriftReport: describe_drift,
    r.PerformanceReport: describe_performance,
    r.RetrainDecision: describe_decision,
    r.RetrainClaim: describe_claim,
    r.RetrainEnd: describe_end,
    r.RolloutState: describe_rollout,
    r.RolloutDecision: describe_rollout_decision,
    r.TrafficShift: describe_shift,
}


def verdict_of(result: StepResult) -> Verdict:
    """Return the block for what a step came to; a green one that had been done before says UNCHANGED."""
    verdict = DESCRIBE[type(result.record)](result.record)
    if result.unchanged and verdict.word == "PASS":
        return Verdict(word="UNCHANGED", why=verdict.why, next_action=verdict.next_action, ids=verdict.ids)
    return verdict


def verdict_of_error(error: BaseException, ids: dict[str, str] | None = None) -> Verdict:
    """Return the block for what a step raised."""
    if not isinstance(error, WindsockError):
        return Verdict(
            word="ERROR",
            why=f"WS-CORE-000: unexpected {type(error).__name__}: a fault of Windsock or of the installation",
            next_action="read the trace above, then report it with the lines below",
            ids=ids or {},
        )
    word = "FAIL" if isinstance(error, VerdictError) else "ERROR"
    retried = " (retried automatically)" if isinstance(error, TransportError) else ""
    return Verdict(
        word=word,
        why=" ".join(f"{error.code}: {error.message}".split()) + retried,
        next_action=error.next_action,
        ids=ids or {},
    )


def refusal_of(result: StepResult) -> WindsockError | None:
    """Return the error with which a task must end for a record that says no, or ``None``."""
    record, verdict = result.record, verdict_of(result)
    if isinstance(record, r.ValidationReport) and record.status is not r.Status.PASS:
        return DataRefusedError(
            f"validation: {verdict.why}", code="WS-DATA-003", next_action=verdict.next_action
        )
    if isinstance(record, r.GateDecision) and record.outcome is r.Outcome.REFUSE:
        return GateRefusedError(verdict.why, next_action=verdict.next_action)
    if isinstance(record, r.Approval) and record.status is r.Status.FAIL:
        return ApprovalRefusedError(
            verdict.why, code="WS-APPROVAL-002", next_action="train and register a new version"
        )
    if isinstance(record, r.DriftReport | r.PerformanceReport) and record.status is r.Status.ERROR:
        return MonitoringError(verdict.why, next_action=verdict.next_action)
    if isinstance(record, r.HousekeepingReport) and record.is_transport_only:
        return TransportError(verdict.why, code="WS-HOUSEKEEPING-003", next_action=verdict.next_action)
    if isinstance(record, r.HousekeepingReport) and verdict.word == "FAIL":
        return VerdictError(verdict.why, code="WS-HOUSEKEEPING-001", next_action=verdict.next_action)
    return None
