"""What a rollout has to do with a promotion: a version waits for it, and is promoted because of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from windsock.door import append_once, require_golden
from windsock.door.approvals import answers_of, needed_for_promotion, requesters, starters
from windsock.exceptions import (
    ApprovalRefusedError,
    DeploymentRefusedError,
    RolloutRefusedError,
    UnverifiedBundleError,
)
from windsock.ports import Ports
from windsock.records import (
    Champion,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    PromoteModelInput,
    Promotion,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RouteState,
    SlotPlan,
    champion_line,
    champion_of,
    decision_digest,
    ended_rollouts,
    running_rollout,
    shortened,
    waiting_rows,
)

log = logging.getLogger(__name__)


def standing_slot(step: PromoteModelInput, state: RouteState | None) -> SlotPlan:
    """Return the version's slot behind the server.

    :raises DeploymentRefusedError: if it stands in none.
    """
    slot = state.plan.slot(step.version.digest) if state else None
    if slot is None:
        raise DeploymentRefusedError(
            f"{step.spec.name} version {step.version.version} stands in no slot of the server",
            code="WS-DEPLOYMENT-004",
            next_action="Deploy the version first: clear the deploy task, then this one.",
        )
    return slot


def waits_already(step: PromoteModelInput, rows: Sequence[LedgerRow]) -> Promotion | None:
    """Return what there is to say of a version that waits for its rollout, or has it now; else ``None``."""
    digest = step.version.digest
    rollout = running_rollout(rows)
    waiting = {row.digest: row for row in waiting_rows(rows, most=step.spec.rollout.challengers)}
    if rollout is not None and rollout.challenger(digest) is not None:
        return _waiting(
            step, rows, rollout.started_at, f"has its rollout {rollout.experiment} now", unchanged=True
        )
    if digest in waiting:
        return _waiting(step, rows, waiting[digest].at, "waits for its rollout already", unchanged=True)
    return None


def let_wait(
    step: PromoteModelInput,
    ports: Ports,
    rows: Sequence[LedgerRow],
    champion: Champion,
    approvers: Sequence[str],
) -> Promotion:
    """Let a version wait for its rollout: it answers behind the server, and the ledger says so, once.

    :raises DeploymentRefusedError: if it stands in no slot, or does not answer its golden predictions.
    :raises RolloutRefusedError: if another version became champion meanwhile.
    """
    name, version = step.spec.name, step.version
    require_golden(ports, name, standing_slot(step, ports.router.state(name)))
    entry = LedgerEntry(
        model=name,
        action=LedgerAction.QUEUE,
        epoch=0,
        version=step.version.version,
        digest=step.version.digest,
        actor=step.run.actor,
        body={
            "bundle_uri": step.version.bundle_uri,
            "evidence_digest": step.version.evidence_digest,
            "reason": f"waits for its {step.spec.rollout.strategy} rollout",
            "requester": step.run.requested_by,
            "approved_by": list(approvers),
            "forced": step.force,
            "run": {"dag_id": step.run.dag_id, "run_id": step.run.run_id},
            **step.run.origin,
        },
    )

    def standing(found: Sequence[LedgerRow]) -> LedgerRow | None:
        serves = champion_of(found)
        if serves is None or serves.digest != champion.digest:
            raise RolloutRefusedError(
                f"{name}: another version became champion before version {entry.version} could wait for its "
                "rollout",
                code="WS-ROLLOUT-003",
                next_action="Run the retrain DAG again, so that the model meets the present champion.",
            )
        rollout = running_rollout(found)
        if rollout is not None and rollout.challenger(version.digest) is not None:
            return next(row for row in found if row.epoch == rollout.step_epoch)
        waiting = waiting_rows(found, most=step.spec.rollout.challengers)
        return next((row for row in waiting if row.digest == version.digest), None)

    row = append_once(ports.ledger, entry, standing=standing)
    block = step.spec.rollout
    waits = f"waits for its rollout ({block.strategy})"
    if block.challengers > 1:
        tries = f"which tries {block.challengers} versions"
        waits += f", {tries} and begins when so many wait, or after {block.gather}"
    return _waiting(step, rows, row.at, waits, unchanged=False)


def not_moved(
    step: PromoteModelInput, rows: Sequence[LedgerRow], why: str, *, advice: str = "", **told: Any
) -> Promotion:
    """Return what there is to say where the champion keeps serving.

    :param why: what holds the version, after its name.
    :param advice: what a person may do about it.
    :param told: what else the record says.
    """
    serving = champion_line(rows)[-1]
    reason = f"{why}; version {serving.version} keeps serving"
    known: dict[str, Any] = {
        "model": step.spec.name,
        "version": step.version.version,
        "digest": step.version.digest,
        "epoch": serving.epoch,
        "previous_version": serving.version,
        "unchanged": True,
        "reason": f"{reason}. {advice}" if advice else reason,
        "committed_at": serving.at,
    }
    return Promotion(**{**known, **told})


def _waiting(
    step: PromoteModelInput, rows: Sequence[LedgerRow], at: datetime, why: str, *, unchanged: bool
) -> Promotion:
    about = f"version {step.version.version} {why}"
    return not_moved(step, rows, about, waiting=True, unchanged=unchanged, committed_at=at)


def over_by_now(step: PromoteModelInput, rows: Sequence[LedgerRow]) -> Promotion | None:
    """Return what there is to say where the rollout that proved the version is over, else ``None``.

    :raises RolloutRefusedError: if the ledger knows no such rollout of this very version.
    """
    rollout = running_rollout(rows)
    if rollout is not None and rollout.experiment == step.experiment and _tries(rollout, step):
        return None
    ends = {end.experiment: end for end in ended_rollouts(rows)}
    end = ends.get(str(step.experiment))
    if end is None or step.version.version not in (end.version, *end.tried):
        raise RolloutRefusedError(
            f"{step.spec.name}: no rollout {step.experiment} of version {step.version.version} with "
            f"bundle {step.version.digest[:12]} is under way",
            code="WS-ROLLOUT-001",
            next_action="Look at `windsock rollout status NAME`; the champion keeps serving.",
        )
    how = f"is over: {end.outcome.value}{f', {end.reason}' if end.reason else ''}"
    return not_moved(step, rows, f"rollout {step.experiment} {how}")


def _tries(rollout: Rollout, step: PromoteModelInput) -> bool:
    return any(one.digest == step.version.digest for one in rollout.active)


def require_proof(
    step: PromoteModelInput, ports: Ports, rows: Sequence[LedgerRow], rollout: Rollout
) -> RolloutDecision:
    """Return the decision that promotes: the rollout's last one, at its present step, with its evidence.

    A row of the database alone promotes nothing: a pack that a trusted key signed must hold that decision.

    :raises RolloutRefusedError: if the rollout is paused, its last look came to something else, or nothing
        signed stands behind it.
    :raises StorageError: if the evidence pack cannot be read.
    """
    about = f"{step.spec.name}: rollout {rollout.experiment}"
    if rollout.paused_by is not None:
        raise RolloutRefusedError(
            f"{about} is {rollout.pause}; nothing is promoted",
            code="WS-ROLLOUT-009",
            next_action="Resume it: `windsock rollout resume NAME`.",
        )
    last = ports.rollouts.last(rollout.model, rollout.experiment)
    proved = last is not None and last.action is RolloutAction.PROMOTE and not last.dry_run
    same = last is not None and (last.digest, last.step, last.champion_version) == (
        step.version.digest,
        rollout.step,
        rollout.champion_version,
    )
    if last is None or not proved or not same:
        seen = f"decision {last.number} at step {last.step + 1}: {last.action.value}" if last else "none"
        raise RolloutRefusedError(
            f"{about} has not proved version {step.version.version}: its last decision is {seen}; "
            f"it must be promote at step {rollout.step + 1}",
            code="WS-ROLLOUT-011",
            next_action="Nothing; the rollout is judged again at its next look.",
        )
    if missing := ports.rollouts.missing(rollout.model, rollout.experiment):
        raise shortened(rollout.model, rollout.experiment, missing)
    if not _holds_pack(ports, last):
        raise RolloutRefusedError(
            f"{about}: decision {last.number} says promote, and no signed evidence pack holds it",
            code="WS-ROLLOUT-015",
            next_action="Nothing; the next look stores one. If it comes again, find out who wrote it.",
        )
    return last


def _holds_pack(ports: Ports, decision: RolloutDecision) -> bool:
    """Return whether a signed evidence pack holds a decision to promote."""
    if decision.evidence_digest is None or decision.evidence_uri is None:
        return False
    try:
        pack = json.loads(ports.bundles.read_document(decision.evidence_uri, decision.evidence_digest))
        told = RolloutDecision.model_validate(pack["decision"])
    except (UnverifiedBundleError, ValueError, TypeError, KeyError) as error:
        log.warning("WS-ROLLOUT-015: the evidence of decision %d: %s", decision.number, type(error).__name__)
        return False
    return decision_digest(told.bare) == decision_digest(decision.bare)


def require_rollout_approval(
    step: PromoteModelInput, rows: Sequence[LedgerRow], registered: LedgerRow, rollout: Rollout
) -> tuple[str, ...]:
    """Return who said yes to the promotion that a rollout has proved; nobody is needed without ``approve``.

    :raises ApprovalRefusedError: if somebody said no, or nobody said yes who may.
    """
    barred = (*requesters(registered, step.run), *starters(rows, rollout.experiment))
    answers = answers_of(rows, step.version, experiment=rollout.experiment, without=barred)
    about = (
        f"{step.spec.name}: the promotion of version {step.version.version} by rollout {rollout.experiment}"
    )
    if answers.rejecters:
        raise ApprovalRefusedError(
            f"{about} was rejected by {', '.join(answers.rejecters)}",
            code="WS-ROLLOUT-012",
            next_action="Stop the rollout: `windsock rollout stop NAME`; the champion keeps serving.",
        )
    needed = needed_for_promotion(rows, rollout.experiment, step.run)
    if rollout.plan.approve and len(answers.approvers) < needed:
        people = "a person" if needed == 1 else f"{needed} people (nobody knows who started it)"
        raise ApprovalRefusedError(
            f"{about} needs the approval of {people} who did not trigger it",
            code="WS-ROLLOUT-013",
            next_action="Answer the task approve_promotion; a task marked success by hand opens nothing.",
        )
    return answers.approvers
