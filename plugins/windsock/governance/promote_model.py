"""``promote_model``: make a version the champion; nothing else does."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from windsock.door import (
    append_unless_routed,
    champion_entry,
    current_route,
    evidence_of,
    finish_abandoned,
    finish_switch,
    lay_route,
    looked_at_anew,
    mirror_champion,
    plan_serving,
    require_golden,
    require_policy,
    require_registered,
    switch_route,
)
from windsock.door.approvals import answers_of, needed_for, one_more, requesters
from windsock.door.rollout_close import close_rollout
from windsock.exceptions import ApprovalRefusedError, GateRefusedError, StaleEpochError
from windsock.governance.promoted_baseline import baseline_body
from windsock.governance.rollout_promotion import (
    let_wait,
    not_moved,
    over_by_now,
    require_proof,
    require_rollout_approval,
    standing_slot,
    waits_already,
)
from windsock.ports import Ports
from windsock.records import (
    BASIS_POINTS,
    Champion,
    FallbackAnswer,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    PromoteModelInput,
    Promotion,
    RoutePlan,
    RouteState,
    SlotPlan,
    broken,
    champion_line,
    champion_of,
    decision_digest,
    has_met,
    last_routing_row,
    next_epoch,
    open_switch,
    rollout_route,
    running_rollout,
    was_rolled_back,
)

log = logging.getLogger(__name__)

BETTER_THAN_BROKEN = (
    "%s: version %s is better than broken: performance has been lost since %s UTC, and to beat the champion "
    "of that time is no recovery; the baseline stays as it is"
)


def promote_model(step: PromoteModelInput, ports: Ports, key: str) -> Promotion:
    """Give a registered and approved version all traffic and make it the champion by the ledger.

    Where a champion serves and the spec asks for a rollout, the version waits for it instead; with
    ``experiment`` it is promoted because that rollout has proved it.

    :raises GateRefusedError: if the ledger does not know the version, it never met the present champion, or
        today's policy asks for more than its evidence proves.
    :raises ApprovalRefusedError: if the ledger lacks the approvals for this very version and digest.
    :raises RolloutRefusedError: if the rollout has not proved the version.
    :raises DeploymentRefusedError: if the version does not answer its golden predictions.
    :raises StaleEpochError: if another routing change came first.
    :raises VerdictError: if the ledger's hash chain is broken.
    """
    name = step.spec.name
    rows = ports.ledger.rows(name)
    registered = require_registered(rows, step.version)
    pack = evidence_of(ports, registered)
    champion = champion_of(rows)
    if champion and champion.digest == step.version.digest and step.experiment is None:
        return _already_champion(step, ports, rows, champion)
    if step.experiment is not None:
        return _promote_proved(step, ports, registered, pack)
    if was_rolled_back(rows, step.version.digest) and not step.force:
        why = f"version {step.version.version} was rolled back and is held"
        return not_moved(step, rows, why, advice="Run with force to promote it all the same", held=True)
    intent = _own_open_intent(step, rows)
    waits = champion is not None and step.spec.rollout.strategy != "direct" and intent is None
    if waits and (waiting := waits_already(step, rows)) is not None:
        return waiting
    _require_opponent(rows, registered, champion)
    if intent is None:
        require_policy(step.spec, pack, registered, ports)
    approvers = _require_approvals(step, ports, rows, registered)
    finish_abandoned(ports, last_routing_row(rows), step.version.digest)
    if champion is not None and waits:
        return let_wait(step, ports, rows, champion, approvers)
    if intent is None:
        told = baseline_body(ports, rows, pack, champion)
        intent = _intend(step, ports, rows, champion, ports.router.state(name), approved_by=approvers, **told)
    return _switch(step, ports, intent, champion)


def _promote_proved(
    step: PromoteModelInput, ports: Ports, registered: LedgerRow, pack: Mapping[str, Any]
) -> Promotion:
    """Promote the version that a rollout has proved; a deployment that comes first holds nothing up."""
    done = looked_at_anew(lambda: _try_proved(step, ports, registered, pack), model=step.spec.name)
    return done.replace(follows=close_rollout(ports, step.spec.name, str(step.experiment)))


def _try_proved(
    step: PromoteModelInput, ports: Ports, registered: LedgerRow, pack: Mapping[str, Any]
) -> Promotion:
    """Write the intent, or go on with the one that was written, and carry it out."""
    rows = ports.ledger.rows(step.spec.name)
    champion = champion_of(rows)
    if champion and champion.digest == step.version.digest:
        return _already_champion(step, ports, rows, champion)
    finish_abandoned(ports, last_routing_row(rows), step.version.digest)
    if (over := over_by_now(step, rows)) is not None:
        return over
    rollout, switch = running_rollout(rows), open_switch(rows)
    if rollout is None:
        raise StaleEpochError(f"{step.spec.name}: rollout {step.experiment} ended while it was looked at")
    if switch is None:
        decision = require_proof(step, ports, rows, rollout)
        _require_opponent(rows, registered, champion)
        require_policy(step.spec, pack, registered, ports)
        approvers = _require_approvals(step, ports, rows, registered)
        proof = {
            **baseline_body(ports, rows, pack, champion),
            "experiment": rollout.experiment,
            "decision": decision_digest(decision),
            "decision_evidence": decision.evidence_digest,
            "promotion_approved_by": list(require_rollout_approval(step, rows, registered, rollout)),
            "reason": f"{rollout.experiment}: {decision.reason}",
        }
        state = current_route(ports, rows)
        intent = _intend(step, ports, rows, champion, state, approved_by=approvers, **proof)
        return _switch(step, ports, intent, champion)
    commit = finish_switch(ports, rows, switch, rollout, run=step.run)
    if commit.digest == step.version.digest:
        return _promoted(ports, commit, champion)
    rows = ports.ledger.rows(step.spec.name)
    return not_moved(step, rows, f"rollout {rollout.experiment} is over: {commit.body['reason']}")


def _switch(step: PromoteModelInput, ports: Ports, intent: LedgerRow, champion: Champion | None) -> Promotion:
    return _promoted(ports, switch_route(ports, intent, champion=champion, actor=step.run.actor), champion)


def _promoted(ports: Ports, commit: LedgerRow, champion: Champion | None) -> Promotion:
    lost_since = commit.body.get("better_than_broken")
    log.debug("%s: version %s is champion, epoch %d", commit.model, commit.version, commit.epoch)
    if lost_since is not None:
        log.warning(BETTER_THAN_BROKEN, commit.model, commit.version, lost_since[:16].replace("T", " "))
    return Promotion(
        model=commit.model,
        version=commit.version,
        digest=commit.digest,
        epoch=commit.epoch,
        previous_version=champion.version if champion else None,
        alias_mirrored=mirror_champion(ports, commit.model, commit.version),
        better_than_broken=lost_since,
        committed_at=commit.at,
    )


def _require_opponent(rows: Sequence[LedgerRow], registered: LedgerRow, champion: Champion | None) -> None:
    """See that the champion to be replaced is the one that the version was judged against."""
    if not has_met(rows, registered, champion.digest if champion else None):
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
    if not (view := ports.ledger.read(name)).is_whole:
        raise broken(name, view)
    needed = needed_for(step.spec, registered, step.run)
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
            f"digest, without the person who triggered the run{one_more([registered], step.run)}"
        )
    return answers.approvers


def _own_open_intent(step: PromoteModelInput, rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the intent that an earlier try of this promotion left open."""
    row = open_switch(rows)
    if row is None or row.action is not LedgerAction.INTEND or row.digest != step.version.digest:
        return None
    return row if row.body.get("experiment") == step.experiment else None


def _intend(
    step: PromoteModelInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    champion: Champion | None,
    state: RouteState | None,
    *,
    approved_by: Sequence[str],
    **proof: Any,
) -> LedgerRow:
    """Write the intent.

    :param state: what the server serves.
    :param proof: what the row keeps of the baseline, and of the rollout that has proved the version.
    """
    name, slot = step.spec.name, standing_slot(step, state)
    require_golden(ports, name, slot)
    slots = list(state.plan.slots) if state else []
    if champion and all(known.digest != champion.digest for known in slots):
        slots.append(SlotPlan.idle(champion))
    epoch = next_epoch(rows, state.plan.epoch if state else 0)
    plan = RoutePlan.serving(
        slot.digest,
        model=name,
        epoch=epoch,
        slots=slots,
        salt=state.plan.salt if state else name,
        fallback=state.plan.fallback if state else FallbackAnswer(),
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
            "approved_by": list(approved_by),
            "forced": step.force,
            **proof,
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
        better_than_broken=line[-1].body.get("better_than_broken"),
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
    """Bring the champion's route back to a server that lost it, or that serves what was never committed.

    While a rollout is under way, that route is its split.
    """
    last, rollout = last_routing_row(rows), running_rollout(rows)
    if rollout is not None and open_switch(rows) is None:
        current_route(ports, rows)
        return
    if last and _gives_all(last, champion.digest) and (state is None or state.plan.epoch < last.epoch):
        row = last
    else:
        plan = plan_serving(champion, state, rows)
        if rollout is not None:
            split = rollout_route(rows, rollout)
            plan = split.replace(epoch=plan.epoch)
        entry = champion_entry(champion, plan, step.run, "the champion's route is restored")
        row = append_unless_routed(ports.ledger, entry, seen=last)
    restored = lay_route(ports, row)
    log.info("%s: the route of champion %s is restored, epoch %d", row.model, champion.version, row.epoch)
    if slot := restored.plan.slot(champion.digest):
        require_golden(ports, row.model, slot)


def _gives_all(row: LedgerRow, digest: str) -> bool:
    slot = RoutePlan.of_row(row).slot(digest)
    return slot is not None and slot.share == BASIS_POINTS
