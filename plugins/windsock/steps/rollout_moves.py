"""What follows from a decision on a rollout: one step with its input, the same by the DAG and by hand."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.exceptions import GateRefusedError
from windsock.records import (
    LedgerAction,
    LedgerRow,
    PromoteModelInput,
    Record,
    RegisteredVersion,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RunContext,
    ShiftTrafficInput,
    ending_of,
    registration_of,
)
from windsock.spec import ModelSpec

NEEDS_CONSENT = frozenset({RolloutAction.ADVANCE, RolloutAction.PROMOTE})
"""What a person may hold up by a pause; nobody holds up the end of something that did harm."""


def held_up_by(rollout: Rollout, decision: RolloutDecision, last: RolloutDecision | None) -> str | None:
    """Return why a decision gives no more traffic any more, or ``None`` where it is to be carried out.

    :param rollout: as it is now.
    :param last: the newest decision that stands; it may be later than the one to be carried out.
    """
    if decision.action not in NEEDS_CONSENT:
        return None
    if rollout.paused_by is not None:
        return f"{rollout.pause}; {decision.action.value} waits"
    if decision.action is RolloutAction.PROMOTE and last is not None and last.action is not decision.action:
        return f"look {last.number} says {last.action.value} by now: {last.reason}"
    if decision.action is RolloutAction.PROMOTE and last is not None and last.digest != decision.digest:
        return f"look {last.number} promotes version {last.version} by now: {last.reason}"
    return None


def move_of(
    decision: RolloutDecision, spec: ModelSpec, rows: Sequence[LedgerRow], *, run: RunContext | None = None
) -> tuple[str, Record] | None:
    """Return the step that carries a decision out, and its input; ``run_step(*move, ports)`` does it.

    The operator of the DAG and ``windsock rollout judge`` both ask here. Each step changes nothing where
    the rollout is over or the step has begun, so a move may be made again. A promotion that a person must
    approve is refused by ``promote_model`` until the approval stands in the ledger.

    :param spec: the model's file as it is now.
    :param rows: the model's ledger; a promotion takes the version's registration from it.
    :param run: who and what moves.
    :returns: name and input of ``shift_traffic``, ``promote_model`` or ``roll_back``; ``None`` where nothing
        follows: the decision holds, or was only shown.
    :raises GateRefusedError: if a promotion's version is registered in no row.
    """
    by = run or RunContext()
    if decision.dry_run or decision.action is RolloutAction.HOLD:
        return None
    if decision.action in (RolloutAction.ADVANCE, RolloutAction.DROP):
        return "shift_traffic", ShiftTrafficInput(spec=spec, decision=decision, run=by)
    if decision.action is RolloutAction.PROMOTE:
        version = registered_version(decision, rows)
        return "promote_model", PromoteModelInput(
            spec=spec, version=version, experiment=decision.experiment, run=by
        )
    return "roll_back", ending_of(decision, run=by)


def registered_version(decision: RolloutDecision, rows: Sequence[LedgerRow]) -> RegisteredVersion:
    """Return the challenger as ``register_model`` wrote it into the ledger.

    A bundle may have been registered more than once, each time with other evidence: the rollout's first row
    says which one it tries.

    :raises GateRefusedError: if no row registers this version, bundle and evidence.
    """
    evidence = next(
        (
            one["evidence_digest"]
            for row in rows
            if row.action is LedgerAction.SHIFT and row.body.get("experiment") == decision.experiment
            for one in ({"digest": row.digest, **row.body}, *(row.body.get("others") or ()))
            if one["digest"] == decision.digest
        ),
        None,
    )
    row = registration_of(rows, decision.version, decision.digest, evidence)
    if row is not None:
        return RegisteredVersion.of_row(row)
    raise GateRefusedError(
        f"{decision.model} version {decision.version}: the ledger has no registration with the evidence that "
        f"rollout {decision.experiment} began with; nothing shows that it passed the gate",
        code="WS-GATE-010",
        next_action="Read `windsock ledger NAME`; stop it with `windsock rollout stop`, then retrain.",
    )


__all__ = ["NEEDS_CONSENT", "held_up_by", "move_of", "registered_version"]
