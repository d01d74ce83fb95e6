"""``judge_rollout``: look at the rollout that is under way, decide, and keep the decision."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from windsock.exceptions import VerdictError, WindsockError
from windsock.ports import Ports
from windsock.records import (
    ENDS,
    JudgeRolloutInput,
    LedgerRow,
    Rollout,
    RolloutAction,
    RolloutDecision,
    running_rollout,
    shortened,
)
from windsock.rollout.decision import decide
from windsock.rollout.evidence import evidence_bytes, evidence_uri
from windsock.rollout.look_due import is_pending
from windsock.rollout.report import bare, course_to, keep_report, page

log = logging.getLogger(__name__)

TAKES_AWAY = frozenset({RolloutAction.DROP, RolloutAction.KEEP, RolloutAction.ROLL_BACK})
"""What is decided even where earlier decisions are missing: the champion gets more traffic."""


def judge_rollout(step: JudgeRolloutInput, ports: Ports, key: str) -> RolloutDecision:
    """Decide on what was seen of a rollout's present step.

    The decision is kept before anything is told: a report that fails changes nothing. What was decided and
    not carried out yet is returned again, unchanged; a promotion is judged again at each look.

    :raises VerdictError: if no rollout is under way.
    :raises RolloutRefusedError: if decisions of it are missing and this one gives traffic.
    :raises StorageError: if the prediction log cannot be read, or the evidence pack not be written.
    :raises SourceUnavailableError: if the table of the outcomes does not answer.
    :raises MonitoringError: if the table or file of the outcomes is not there or lacks a column.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    rows = ports.ledger.rows(step.spec.name)
    rollout = running_rollout(rows)
    if rollout is None:
        raise VerdictError(
            f"{step.spec.name}: no rollout is under way, so there is nothing to judge",
            code="WS-ROLLOUT-030",
            next_action="Nothing to do; a version that waits is started by the next run of "
            f"{step.spec.name}__ab_rollout.",
        )
    last = ports.rollouts.last(rollout.model, rollout.experiment)
    missing = ports.rollouts.missing(rollout.model, rollout.experiment)
    if last is not None and _stands(last, rollout):
        _require_whole(rollout, missing, last)
        return _again(step, ports, rollout, last, rows)
    decision = decide(
        rollout,
        ports.events.totals(rollout, now=ports.now()),
        _planned(ports, rollout),
        number=last.number + 1 if last else 1,
        now=ports.now(),
    )
    _require_whole(rollout, missing, decision)
    if step.dry_run:
        return decision.replace(dry_run=True)
    course = course_to(ports, decision)
    report = page(ports, rollout, course)
    made = _with_evidence(ports, rollout, last, course, rows, report)
    standing = ports.rollouts.add_decision(made)
    is_ours = standing.model_dump(mode="json") == made.model_dump(mode="json")
    if not is_ours:
        report = page(ports, rollout, course_to(ports, standing))
    uri = keep_report(ports, rollout, standing, rows, report)
    log.debug("%s: %s %s: %s", rollout.model, rollout.experiment, standing.action.value, standing.reason)
    return standing.replace(unchanged=not is_ours, report_uri=uri)


def _require_whole(rollout: Rollout, missing: Sequence[int], decision: RolloutDecision) -> None:
    """See that looks which are missing would not have said otherwise."""
    if missing and decision.action not in TAKES_AWAY:
        raise shortened(rollout.model, rollout.experiment, missing)


def _planned(ports: Ports, rollout: Rollout) -> Sequence[RolloutDecision]:
    """Return the looks that the next planned one depends on; there are none without a horizon."""
    return ports.rollouts.planned(rollout.model, rollout.experiment) if rollout.plan.horizon else ()


def _stands(last: RolloutDecision, rollout: Rollout) -> bool:
    """Return whether the last decision is still to be carried out; a person's pause takes an advance back."""
    return is_pending(last, rollout) and (
        last.action is not RolloutAction.ADVANCE or rollout.paused_by is None
    )


def _again(
    step: JudgeRolloutInput,
    ports: Ports,
    rollout: Rollout,
    last: RolloutDecision,
    rows: Sequence[LedgerRow],
) -> RolloutDecision:
    """Return the last decision once more, and see that its report was written."""
    if step.dry_run:
        return last.replace(unchanged=True, dry_run=True)
    uri = keep_report(ports, rollout, last, rows, page(ports, rollout, course_to(ports, last)))
    return last.replace(unchanged=True, report_uri=uri)


def _with_evidence(
    ports: Ports,
    rollout: Rollout,
    last: RolloutDecision | None,
    course: Sequence[RolloutDecision],
    rows: Sequence[LedgerRow],
    report: bytes | None,
) -> RolloutDecision:
    """Return the course's last decision with the digest of its signed evidence pack, where it ends it.

    A promotion that the look before decided too, and that waits for a person, has a short pack: the decision,
    and the name of the pack before, back to the first, which holds the rest. So each decision has a pack that
    is signed for it, and a question of three days does not fill the disk.

    A storage or a key that is away holds up a promotion, never a roll back.
    """
    decision = course[-1]
    if decision.action not in ENDS:
        return decision
    before = last if last is not None and _is_repeated(decision, last) else None
    uri = evidence_uri(bare(decision))
    try:
        digest = ports.bundles.put_document(uri, evidence_bytes(rollout, course, rows, report, before=before))
    except WindsockError as error:
        if decision.action is not RolloutAction.ROLL_BACK:
            raise
        log.warning(
            "WS-ROLLOUT-081: %s %s is rolled back without an evidence pack (%s)",
            rollout.model,
            rollout.experiment,
            error.code,
        )
        return decision
    return decision.replace(evidence_digest=digest, evidence_uri=uri)


def _is_repeated(decision: RolloutDecision, last: RolloutDecision) -> bool:
    """Return whether a promotion says what the look before said, of the same bundles at the same step."""
    if last.evidence_digest is None:
        return False
    about, before = (
        (
            one.action,
            one.step,
            one.share,
            one.digest,
            one.champion_version,
            [other.withdrawn for other in one.looks],
        )
        for one in (decision, last)
    )
    return decision.action is RolloutAction.PROMOTE and about == before
