"""After a restore, or after rows were changed: how ledger and server differ, and how work goes on."""

from __future__ import annotations

from typing import NamedTuple

from windsock.door.route import append_once, append_unless_routed, champion_entry, lay_route, plan_serving
from windsock.exceptions import ServerUnavailableError
from windsock.ports import Ports
from windsock.records import (
    Champion,
    Gap,
    LedgerAction,
    LedgerEntry,
    LedgerMark,
    LedgerRow,
    LeftOut,
    RoutePlan,
    RouteState,
    RunContext,
    champion_of,
    last_routing_row,
    next_epoch,
)


class Differences(NamedTuple):
    """What a ledger lacks, and how its server is ahead of it.

    :param rows: rows that are believed.
    :param epoch: the ledger's last epoch.
    :param served: the server's plan; ``None``: it does not answer, or serves nothing of the model.
    """

    model: str
    rows: int
    epoch: int
    gaps: tuple[Gap, ...]
    lost: LedgerMark | None
    left_out: tuple[LeftOut, ...]
    champion: Champion | None
    served: RoutePlan | None

    @property
    def is_ahead(self) -> bool:
        """Whether the server serves an epoch that the ledger does not know."""
        return self.served is not None and self.served.epoch > self.epoch

    @property
    def are_none(self) -> bool:
        """Whether there is nothing to reconcile; rows that are left out change nothing."""
        return not self.gaps and self.lost is None and not self.is_ahead


def differences(ports: Ports, model: str) -> Differences:
    """Return how a model's ledger and its server differ."""
    view = ports.ledger.read(model)
    try:
        state: RouteState | None = ports.router.state(model)
    except ServerUnavailableError:
        state = None
    return Differences(
        model=model,
        rows=len(view.rows),
        epoch=next_epoch(view.rows) - 1,
        gaps=view.gaps,
        lost=view.lost,
        left_out=view.left_out,
        champion=champion_of(view.rows),
        served=state.plan if state else None,
    )


def reconcile(ports: Ports, found: Differences, *, run: RunContext, reason: str) -> LedgerRow:
    """Write that a person has seen what is missing, and give a server that is ahead the ledger's champion.

    :param found: what the person has seen.
    :raises StaleEpochError: if another routing change came first.
    """
    served = found.served.epoch if found.served else 0
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
        },
    )
    row = append_once(ports.ledger, entry, standing=lambda rows: None)
    if found.is_ahead and found.champion is not None:
        _serve(ports, found.champion, run, reason)
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
