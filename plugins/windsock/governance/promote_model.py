"""``promote_model``: make a version the champion; nothing else does."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from windsock.door import (
    append_unless_routed,
    finish_abandoned,
    lay_route,
    mirror_champion,
    plan_serving,
    require_golden,
    require_registered,
    switch_route,
)
from windsock.exceptions import (
    ApprovalRefusedError,
    DeploymentRefusedError,
    GateRefusedError,
    NotBuiltError,
    VerdictError,
)
from windsock.governance.approvals import answers_of, needed_for, requesters
from windsock.ports import Ports
from windsock.records import (
    BASIS_POINTS,
    Champion,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    PromoteModelInput,
    Promotion,
    RoutePlan,
    RouteState,
    SlotPlan,
    champion_line,
    champion_of,
    last_routing_row,
    next_epoch,
    open_switch,
    was_rolled_back,
)

log = logging.getLogger(__name__)


def promote_model(step: PromoteModelInput, ports: Ports, key: str) -> Promotion:
    """Give a registered and approved version all traffic and make it the champion by the ledger.

    :raises GateRefusedError: if the ledger does not know the version, or it never met the present champion.
    :raises NotBuiltError: if the spec asks for a rollout other than ``direct`` and a champion serves.
    :raises ApprovalRefusedError: if the ledger lacks the approvals for this very version and digest.
    :raises DeploymentRefusedError: if the version does not answer its golden predictions.
    :raises StaleEpochError: if another routing change came first.
    :raises VerdictError: if the ledger's hash chain is broken.
    """
    name = step.spec.name
    rows = ports.ledger.rows(name)
    registered = require_registered(rows, step.version)
    champion = champion_of(rows)
    if champion and champion.digest == step.version.digest:
        return _already_champion(step, ports, rows, champion)
    _require_direct(step, champion)
    if was_rolled_back(rows, step.version.digest) and not step.force:
        return _held_back(step, rows)
    _require_opponent(rows, registered, champion)
    approvers = _require_approvals(step, ports, rows, registered)
    finish_abandoned(ports, last_routing_row(rows), step.version.digest)
    intent = _own_open_intent(step, rows) or _intend(step, ports, rows, champion, approvers)
    commit = switch_route(ports, intent, champion=champion, actor=step.run.actor)
    log.info("%s: version %s is champion, epoch %d", name, commit.version, commit.epoch)
    return Promotion(
        model=name,
        version=commit.version,
        digest=commit.digest,
        epoch=commit.epoch,
        previous_version=champion.version if champion else None,
        alias_mirrored=mirror_champion(ports, name, commit.version),
        committed_at=commit.at,
    )


def _require_direct(step: PromoteModelInput, champion: Champion | None) -> None:
    strategy = step.spec.rollout.strategy
    if champion and strategy != "direct":
        raise NotBuiltError(
            f"{step.spec.name}: rollout.strategy {strategy} is not built yet; "
            f"version {champion.version} keeps serving",
            next_action="Write `rollout: {strategy: direct}` in the model's YAML file, then clear this task.",
        )


def _require_opponent(rows: Sequence[LedgerRow], registered: LedgerRow, champion: Champion | None) -> None:
    """See that the champion to be replaced is the one that the version was judged against.

    A version that was champion already may also take the place of the one that it replaced then.
    """
    commits = [row for row in rows if row.action is LedgerAction.COMMIT and row.digest == registered.digest]
    met = {registered.body.get("opponent"), *(row.body.get("replaced") for row in commits)}
    if (champion.digest if champion else None) not in met:
        raise GateRefusedError(
            f"{registered.model} version {registered.version} was judged against another champion than "
            f"{f'version {champion.version}' if champion else 'none'}, which serves by now",
            code="WS-GATE-011",
            next_action="Run the retrain DAG again, so that the model meets the present champion.",
        )


def _require_approvals(
    step: PromoteModelInput, ports: Ports, rows: Sequence[LedgerRow], registered: LedgerRow
) -> tuple[str, ...]:
    name, version = step.spec.name, step.version.version
    chain = ports.ledger.verify(name)
    if chain.broken_at is not None:
        raise VerdictError(
            f"the ledger of {name} is broken at row {chain.broken_at} of {chain.rows}; "
            "its approvals prove nothing",
            code="WS-LEDGER-002",
            next_action="Find out who changed the control database, and restore it from a backup.",
        )
    needed = needed_for(step.spec, registered)
    answers = answers_of(rows, step.version, without=requesters(registered, step.run))
    if answers.rejecters:
        raise ApprovalRefusedError(
            f"{name} version {version} was rejected by {', '.join(answers.rejecters)}",
            code="WS-APPROVAL-002",
            next_action="Train and register a new version.",
        )
    if len(answers.approvers) < needed:
        raise ApprovalRefusedError(
            f"{name} version {version} has {len(answers.approvers)} of {needed} approvals for this very "
            "digest, without the person who triggered the run"
        )
    return answers.approvers


def _own_open_intent(step: PromoteModelInput, rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the intent that an earlier try of this promotion left open."""
    row = open_switch(rows)
    ours = row and row.action is LedgerAction.INTEND and row.digest == step.version.digest
    return row if ours else None


def _intend(
    step: PromoteModelInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    champion: Champion | None,
    approvers: Sequence[str],
) -> LedgerRow:
    name = step.spec.name
    state = ports.router.state(name)
    slot = state.plan.slot(step.version.digest) if state else None
    if state is None or slot is None:
        raise DeploymentRefusedError(
            f"{name} version {step.version.version} stands in no slot of the server",
            code="WS-DEPLOYMENT-004",
            next_action="Deploy the version first: clear the deploy task, then this one.",
        )
    require_golden(ports, name, slot)
    slots = list(state.plan.slots)
    if champion and state.plan.slot(champion.digest) is None:
        slots.append(SlotPlan.idle(champion))
    epoch = next_epoch(rows)
    plan = RoutePlan.serving(
        slot.digest,
        model=name,
        epoch=epoch,
        slots=slots,
        salt=state.plan.salt,
        fallback=state.plan.fallback,
    )
    entry = LedgerEntry(
        model=name,
        action=LedgerAction.INTEND,
        epoch=epoch,
        version=slot.version,
        digest=slot.digest,
        actor=step.run.actor,
        body={
            "bundle_uri": slot.bundle_uri,
            "evidence_digest": step.version.evidence_digest,
            "replaced": champion.digest if champion else None,
            "requester": step.run.requested_by,
            "approved_by": list(approvers),
            "forced": step.force,
            "plan": plan.row_body(),
        },
    )
    return append_unless_routed(ports.ledger, entry, seen=last_routing_row(rows))


def _already_champion(
    step: PromoteModelInput, ports: Ports, rows: Sequence[LedgerRow], champion: Champion
) -> Promotion:
    state = ports.router.state(step.spec.name)
    slot = state.plan.slot(champion.digest) if state else None
    if slot is None or slot.share == 0:
        _restore(step, ports, rows, champion, state)
    line = champion_line(rows)
    return Promotion(
        model=step.spec.name,
        version=champion.version,
        digest=champion.digest,
        epoch=champion.epoch,
        previous_version=line[-2].version if len(line) > 1 else None,
        alias_mirrored=mirror_champion(ports, step.spec.name, champion.version),
        unchanged=True,
        reason=f"version {champion.version} is the champion already",
        committed_at=line[-1].at,
    )


def _restore(
    step: PromoteModelInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    champion: Champion,
    state: RouteState | None,
) -> None:
    """Bring the champion's route back to a server that lost it, or that serves what was never committed."""
    last = last_routing_row(rows)
    if last and _gives_all(last, champion.digest) and (state is None or state.plan.epoch < last.epoch):
        row = last
    else:
        plan = plan_serving(champion, state, rows)
        entry = LedgerEntry(
            model=champion.model,
            action=LedgerAction.DEPLOY,
            epoch=plan.epoch,
            version=champion.version,
            digest=champion.digest,
            actor=step.run.actor,
            body={
                "bundle_uri": champion.bundle_uri,
                "reason": "the champion's route is restored",
                "requester": step.run.requested_by,
                "plan": plan.row_body(),
            },
        )
        row = append_unless_routed(ports.ledger, entry, seen=last)
    restored = lay_route(ports, row)
    log.info("%s: the route of champion %s is restored, epoch %d", row.model, champion.version, row.epoch)
    if slot := restored.plan.slot(champion.digest):
        require_golden(ports, row.model, slot)


def _gives_all(row: LedgerRow, digest: str) -> bool:
    slot = RoutePlan.of_row(row).slot(digest)
    return slot is not None and slot.share == BASIS_POINTS


def _held_back(step: PromoteModelInput, rows: Sequence[LedgerRow]) -> Promotion:
    last = champion_line(rows)[-1]
    return Promotion(
        model=step.spec.name,
        version=step.version.version,
        digest=step.version.digest,
        epoch=last.epoch,
        previous_version=last.version,
        unchanged=True,
        reason=f"version {step.version.version} was rolled back and is held; "
        f"version {last.version} keeps serving. "
        "Run with force to promote it all the same",
        committed_at=last.at,
    )
