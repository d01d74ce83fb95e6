"""``approve_model``: write a person's answer about a version to the ledger, and say whether it is enough."""

from __future__ import annotations

import logging

from windsock.exceptions import ApprovalRefusedError, StaleEpochError
from windsock.governance.approvals import answer_rows, answers_of, needed_approvals, same_person
from windsock.ports import Ports
from windsock.records import (
    Approval,
    ApproveModelInput,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    Status,
)

log = logging.getLogger(__name__)

ACTIONS = {"approve": LedgerAction.APPROVE, "reject": LedgerAction.REJECT}
ATTEMPTS = 20


def approve_model(step: ApproveModelInput, ports: Ports, key: str) -> Approval:
    """Record the answer, if there is one, and return what the people have said so far.

    :raises ApprovalRefusedError: if nobody answered, or a person who may not.
    """
    if step.answer is not None:
        _record(step, ports)
    return _state(step, ports.ledger.rows(step.spec.name))


def _record(step: ApproveModelInput, ports: Ports) -> None:
    approver = _permitted_approver(step)
    for _ in range(ATTEMPTS):
        rows = ports.ledger.rows(step.spec.name)
        if _is_answered(step, rows, approver):
            return
        entry = LedgerEntry(
            model=step.spec.name,
            action=ACTIONS[str(step.answer)],
            epoch=0,
            version=step.version.version,
            digest=step.version.digest,
            actor=approver,
            body={
                "evidence_digest": step.version.evidence_digest,
                "answered_at": _moment(step),
                "requester": step.run.requested_by,
            },
        )
        try:
            ports.ledger.append(entry, after_seq=len(rows))
        except StaleEpochError:
            continue
        log.info("%s version %s: %s by %s", step.spec.name, step.version.version, step.answer, approver)
        return
    raise StaleEpochError(f"{step.spec.name}: {ATTEMPTS} tries to write an answer met another writer each")


def _permitted_approver(step: ApproveModelInput) -> str:
    approver = (step.approver or "").strip()
    named = f"{step.spec.name} version {step.version.version}"
    if not approver:
        raise ApprovalRefusedError(
            f"{named}: the answer {step.answer} names no person; a timeout means no",
            code="WS-APPROVAL-003",
            next_action="Clear this task to ask again; the answer must come from a signed-in person.",
        )
    if step.answer == "approve" and same_person(approver, step.run.requested_by):
        raise ApprovalRefusedError(
            f"{named}: {approver} triggered this run and cannot approve its result",
            code="WS-APPROVAL-004",
        )
    return approver


def _is_answered(step: ApproveModelInput, rows: tuple[LedgerRow, ...], approver: str) -> bool:
    """Return whether this very answer stands in the ledger already."""
    own = [row for row in answer_rows(rows, step.version) if same_person(row.actor, approver)]
    if any(row.action is LedgerAction.REJECT for row in own):
        if step.answer == "approve":
            raise ApprovalRefusedError(
                f"{step.spec.name} version {step.version.version}: {approver} has rejected it; "
                "a rejection stands",
                code="WS-APPROVAL-002",
                next_action="Train and register a new version.",
            )
        return True
    same = [row for row in own if row.action is ACTIONS[str(step.answer)]]
    if not same:
        return False
    enough = _state(step, rows).status is Status.PASS
    if not enough and all(row.body.get("answered_at") != _moment(step) for row in same):
        raise ApprovalRefusedError(
            f"{step.spec.name} version {step.version.version}: {approver} has approved it already; "
            f"{needed_approvals(step.spec.model.tier, step.version.asks)} different people are needed",
            code="WS-APPROVAL-005",
        )
    return True


def _moment(step: ApproveModelInput) -> str | None:
    return step.answered_at.isoformat() if step.answered_at else None


def _state(step: ApproveModelInput, rows: tuple[LedgerRow, ...]) -> Approval:
    needed = needed_approvals(step.spec.model.tier, step.version.asks)
    answers = answers_of(rows, step.version, requester=step.run.requested_by)
    if answers.rejecters:
        status, reason = Status.FAIL, f"rejected by {', '.join(answers.rejecters)}"
    elif len(answers.approvers) >= needed:
        status = Status.PASS
        reason = f"{len(answers.approvers)} of {needed} approvals" if needed else "no approval is needed"
    else:
        status, reason = Status.INSUFFICIENT, f"{len(answers.approvers)} of {needed} approvals"
    return Approval(
        model=step.spec.name,
        version=step.version.version,
        digest=step.version.digest,
        status=status,
        needed=needed,
        approvers=answers.approvers,
        reason=reason,
    )
