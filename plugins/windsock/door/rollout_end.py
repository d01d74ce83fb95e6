"""The end of a rollout without promotion, and what becomes of a promotion that was begun and not finished."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from windsock.door.addresses import with_proved_addresses
from windsock.door.route import append_unless_routed, plan_serving, require_golden, switch_route
from windsock.ports import Ports
from windsock.records import (
    Digest,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    RollBackInput,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RunContext,
    champion_by,
    champion_line,
    champion_of,
    ending_of,
    last_routing_row,
    open_switch,
)

log = logging.getLogger(__name__)


class Turn(NamedTuple):
    """What a roll back turns.

    :param bad: digest of the version that stops serving.
    :param version: its version.
    :param target: the commit of the champion that serves again.
    """

    bad: Digest
    version: str
    target: LedgerRow


def write_roll_back(
    step: RollBackInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    turn: Turn,
    rollout: Rollout | None = None,
) -> LedgerRow:
    """Write the roll back; the champion of a rollout serves already and is not asked first.

    :param rollout: the one that it ends; its row names the decision that asked for it, and its evidence.
    :raises StaleEpochError: if another routing change came first.
    """
    champion = champion_by(turn.target)
    state = ports.router.state(step.model)
    if rollout is None and state and (slot := state.plan.slot(champion.digest)):
        require_golden(ports, step.model, slot)
    plan = with_proved_addresses(ports, plan_serving(champion, state, rows))
    ends = {
        "experiment": rollout.experiment if rollout else None,
        "outcome": step.outcome,
        "decision": step.decision,
        "decision_evidence": step.decision_evidence,
    }
    others = [one.digest for one in rollout.others] if rollout else []
    entry = LedgerEntry(
        model=step.model,
        action=LedgerAction.ROLL_BACK,
        epoch=plan.epoch,
        version=champion.version,
        digest=champion.digest,
        actor=step.run.actor,
        body={
            "bundle_uri": champion.bundle_uri,
            "evidence_digest": turn.target.body.get("evidence_digest"),
            # What it replaced when it was promoted: a retrain on the same data finds that evaluation again.
            "replaced": champion.replaced,
            "rolled_back": turn.bad,
            "rolled_back_version": rollout.versions if rollout else turn.version,
            **(ends if rollout else {}),
            **({"rolled_back_others": others} if others else {}),
            "reason": step.reason,
            "requester": step.run.requested_by,
            "run": step.run.named,
            "plan": plan.row_body(),
        },
    )
    return append_unless_routed(ports.ledger, entry, seen=last_routing_row(rows))


def end_rollout(step: RollBackInput, ports: Ports, rows: Sequence[LedgerRow], rollout: Rollout) -> LedgerRow:
    """Give the champion all traffic and hold the challenger; an open promotion of it is stopped.

    :returns: the commit.
    :raises StaleEpochError: if another routing change came first.
    """
    switch = open_switch(rows)
    if switch is None or switch.action is not LedgerAction.ROLL_BACK:
        turn = Turn(rollout.digest, rollout.version, champion_line(rows)[-1])
        switch = write_roll_back(step, ports, rows, turn, rollout)
    return switch_route(ports, switch, champion=champion_of(rows), actor=step.run.actor)


def _proves(last: RolloutDecision, digest: Digest) -> bool:
    """Return whether a look promotes a version, or would where another one is better still."""
    proved = {one.digest for one in last.looks if one.action is RolloutAction.PROMOTE} | {last.digest}
    return last.action is RolloutAction.PROMOTE and digest in proved


def finish_switch(
    ports: Ports, rows: Sequence[LedgerRow], switch: LedgerRow, rollout: Rollout, *, run: RunContext
) -> LedgerRow:
    """Bring the open switch of a rollout to its end; a promotion only while the last look still asks for it.

    Where a later look came to something else before the promotion was finished, the rollout ends by a roll
    back instead: what that look says goes before what an earlier one began.

    :param switch: the open intent or roll back.
    :returns: the commit.
    :raises DeploymentRefusedError: if the new slot does not answer; the champion serves again by then.
    :raises StaleEpochError: if another routing change came first.
    """
    if switch.action is not LedgerAction.INTEND:
        return switch_route(ports, switch, champion=champion_of(rows), actor=run.actor)
    last = ports.rollouts.last(rollout.model, rollout.experiment)
    missing = ports.rollouts.missing(rollout.model, rollout.experiment)
    if last is not None and _proves(last, switch.digest) and not missing:
        return switch_route(ports, switch, champion=champion_of(rows), actor=run.actor)
    about = "its promotion was begun and not finished"
    if last is None or missing:
        gone = f"{len(missing)} of its looks are missing" if missing else "no look is kept"
        name, why = rollout.experiment, f"{about}, and {gone}"
        ending = RollBackInput(model=rollout.model, experiment=name, outcome="kept", reason=why, run=run)
    else:
        says = f"look {last.number} says {last.action.value}: {last.reason}"
        ending = ending_of(last, run=run, reason=f"{about}; {says}")
    log.info("%s: rollout %s is ended: %s", rollout.model, rollout.experiment, ending.reason)
    return end_rollout(ending, ports, rows, rollout)


__all__ = ["Turn", "end_rollout", "finish_switch", "write_roll_back"]
