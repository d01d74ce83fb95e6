"""Splits of the traffic: the rows that begin a step of a rollout, and the way to the server."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from windsock.door import (
    abandon,
    finish_abandoned,
    finish_switch,
    lay_route,
    mirror_champion,
    require_golden,
)
from windsock.exceptions import DeploymentRefusedError
from windsock.ports import Ports
from windsock.records import (
    BASIS_POINTS,
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


def split_entry(rollout: Rollout, base: RoutePlan, run: RunContext, **body: Any) -> LedgerEntry:
    """Return the row that gives a rollout the split of its present step.

    :param rollout: the rollout as it shall be; ``step_epoch`` is the row's epoch.
    :param base: the route that it changes; its salt, its other slots and its fallback stay.
    :param body: what else the row keeps.
    """
    challenger = SlotPlan(
        version=rollout.version,
        digest=rollout.digest,
        bundle_uri=rollout.bundle_uri,
        share=rollout.share,
        shadow=rollout.plan.strategy == "shadow",
    )
    slots = [
        slot.replace(
            share=BASIS_POINTS - rollout.share if slot.digest == rollout.champion_digest else 0, shadow=False
        )
        for slot in base.slots
        if slot.digest != rollout.digest
    ]
    stood = base.slot(rollout.digest)
    place = base.slots.index(stood) if stood else len(slots)
    slots.insert(place, challenger.replace(url=stood.url if stood else None))
    plan = RoutePlan(
        model=rollout.model,
        epoch=rollout.step_epoch,
        slots=tuple(slots),
        salt=rollout.salt,
        champion=rollout.champion_digest,
        experiment=rollout.experiment,
        fallback=base.fallback,
    )
    return LedgerEntry(
        model=rollout.model,
        action=LedgerAction.SHIFT,
        epoch=rollout.step_epoch,
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
            **run.origin,
            **body,
            "plan": plan.row_body(),
        },
    )


def step_words(rollout: Rollout) -> str:
    """Return what a person calls the present step, such as ``step 2 of 3, 25 %``."""
    share = f"{rollout.share / PERCENT:g} %" if rollout.share else "as a shadow"
    return f"step {rollout.step + 1} of {len(rollout.plan.shares)}, {share}"


def lay_split(ports: Ports, row: LedgerRow, rollout: Rollout, *, actor: str) -> RouteState:
    """Hand a rollout's split to the server, and see the challenger answer its golden predictions.

    :raises DeploymentRefusedError: if it does not; the champion has all traffic again by then, and the
        rollout is over.
    :raises StaleEpochError: if another routing change came first.
    """
    try:
        state = lay_route(ports, row)
        slot = state.plan.slot(rollout.digest)
        if slot is None:
            raise DeploymentRefusedError(
                f"{row.model}: the server did not take version {rollout.version}",
                code="WS-DEPLOYMENT-004",
            )
        require_golden(ports, row.model, slot)
    except DeploymentRefusedError as refusal:
        log.info("%s: rollout %s is abandoned: %s", row.model, rollout.experiment, refusal.message)
        given_up = RoutePlan.of_row(row).slot(rollout.digest) or _slot_of(rollout)
        champion = champion_of(ports.ledger.rows(row.model))
        back = abandon(ports, row, given_up, champion, actor=actor, reason=refusal.message, without=True)
        lay_route(ports, back)
        raise
    return state


def _slot_of(rollout: Rollout) -> SlotPlan:
    return SlotPlan(version=rollout.version, digest=rollout.digest, bundle_uri=rollout.bundle_uri, share=0)


def settle(ports: Ports, rows: Sequence[LedgerRow], *, run: RunContext) -> tuple[LedgerRow, ...]:
    """Bring to its end what a killed task has left half done of a rollout: at the server, or in the ledger.

    A split that stands is handed over again, which changes nothing, and its challenger is asked once more. A
    promotion that was begun is finished only if the last look still says so; else the rollout ends.

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
    lay_split(ports, last, rollout, actor=run.actor)
    return tuple(rows)


__all__ = ["lay_split", "settle", "split_entry", "step_words"]
