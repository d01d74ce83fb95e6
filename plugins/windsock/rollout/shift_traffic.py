"""``shift_traffic``: begin the next step of a rollout, or drop challengers, as a decision asks."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from windsock.door import append_unless_routed, looked_at_anew
from windsock.ports import Ports
from windsock.records import (
    LedgerRow,
    Rollout,
    RolloutAction,
    RolloutDecision,
    ShiftTrafficInput,
    TrafficShift,
    decision_digest,
    last_routing_row,
    next_epoch,
    open_switch,
    rollout_route,
    running_rollout,
    shortened,
)
from windsock.rollout.splits import lay_split, settle, split_entry, step_words
from windsock.texts import numbered

log = logging.getLogger(__name__)


def shift_traffic(step: ShiftTrafficInput, ports: Ports, key: str) -> TrafficShift:
    """Give the challengers the share of the next step, or drop some, if the decision still asks for it.

    A challenger that is dropped keeps its units, and the champion answers them: so no unit moves to another
    arm, and the counts of the others go on.

    A decision that does not stand any more changes nothing and says why: the rollout is over or further, it
    is paused, or a later look decided otherwise. A step that a killed task began is brought to the server.

    :raises DeploymentRefusedError: if no challenger answers its golden predictions; the champion serves by
        then, and the rollout is over.
    :raises ServerUnavailableError: if the server does not answer.
    :raises StaleEpochError: if other changes of the traffic came first, each time it was tried.
    """
    return looked_at_anew(lambda: _shift(step, ports), model=step.spec.name)


def _shift(step: ShiftTrafficInput, ports: Ports) -> TrafficShift:
    rows: Sequence[LedgerRow] = ports.ledger.rows(step.spec.name)
    rollout = running_rollout(rows)
    if rollout is None or rollout.experiment != step.decision.experiment:
        return _left(step, ports, rows, f"rollout {step.decision.experiment} is over")
    if open_switch(rows) is None:
        settle(ports, rows, run=step.run)
    if (reason := _stands_against(step, ports, rows, rollout)) is not None:
        return _left(step, ports, rows, reason, rollout)
    state = ports.router.state(step.spec.name)
    epoch = next_epoch(rows, state.plan.epoch if state else 0)
    further, reason = _further(step, rollout, epoch)
    told = {"decision": decision_digest(step.decision)}
    if step.decision.action is RolloutAction.DROP:
        told["reason"] = f"{rollout.experiment}: {reason}"
    entry = split_entry(further, rollout_route(rows, rollout), step.run, epoch=epoch, **told)
    row = append_unless_routed(ports.ledger, entry, seen=last_routing_row(rows))
    lay_split(ports, row, further, run=step.run)
    log.debug("%s: rollout %s: %s, epoch %d", row.model, further.experiment, reason, epoch)
    return TrafficShift(
        model=row.model,
        experiment=further.experiment,
        version=step.decision.version,
        step=further.step,
        share=further.share,
        epoch=epoch,
        reason=reason,
        shifted_at=row.at,
    )


def _further(step: ShiftTrafficInput, rollout: Rollout, epoch: int) -> tuple[Rollout, str]:
    """Return the rollout as the decision wants it, and in words what it has become."""
    if step.decision.action is RolloutAction.ADVANCE:
        further = rollout.replace(step=rollout.step + 1, step_epoch=epoch)
        return further, step_words(further)
    active = {one.digest for one in rollout.active}
    dropped = [one for one in step.decision.dropped if one.digest in active]
    verb, whose = ("are", "their") if len(dropped) > 1 else ("is", "its")
    versions = numbered([one.version for one in dropped])
    rest = rollout.replace(withdrawn=(*rollout.withdrawn, *(one.digest for one in dropped)))
    return rest, f"{versions} {verb} dropped; the champion answers {whose} units"


def _stands_against(
    step: ShiftTrafficInput, ports: Ports, rows: Sequence[LedgerRow], rollout: Rollout
) -> str | None:
    """Return why the decision moves nothing, or ``None``."""
    decision = step.decision
    if decision.action not in (RolloutAction.ADVANCE, RolloutAction.DROP) or decision.dry_run:
        return f"decision {decision.number} moves nothing: {decision.action.value}"
    if rollout.step != decision.step:
        return f"{step_words(rollout)} has begun already"
    if open_switch(rows) is not None:
        return "its promotion or roll back is under way"
    if (reason := _hinders(decision, rollout)) is not None:
        return reason
    last = ports.rollouts.last(rollout.model, rollout.experiment)
    if last is None or decision_digest(last) != decision_digest(decision):
        known = f"the last one is {last.number}: {last.action.value}" if last else "there is none"
        return f"decision {decision.number} does not stand; {known}"
    missing = ports.rollouts.missing(rollout.model, rollout.experiment)
    if missing and decision.action is RolloutAction.ADVANCE:
        raise shortened(rollout.model, rollout.experiment, missing)
    return None


def _hinders(decision: RolloutDecision, rollout: Rollout) -> str | None:
    """Return what of the rollout's present state stands against a decision, or ``None``."""
    if decision.action is RolloutAction.DROP:
        active = {one.digest for one in rollout.active}
        left = active & {one.digest for one in decision.dropped}
        if not left:
            return "what it drops has been dropped already"
        return None if active - left else "no other challenger is left; the rollout ends by its next look"
    if rollout.paused_by is not None:
        return rollout.pause
    if rollout.is_last_step:
        return f"{step_words(rollout)} is the last one; what follows is the promotion"
    return None


def _left(
    step: ShiftTrafficInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    reason: str,
    rollout: Rollout | None = None,
) -> TrafficShift:
    return TrafficShift(
        model=step.spec.name,
        experiment=step.decision.experiment,
        version=step.decision.version,
        step=rollout.step if rollout else step.decision.step,
        share=rollout.share if rollout else 0,
        epoch=rollout.step_epoch if rollout else next_epoch(rows) - 1,
        unchanged=True,
        reason=reason,
        shifted_at=rollout.step_since if rollout else ports.now(),
    )


__all__ = ["shift_traffic"]
