"""``roll_back``: serve an earlier champion again; needs neither the registry nor an approval."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from windsock.door import (
    append_unless_routed,
    finish_abandoned,
    mirror_champion,
    plan_serving,
    require_golden,
    switch_route,
)
from windsock.exceptions import VerdictError
from windsock.ports import Ports
from windsock.records import (
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    RollBack,
    RollBackInput,
    champion_by,
    champion_line,
    champion_of,
    commit_of,
    last_routing_row,
    open_switch,
)

log = logging.getLogger(__name__)


class Turn(NamedTuple):
    """What a roll back turns.

    :param bad: the row of the version that stops serving.
    :param target: the commit of the champion that serves again.
    """

    bad: LedgerRow
    target: LedgerRow


def roll_back(step: RollBackInput, ports: Ports, key: str) -> RollBack:
    """Give an earlier champion all traffic again, and hold what served until a person forces it.

    A promotion that is under way is stopped by it: the champion keeps serving.

    :raises VerdictError: if there is nothing to go back to.
    :raises ServerUnavailableError: if the server does not answer.
    :raises DeploymentRefusedError: if the earlier champion does not answer its golden predictions.
    :raises StaleEpochError: if another routing change came first.
    """
    rows = ports.ledger.rows(step.model)
    if (done := _done_before(step, rows)) is not None:
        return _told(step, ports, done, unchanged=True)
    row = _open_roll_back(step, rows)
    if row is None:
        turn = choose_turn(step, rows)
        finish_abandoned(ports, last_routing_row(rows), turn.target.digest)
        row = _begin(step, ports, rows, turn)
    commit = switch_route(ports, row, champion=champion_of(rows), actor=step.run.actor)
    log.info(
        "%s: version %s serves again instead of %s, epoch %d",
        step.model,
        commit.version,
        commit.body["rolled_back_version"],
        commit.epoch,
    )
    return _told(step, ports, commit, unchanged=False)


def choose_turn(step: RollBackInput, rows: Sequence[LedgerRow]) -> Turn:
    """Return what must stop serving and what must serve again.

    :raises VerdictError: if there is nothing to go back to.
    """
    line = champion_line(rows)
    under_way = open_switch(rows)
    if under_way is not None and under_way.action is not LedgerAction.INTEND:
        under_way = None
    earlier = line if under_way else line[:-1]
    if step.to_version is not None:
        commits = [
            row for row in rows if row.action is LedgerAction.COMMIT and row.version == step.to_version
        ]
        if not commits:
            raise VerdictError(
                f"{step.model}: version {step.to_version} was never champion; "
                f"these were: {', '.join(dict.fromkeys(row.version for row in line)) or 'none'}",
                code="WS-ROLLBACK-002",
                next_action="Name a version that was champion, or none for the one before.",
            )
        target = commits[-1]
    elif earlier:
        target = earlier[-1]
    else:
        serves = (
            f"version {line[-1].version} is the first champion" if line else "no version was ever promoted"
        )
        raise VerdictError(
            f"{step.model}: nothing to roll back to; {serves}",
            code="WS-ROLLBACK-001",
            next_action="Train and promote a better version, or stop the server.",
        )
    bad = under_way or line[-1]
    if bad.digest == target.digest:
        raise VerdictError(
            f"{step.model}: version {target.version} is the champion already",
            code="WS-ROLLBACK-003",
            next_action="Nothing to do, or name another version.",
        )
    return Turn(bad, target)


def _run_of(step: RollBackInput) -> dict[str, str | None] | None:
    return {"dag_id": step.run.dag_id, "run_id": step.run.run_id} if step.run.run_id else None


def _done_before(step: RollBackInput, rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the commit that this very run has made in an earlier try."""
    run = _run_of(step)
    own = [row for row in rows if row.action is LedgerAction.ROLL_BACK and run and row.body.get("run") == run]
    return commit_of(rows, own[-1].epoch) if own else None


def _open_roll_back(step: RollBackInput, rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the roll back to the same version that a killed try left open."""
    row = open_switch(rows)
    if row is None or row.action is not LedgerAction.ROLL_BACK:
        return None
    return row if step.to_version in (None, row.version) else None


def _begin(step: RollBackInput, ports: Ports, rows: Sequence[LedgerRow], turn: Turn) -> LedgerRow:
    champion = champion_by(turn.target)
    state = ports.router.state(step.model)
    if state and (slot := state.plan.slot(champion.digest)):
        require_golden(ports, step.model, slot)
    plan = plan_serving(champion, state, rows)
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
            "rolled_back": turn.bad.digest,
            "rolled_back_version": turn.bad.version,
            "reason": step.reason,
            "requester": step.run.requested_by,
            "run": _run_of(step),
            "plan": plan.row_body(),
        },
    )
    return append_unless_routed(ports.ledger, entry, seen=last_routing_row(rows))


def _told(step: RollBackInput, ports: Ports, commit: LedgerRow, *, unchanged: bool) -> RollBack:
    champion = champion_of(ports.ledger.rows(step.model))
    return RollBack(
        model=step.model,
        version=commit.version,
        digest=commit.digest,
        epoch=commit.epoch,
        rolled_back_version=commit.body["rolled_back_version"],
        alias_mirrored=mirror_champion(ports, step.model, champion.version if champion else commit.version),
        unchanged=unchanged,
        committed_at=commit.at,
    )
