"""Splits of the traffic: the rows that begin a step of a rollout, and the way to the server."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from windsock.door import (
    abandon,
    append_unless_routed,
    finish_abandoned,
    finish_switch,
    lay_route,
    mirror_champion,
    require_golden,
)
from windsock.exceptions import DeploymentRefusedError, WindsockError
from windsock.ports import Ports
from windsock.records import (
    BASIS_POINTS,
    Challenger,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    Rollout,
    RoutePlan,
    RouteState,
    RunContext,
    SlotPlan,
    champion_of,
    last_routing_row,
    open_switch,
    running_rollout,
)
from windsock.spec import PERCENT

log = logging.getLogger(__name__)


def split_entry(
    rollout: Rollout, base: RoutePlan, run: RunContext, *, epoch: int, **body: Any
) -> LedgerEntry:
    """Return the row that gives a rollout the split of its present step.

    :param rollout: the rollout as it shall be.
    :param base: the route that it changes; its salt, its other slots and its fallback stay.
    :param epoch: the row's epoch: that of the step, or a later one within it that drops a challenger.
    :param body: what else the row keeps.
    """
    plan = RoutePlan(
        model=rollout.model,
        epoch=epoch,
        slots=_slots(rollout, base),
        salt=rollout.salt,
        champion=rollout.champion_digest,
        experiment=rollout.experiment,
        fallback=base.fallback,
    )
    return LedgerEntry(
        model=rollout.model,
        action=LedgerAction.SHIFT,
        epoch=epoch,
        version=rollout.version,
        digest=rollout.digest,
        actor=run.actor,
        body={
            "bundle_uri": rollout.bundle_uri,
            "evidence_digest": rollout.evidence_digest,
            "champion_version": rollout.champion_version,
            "champion_digest": rollout.champion_digest,
            "requester": run.requested_by,
            "reason": f"{rollout.experiment}: {step_words(rollout)}",
            "experiment": rollout.experiment,
            "step": rollout.step,
            **({"withdrawn": list(rollout.withdrawn)} if rollout.withdrawn else {}),
            **run.origin,
            **body,
            "plan": plan.row_body(),
        },
    )


def _slots(rollout: Rollout, base: RoutePlan) -> tuple[SlotPlan, ...]:
    """Return the slots of a split: the challengers beside each other, in the order of their lanes."""
    tried = {one.digest: one for one in rollout.challengers}
    rest = [
        slot.replace(
            share=BASIS_POINTS - rollout.share if slot.digest == rollout.champion_digest else 0, shadow=False
        )
        for slot in base.slots
        if slot.digest not in tried
    ]
    stood = [place for place, slot in enumerate(base.slots) if slot.digest in tried]
    place = stood[0] if stood else len(rest)
    return (*rest[:place], *(_slot_of(rollout, one, base) for one in tried.values()), *rest[place:])


def _slot_of(rollout: Rollout, one: Challenger, base: RoutePlan) -> SlotPlan:
    stood = base.slot(one.digest)
    return SlotPlan(
        version=one.version,
        digest=one.digest,
        bundle_uri=one.bundle_uri,
        share=rollout.share_each,
        url=stood.url if stood else None,
        shadow=rollout.plan.strategy == "shadow",
        withdrawn=one.digest in rollout.withdrawn,
    )


def step_words(rollout: Rollout) -> str:
    """Return what a person calls the present step, such as ``step 2 of 3, 25 %``."""
    share = f"{rollout.share / PERCENT:g} %" if rollout.share else "as a shadow"
    if rollout.others:
        share = f"{rollout.share_each / PERCENT:g} % each"
    return f"step {rollout.step + 1} of {len(rollout.plan.shares)}, {share}"


def lay_split(ports: Ports, row: LedgerRow, rollout: Rollout, *, run: RunContext) -> RouteState:
    """Hand a rollout's split to the server, and see its challengers answer their golden predictions.

    Of several challengers one that does not is dropped, and the others go on.

    :raises DeploymentRefusedError: if none is left that does; the champion has all traffic again by then, and
        the rollout is over.
    :raises StaleEpochError: if another routing change came first.
    """
    while True:
        failing = None
        try:
            state = lay_route(ports, row)
            for one in rollout.active:
                failing = one
                _require_answers(ports, state, one)
            return state
        except DeploymentRefusedError as refusal:
            if failing is None or len(rollout.active) == 1:
                _give_up(ports, row, rollout, failing or rollout.active[0], refusal, run)
                raise
            row, rollout = _drop(ports, row, rollout, failing, refusal, run)


def _require_answers(ports: Ports, state: RouteState, one: Challenger) -> None:
    slot = state.plan.slot(one.digest)
    if slot is None:
        raise DeploymentRefusedError(
            f"{state.plan.model}: the server did not take version {one.version}", code="WS-DEPLOYMENT-004"
        )
    require_golden(ports, state.plan.model, slot)


def _drop(
    ports: Ports,
    row: LedgerRow,
    rollout: Rollout,
    failing: Challenger,
    refusal: WindsockError,
    run: RunContext,
) -> tuple[LedgerRow, Rollout]:
    """Write the split without a challenger that does not answer; return its row, and the rollout since."""
    log.warning(
        "%s: rollout %s drops version %s: %s", row.model, rollout.experiment, failing.version, refusal
    )
    rest = rollout.replace(withdrawn=(*rollout.withdrawn, failing.digest))
    body = {"reason": f"version {failing.version} is dropped: {refusal.message}"}
    entry = split_entry(rest, RoutePlan.of_row(row), run, epoch=row.epoch + 1, decision=None, **body)
    return append_unless_routed(ports.ledger, entry, seen=row), rest


def _give_up(
    ports: Ports,
    row: LedgerRow,
    rollout: Rollout,
    failing: Challenger,
    refusal: WindsockError,
    run: RunContext,
) -> None:
    """Give the champion all traffic again: no challenger is left that answers."""
    log.info("%s: rollout %s is abandoned: %s", row.model, rollout.experiment, refusal.message)
    laid = RoutePlan.of_row(row)
    given_up = laid.slot(failing.digest) or _slot_of(rollout, failing, laid)
    champion = champion_of(ports.ledger.rows(row.model))
    back = abandon(ports, row, given_up, champion, actor=run.actor, reason=refusal.message, without=True)
    lay_route(ports, back)


def settle(ports: Ports, rows: Sequence[LedgerRow], *, run: RunContext) -> tuple[LedgerRow, ...]:
    """Bring to its end what a killed task has left half done of a rollout: at the server, or in the ledger.

    A split that stands is handed over again, which changes nothing, and its challengers are asked once more.
    A promotion that was begun is finished only if the last look still says so; else the rollout ends.

    :returns: the model's rows afterwards.
    :raises DeploymentRefusedError: if a version did not answer; the champion serves by then.
    :raises StaleEpochError: if another routing change came first.
    """
    last = last_routing_row(rows)
    if last is not None and last.action is LedgerAction.ABANDON:
        finish_abandoned(ports, last, last.digest)
    rollout = running_rollout(rows)
    if rollout is None or last is None:
        return tuple(rows)
    if (switch := open_switch(rows)) is not None:
        commit = finish_switch(ports, rows, switch, rollout, run=run)
        mirror_champion(ports, commit.model, commit.version)
        return ports.ledger.rows(commit.model)
    lay_split(ports, last, rollout, run=run)
    return tuple(rows)


__all__ = ["lay_split", "settle", "split_entry", "step_words"]
