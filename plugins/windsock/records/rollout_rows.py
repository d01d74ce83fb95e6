"""What the ledger's rows say of rollouts: which one is under way, what waits, how each ended.

A rollout is nothing but its rows: ``queue`` lets a version wait, ``shift`` begins each of its steps, and
what takes its traffic away ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from windsock.records.base import Digest
from windsock.records.deployment import RoutePlan
from windsock.records.ledger import LedgerAction, LedgerRow, commit_of, last_routing_row
from windsock.records.rollout import Rollout, RolloutEnd, RolloutOutcome, RolloutPlan

SWITCHES = (LedgerAction.INTEND, LedgerAction.ROLL_BACK)


def experiment_name(version: str, epoch: int) -> str:
    """Return the name of the rollout that an epoch begins."""
    return f"v{version}-e{epoch}"


def experiment_of(row: LedgerRow) -> str | None:
    """Return the rollout that a routing row is a part of: its split, or the switch that ends it."""
    if row.action in SWITCHES:
        return row.body.get("experiment")
    return RoutePlan.of_row(row).experiment if "plan" in row.body else None


def running_rollout(rows: Sequence[LedgerRow]) -> Rollout | None:
    """Return the rollout that is under way; a switch that ends it is part of it until it is committed."""
    last = last_routing_row(rows)
    if last is None or (experiment := experiment_of(last)) is None:
        return None
    if last.action in SWITCHES and commit_of(rows, last.epoch) is not None:
        return None
    shifts = _shifts(rows, experiment)
    return _rollout(rows, shifts) if shifts else None


def waiting_row(rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the row by which the newest version waits for its rollout; older ones wait no more.

    A version that has begun its rollout, became champion or was rolled back since does not wait.
    """
    queued = next((row for row in reversed(rows) if row.action is LedgerAction.QUEUE), None)
    if queued is None:
        return None
    later = rows[queued.seq :]
    begun = any(
        row.digest == queued.digest and row.action in (LedgerAction.SHIFT, LedgerAction.COMMIT)
        for row in later
    )
    taken = any(
        row.action is LedgerAction.ROLL_BACK and row.body.get("rolled_back") == queued.digest for row in later
    )
    return None if begun or taken else queued


def ended_rollouts(rows: Sequence[LedgerRow]) -> tuple[RolloutEnd, ...]:
    """Return the rollouts that are over, in the order of their beginning."""
    running = running_rollout(rows)
    names = dict.fromkeys(row.body["experiment"] for row in rows if row.action is LedgerAction.SHIFT)
    return tuple(
        _end(rows, _shifts(rows, name)) for name in names if running is None or name != running.experiment
    )


def _about(rows: Sequence[LedgerRow], experiment: str, *actions: LedgerAction) -> list[LedgerRow]:
    return [row for row in rows if row.action in actions and row.body.get("experiment") == experiment]


def _shifts(rows: Sequence[LedgerRow], experiment: str) -> list[LedgerRow]:
    return _about(rows, experiment, LedgerAction.SHIFT)


def _rollout(rows: Sequence[LedgerRow], shifts: Sequence[LedgerRow]) -> Rollout:
    first, last = shifts[0], shifts[-1]
    experiment = str(first.body["experiment"])
    return Rollout(
        model=first.model,
        experiment=experiment,
        version=first.version,
        digest=first.digest,
        bundle_uri=first.body["bundle_uri"],
        evidence_digest=first.body["evidence_digest"],
        champion_version=first.body["champion_version"],
        champion_digest=first.body["champion_digest"],
        plan=RolloutPlan.model_validate(first.body["begins"]),
        step=last.body["step"],
        step_epoch=last.epoch,
        step_since=last.at,
        started_at=first.at,
        salt=RoutePlan.of_row(first).salt,
        paused_by=_paused_by(rows, experiment),
        **_asked(rows, experiment),
    )


def _paused_by(rows: Sequence[LedgerRow], experiment: str) -> str | None:
    said = [
        row
        for row in rows
        if row.action in (LedgerAction.PAUSE, LedgerAction.RESUME)
        and row.body.get("experiment") == experiment
    ]
    return said[-1].actor if said and said[-1].action is LedgerAction.PAUSE else None


def _asked(rows: Sequence[LedgerRow], experiment: str) -> dict[str, Any]:
    asked = [
        row for row in rows if row.action is LedgerAction.ASK and row.body.get("experiment") == experiment
    ]
    if not asked:
        return {}
    until = datetime.fromisoformat(asked[-1].body["asked_until"])
    return {"asked_by": asked[-1].body["run"], "asked_until": until}


def _end(rows: Sequence[LedgerRow], shifts: Sequence[LedgerRow]) -> RolloutEnd:
    """Return how a rollout ended: by the first routing row after its last step that is no part of it."""
    first, last = shifts[0], shifts[-1]
    experiment = str(first.body["experiment"])
    after = [row for row in rows if row.epoch > last.epoch and row.action is not LedgerAction.COMMIT]
    closing = next(row for row in after if experiment_of(row) != experiment or row.action in SWITCHES)
    outcome, reason = _told(rows, closing, experiment, first.digest)
    return RolloutEnd(
        experiment=experiment,
        version=first.version,
        outcome=outcome,
        epoch=closing.epoch,
        started_at=first.at,
        ended_at=closing.at,
        reason=reason,
    )


def _told(
    rows: Sequence[LedgerRow], closing: LedgerRow, experiment: str, digest: Digest
) -> tuple[RolloutOutcome, str]:
    reason = str(closing.body.get("reason", ""))
    if closing.action is LedgerAction.ROLL_BACK and closing.body.get("rolled_back") == digest:
        return RolloutOutcome(closing.body.get("outcome", RolloutOutcome.STOPPED)), reason
    committed = commit_of(rows, closing.epoch) is not None
    if closing.action is LedgerAction.INTEND and closing.digest == digest and committed:
        return RolloutOutcome.PROMOTED, reason
    if closing.action is LedgerAction.INTEND and experiment_of(closing) == experiment:
        return RolloutOutcome.BROKEN_OFF, reason or "the version did not answer when it was promoted"
    return RolloutOutcome.BROKEN_OFF, reason or f"{closing.action.value} of version {closing.version}"


__all__ = ["ended_rollouts", "experiment_name", "experiment_of", "running_rollout", "waiting_row"]
