"""``approve_model``: write a person's answer about a version to the ledger, and say whether it is enough."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from windsock.door import append_once, require_registered
from windsock.door.approvals import (
    ONE_MORE,
    answer_rows,
    answerer,
    answers_of,
    hidden_in,
    needed_for,
    needed_for_promotion,
    one_more,
    requesters,
    same_person,
    starters,
)
from windsock.exceptions import ApprovalRefusedError
from windsock.ports import Ports
from windsock.records import (
    SCHEDULER,
    Approval,
    ApproveModelInput,
    GivenApproval,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    Status,
    running_rollout,
)

log = logging.getLogger(__name__)

ACTIONS = {"approve": LedgerAction.APPROVE, "reject": LedgerAction.REJECT}


def approve_model(step: ApproveModelInput, ports: Ports, key: str) -> Approval:
    """Record the answer, if there is one, and return what the people have said so far.

    With ``experiment`` it is about the promotion that a rollout has proved: one person must say yes who
    asked neither for the rollout nor for what was registered.

    :raises GateRefusedError: if the ledger does not know the version.
    :raises ApprovalRefusedError: if nobody answered, or a person who may not.
    """
    rows = ports.ledger.rows(step.spec.name)
    registered = require_registered(rows, step.version)
    if step.answer is not None:
        _require_under_way(step, rows)
        _record(step, ports, rows, registered)
    return _state(step, ports.ledger.rows(step.spec.name), registered)


def _require_under_way(step: ApproveModelInput, rows: Sequence[LedgerRow]) -> None:
    running = running_rollout(rows)
    if step.experiment is not None and (running is None or running.experiment != step.experiment):
        raise ApprovalRefusedError(
            f"{step.spec.name} version {step.version.version}: rollout {step.experiment} is over; "
            "the answer changes nothing",
            code="WS-ROLLOUT-091",
            next_action="Nothing to do; `windsock rollout status NAME` tells how it ended.",
        )


def _needed(step: ApproveModelInput, rows: Sequence[LedgerRow], registered: LedgerRow) -> int:
    if step.experiment is None:
        return needed_for(step.spec, registered, step.run)
    return needed_for_promotion(rows, step.experiment, step.run)


def _barred(
    step: ApproveModelInput, rows: Sequence[LedgerRow], registered: LedgerRow
) -> tuple[str | None, ...]:
    return (*requesters(registered, step.run), *starters(rows, step.experiment))


def _record(step: ApproveModelInput, ports: Ports, rows: Sequence[LedgerRow], registered: LedgerRow) -> None:
    approver = _permitted_approver(step, rows, registered)
    entry = LedgerEntry(
        model=step.spec.name,
        action=ACTIONS[str(step.answer)],
        epoch=0,
        version=step.version.version,
        digest=step.version.digest,
        actor=approver,
        body={
            "approver_id": step.approver_id,
            "evidence_digest": step.version.evidence_digest,
            "answered_at": _moment(step),
            "requester": step.run.requested_by,
            **({"experiment": step.experiment} if step.experiment else {}),
        },
    )
    append_once(ports.ledger, entry, standing=lambda rows: _own_answer(step, rows, entry, registered))
    log.debug("%s version %s: %s by %s", step.spec.name, step.version.version, step.answer, approver)


def _permitted_approver(step: ApproveModelInput, rows: Sequence[LedgerRow], registered: LedgerRow) -> str:
    approver = (step.approver or "").strip()
    named = f"{step.spec.name} version {step.version.version}"
    if not approver:
        raise ApprovalRefusedError(
            f"{named}: the answer {step.answer} names no person; a timeout means no",
            code="WS-APPROVAL-003",
            next_action="Clear this task to ask again; the answer must come from a signed-in person.",
        )
    if hidden := hidden_in(step.approver, step.approver_id):
        raise ApprovalRefusedError(
            f"{named}: the name or id of who answered holds a character that nobody sees ({hidden}); "
            "such a name may be another person's",
            code="WS-APPROVAL-007",
            next_action="Let a person answer whose user name and id hold visible characters only.",
        )
    if step.answer == "approve" and same_person(
        (approver, step.approver_id), _barred(step, rows, registered)
    ):
        raise ApprovalRefusedError(
            f"{named}: {approver} triggered the run and cannot approve its result",
            code="WS-APPROVAL-004",
        )
    return approver


def _own_answer(
    step: ApproveModelInput, rows: Sequence[LedgerRow], entry: LedgerEntry, registered: LedgerRow
) -> LedgerRow | None:
    """Return the row of this very answer, if it stands in the ledger already."""
    person = (entry.actor, step.approver_id)
    said = answer_rows(rows, step.version, experiment=step.experiment)
    own = [row for row in said if same_person(answerer(row), person)]
    rejected = next((row for row in own if row.action is LedgerAction.REJECT), None)
    if rejected is not None:
        if step.answer == "approve":
            raise ApprovalRefusedError(
                f"{step.spec.name} version {step.version.version}: {entry.actor} has rejected it; "
                "a rejection stands",
                code="WS-APPROVAL-002",
                next_action="Train and register a new version.",
            )
        return rejected
    same = [row for row in own if row.action is entry.action]
    if not same:
        return None
    enough = _state(step, rows, registered).status is Status.PASS
    if not enough and all(row.body.get("answered_at") != _moment(step) for row in same):
        raise ApprovalRefusedError(
            f"{step.spec.name} version {step.version.version}: {entry.actor} has approved it already; "
            f"{_needed(step, rows, registered)} different people are needed",
            code="WS-APPROVAL-005",
        )
    return same[0]


def _moment(step: ApproveModelInput) -> str | None:
    return step.answered_at.isoformat() if step.answered_at else None


def _state(step: ApproveModelInput, rows: Sequence[LedgerRow], registered: LedgerRow) -> Approval:
    needed = _needed(step, rows, registered)
    barred = _barred(step, rows, registered)
    answers = answers_of(rows, step.version, without=barred, experiment=step.experiment)
    if answers.rejecters:
        status, reason = Status.FAIL, f"rejected by {', '.join(answers.rejecters)}"
    elif len(answers.approvers) >= needed:
        status = Status.PASS
        reason = f"{len(answers.approvers)} of {needed} approvals" if needed else "no approval is needed"
    else:
        status = Status.INSUFFICIENT
        reason = f"{len(answers.approvers)} of {needed} approvals{_one_more(step, needed, registered)}"
    return Approval(
        model=step.spec.name,
        version=step.version.version,
        digest=step.version.digest,
        status=status,
        needed=needed,
        approvers=answers.approvers,
        reason=reason,
        barred=tuple(dict.fromkeys(person for person in barred if person and person != SCHEDULER)),
        given=_given(step, rows, answers.approvers),
    )


def _given(
    step: ApproveModelInput, rows: Sequence[LedgerRow], approvers: Sequence[str]
) -> tuple[GivenApproval, ...]:
    """Return when each of those who approved did so; a row of before times were kept has its own time."""
    said = answer_rows(rows, step.version, experiment=step.experiment)
    first: dict[str, GivenApproval] = {}
    for row in said:
        if row.action is LedgerAction.APPROVE:
            at = row.body.get("answered_at")
            first.setdefault(row.actor, GivenApproval(who=row.actor, at=at or row.at))
    return tuple(first[who] for who in approvers if who in first)


def _one_more(step: ApproveModelInput, needed: int, registered: LedgerRow) -> str:
    """Return why one approval more is needed, where it is."""
    if step.experiment is not None:
        return ONE_MORE if needed > 1 else ""
    return one_more([registered], step.run)
