"""After a restore, or after rows were changed: how ledger and server differ, and how work goes on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from windsock.door.route import (
    append_once,
    append_unless_routed,
    champion_entry,
    current_route,
    lay_route,
    plan_serving,
)
from windsock.exceptions import DeploymentRefusedError, ServerUnavailableError
from windsock.ports import Ports
from windsock.records import (
    Champion,
    Gap,
    LedgerAction,
    LedgerEntry,
    LedgerMark,
    LedgerRow,
    LeftOut,
    RetrainOutcome,
    RoutePlan,
    RouteState,
    RunContext,
    champion_of,
    last_routing_row,
    next_epoch,
    open_switch,
    running_rollout,
)
from windsock.records.ledger_view import mark_of
from windsock.records.retraining import Lease

log = logging.getLogger(__name__)


class Differences(NamedTuple):
    """What a ledger lacks, and how its server is ahead of it.

    :param rows: rows that are believed.
    :param epoch: the ledger's last epoch.
    :param served: the server's plan; ``None``: it does not answer, or serves nothing of the model.
    :param is_sealed: whether that plan has the seal of the server's admin token on its disk.
    :param is_known: whether the ledger's last routing row holds that very plan.
    :param claim: who has the model claimed for a retrain; a claim that is over is none.
    :param short_rollout: the rollout under way, where decisions of it are missing.
    :param is_left_out_seen: whether a person has seen the rows that are left out already.
    :param is_behind: whether the server answers and lacks the plan of the ledger's last change.
    """

    model: str
    rows: int
    epoch: int
    gaps: tuple[Gap, ...]
    lost: LedgerMark | None
    left_out: tuple[LeftOut, ...]
    champion: Champion | None
    served: RoutePlan | None
    is_sealed: bool = True
    is_known: bool = True
    claim: Lease | None = None
    short_rollout: str | None = None
    is_behind: bool = False
    is_left_out_seen: bool = True

    @property
    def is_ahead(self) -> bool:
        """Whether the server serves an epoch that the ledger does not know."""
        return self.served is not None and self.served.epoch > self.epoch

    @property
    def are_none(self) -> bool:
        """Whether there is nothing to reconcile; rows that are left out are to be seen once.

        A claim is a difference only to a person who knows that its run is no more.
        """
        differs = self.is_ahead or self.is_behind or self.gets_seal
        return not self.gaps and self.lost is None and self.is_left_out_seen and not differs

    @property
    def gets_seal(self) -> bool:
        """Whether the server's plan has no seal and can be given one: as it is, or as the champion's."""
        return not self.is_sealed and (self.is_known or self.champion is not None)


def differences(ports: Ports, model: str) -> Differences:
    """Return how a model's ledger and its server differ."""
    view = ports.ledger.read(model)
    behind = False
    try:
        state: RouteState | None = ports.router.state(model)
        behind = _is_behind(view.rows, state)
    except ServerUnavailableError:
        state = None
    plan, claim, rollout = (
        state.plan if state else None,
        ports.monitor.lease(model),
        running_rollout(view.rows),
    )
    short = rollout is not None and ports.rollouts.missing(model, rollout.experiment)
    return Differences(
        model=model,
        rows=len(view.rows),
        epoch=next_epoch(view.rows) - 1,
        gaps=view.gaps,
        lost=view.lost,
        left_out=view.left_out,
        champion=champion_of(view.rows),
        served=plan,
        is_sealed=state is None or state.is_sealed,
        is_known=plan is None or _is_known(view.rows, plan),
        claim=claim if claim and not claim.is_over(ports.now()) else None,
        short_rollout=rollout.experiment if rollout and short else None,
        is_behind=behind,
        is_left_out_seen=not view.unseen,
    )


def _is_behind(rows: Sequence[LedgerRow], state: RouteState | None) -> bool:
    """Return whether a server lacks the last plan; one whose switch is open has somebody who brings it."""
    last = last_routing_row(rows)
    if last is None or open_switch(rows) is not None:
        return False
    return state is None or state.plan.epoch < last.epoch


def _is_known(rows: Sequence[LedgerRow], plan: RoutePlan) -> bool:
    """Return whether the last routing row holds a plan as it is."""
    last = last_routing_row(rows)
    return last is not None and RoutePlan.of_row(last) == plan


def seal_route(ports: Ports, model: str) -> bool:
    """Let the server seal its plan anew if that is the ledger's last one; return whether it had no seal.

    :raises DeploymentRefusedError: if it has no seal and is not the ledger's.
    """
    rows = ports.ledger.rows(model)
    if last_routing_row(rows) is None:
        return False
    try:
        state = ports.router.state(model)
    except ServerUnavailableError:
        return False
    if state is None or state.is_sealed:
        return False
    if not _is_known(rows, state.plan):
        raise DeploymentRefusedError(
            f"{model}: the server's plan has no seal of the admin token and is not the ledger's last one",
            code="WS-SERVING-081",
            next_action="Find out who wrote to the server's state folder; then see "
            f"`windsock ledger reconcile {model}`.",
        )
    ports.router.apply(state.plan)
    log.info("%s: the plan of epoch %d is sealed anew", model, state.plan.epoch)
    return True


def reconcile(
    ports: Ports, found: Differences, *, run: RunContext, reason: str, end_claim: bool = False
) -> LedgerRow:
    """Write that a person has seen what is missing, and give a server that is ahead the ledger's champion.

    A plan of the server without a seal is sealed anew if the ledger holds it; else the champion serves by a
    new one.

    :param found: what the person has seen.
    :param end_claim: whether the claim of a retrain is ended, too: the database was restored and brought
        it back.
    :raises StaleEpochError: if another routing change came first.
    """
    served = found.served.epoch if found.served else 0
    ended = found.claim.holder if found.claim and end_claim else None
    if ended is not None:
        ports.monitor.close(found.model, holder=ended, outcome=RetrainOutcome.FAILED, now=ports.now())
    entry = LedgerEntry(
        model=found.model,
        action=LedgerAction.RECONCILE,
        epoch=0,
        version=found.champion.version if found.champion else "-",
        digest=found.champion.digest if found.champion else "0" * 64,
        actor=run.actor,
        body={
            "gaps": [gap.link for gap in found.gaps],
            "lost_seq": found.lost.seq if found.lost else 0,
            "lost_epoch": max(found.lost.epoch if found.lost else 0, served if found.is_ahead else 0),
            "requester": run.requested_by,
            "reason": reason,
            **({"ended_claim": ended} if ended else {}),
            **({"left_out": mark_of(found.left_out)} if found.left_out else {}),
        },
    )
    row = append_once(ports.ledger, entry, standing=lambda rows: None)
    if found.served is not None and not found.is_sealed and found.is_known:
        ports.router.apply(found.served)
    elif found.champion is not None and (found.is_ahead or found.gets_seal):
        _serve(ports, found.champion, run, reason)
    elif found.is_behind:
        current_route(ports, ports.ledger.rows(found.model))
    return row


def sign_anew(ports: Ports, model: str, *, run: RunContext) -> LedgerRow:
    """Write a row that is signed with the present key: by the chain it proves all rows before it.

    :raises VerdictError: if rows are missing.
    """
    rows = ports.ledger.rows(model)
    entry = LedgerEntry(
        model=model,
        action=LedgerAction.ANCHOR,
        epoch=0,
        version="-",
        digest=rows[-1].hash if rows else "0" * 64,
        actor=run.actor,
        body={
            "rows": len(rows),
            "requester": run.requested_by,
            "reason": "a new signing key signs from here",
        },
    )
    return append_once(ports.ledger, entry, standing=lambda found: None)


def _serve(ports: Ports, champion: Champion, run: RunContext, reason: str) -> None:
    rows = ports.ledger.rows(champion.model)
    plan = plan_serving(champion, ports.router.state(champion.model), rows)
    entry = champion_entry(champion, plan, run, reason)
    lay_route(ports, append_unless_routed(ports.ledger, entry, seen=last_routing_row(rows)))
