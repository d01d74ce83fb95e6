"""``steer_rollout``: pause or resume the rollout that is under way, or keep that a person is being asked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from windsock.door import append_once
from windsock.exceptions import RolloutRefusedError
from windsock.ports import Ports
from windsock.records import (
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    Rollout,
    RolloutState,
    SteerRolloutInput,
    open_switch,
    running_rollout,
    waiting_rows,
)
from windsock.rollout.hindrances import versions_of
from windsock.rollout.look_due import look_due

log = logging.getLogger(__name__)

ACTIONS = {"pause": LedgerAction.PAUSE, "resume": LedgerAction.RESUME, "ask": LedgerAction.ASK}


def steer_rollout(step: SteerRolloutInput, ports: Ports, key: str) -> RolloutState:
    """Write what a person, or a run that asks one, says about the rollout; what is so already stays.

    A question that another run asks and that is still open stands: a person is asked once at a time.

    :raises RolloutRefusedError: if no rollout is under way, or its promotion is.
    """
    rows = ports.ledger.rows(step.model)
    rollout = _running(step, rows)
    asked_by = step.run.run_id or step.run.actor
    entry = LedgerEntry(
        model=step.model,
        action=ACTIONS[step.action],
        epoch=0,
        version=rollout.version,
        digest=rollout.digest,
        actor=step.run.actor,
        body={
            "experiment": rollout.experiment,
            "reason": step.reason,
            "requester": step.run.requested_by,
            **({"run": asked_by, "asked_until": step.asked_until.isoformat()} if step.asked_until else {}),
        },
    )
    now, steered = ports.now(), True

    def standing(found: Sequence[LedgerRow]) -> LedgerRow | None:
        nonlocal steered
        present = _running(step, found)
        if present.experiment != rollout.experiment:
            raise _none(step)
        steered = not _is_so(step, present, asked_by, now)
        return None if steered else found[-1]

    append_once(ports.ledger, entry, standing=standing)
    after = ports.ledger.rows(step.model)
    present = running_rollout(after)
    if present is None or present.experiment != rollout.experiment:
        raise _none(step)
    queued = waiting_rows(after, most=present.plan.challengers)
    log.info("%s: rollout %s: %s by %s", step.model, rollout.experiment, step.action, step.run.actor)
    return RolloutState(
        model=step.model,
        rollout=present,
        waiting=versions_of(queued) or None,
        steered=steered,
        look_due=look_due(present, ports.rollouts.last(step.model, present.experiment)),
        reason=_words(step, present, steered=steered),
    )


def _running(step: SteerRolloutInput, rows: Sequence[LedgerRow]) -> Rollout:
    rollout = running_rollout(rows)
    if rollout is None:
        raise _none(step)
    switch = open_switch(rows)
    if switch is not None and step.action != "resume":
        ends = "promotion" if switch.action is LedgerAction.INTEND else "roll back"
        raise RolloutRefusedError(
            f"{step.model}: the {ends} of rollout {rollout.experiment} is under way; "
            f"it cannot be {'paused' if step.action == 'pause' else 'asked about'} any more",
            code="WS-ROLLOUT-008",
            next_action="Wait for it; `windsock rollback NAME` stops a promotion.",
        )
    return rollout


def _none(step: SteerRolloutInput) -> RolloutRefusedError:
    return RolloutRefusedError(
        f"{step.model}: no rollout is under way, so there is nothing to {step.action}",
        code="WS-ROLLOUT-001",
        next_action="Look at `windsock rollout status NAME`; a version that waits is started by its DAG.",
    )


def _is_so(step: SteerRolloutInput, rollout: Rollout, asked_by: str, now: datetime) -> bool:
    if step.action == "ask":
        is_open = rollout.asked_until is not None and rollout.asked_until > now
        same = (rollout.asked_by, rollout.asked_until) == (asked_by, step.asked_until)
        return same or (is_open and rollout.asked_by != asked_by)
    return (rollout.paused_by is not None) == (step.action == "pause")


def _words(step: SteerRolloutInput, rollout: Rollout, *, steered: bool) -> str:
    if step.action == "ask":
        until = f"{rollout.asked_until:%Y-%m-%d %H:%M}" if rollout.asked_until else "-"
        return f"{rollout.asked_by} asks a person about rollout {rollout.experiment} until {until}"
    state = rollout.pause or "not paused"
    return f"rollout {rollout.experiment} is {state}{'' if steered else ' already'}"


__all__ = ["steer_rollout"]
