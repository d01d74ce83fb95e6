"""What the ledger's rows say of rollouts: which one is under way, what waits, how each ended.

A rollout is nothing but its rows: ``queue`` lets a version wait, ``shift`` begins each of its steps, and
what takes its traffic away ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from windsock.records.base import Digest, RunContext
from windsock.records.deployment import RollBackInput, RoutePlan
from windsock.records.episodes import RetrainOutcome
from windsock.records.ledger import ROUTING, LedgerAction, LedgerRow, commit_of, last_routing_row, taken_by
from windsock.records.rollout import Challenger, Rollout, RolloutEnd, RolloutOutcome, RolloutPlan
from windsock.records.rollout_steps import RolloutAction, RolloutDecision
from windsock.spec import digest_of
from windsock.texts import joined, one_line

LEARNED = {
    RolloutOutcome.PROMOTED: RetrainOutcome.PROMOTED,
    RolloutOutcome.KEPT: RetrainOutcome.KEPT,
    RolloutOutcome.ROLLED_BACK: RetrainOutcome.KEPT,
    RolloutOutcome.STOPPED: RetrainOutcome.KEPT,
}
"""What a retrain came to by the end of its version's rollout; one that was broken off says nothing."""
ABOUT_ALL = (LedgerAction.PAUSE, LedgerAction.RESUME, LedgerAction.ASK)
"""Rows about a rollout as a whole, whichever version they are kept with."""
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


def rollout_route(rows: Sequence[LedgerRow], rollout: Rollout) -> RoutePlan:
    """Return the split that a rollout has by the ledger, with the epoch of the row that says so.

    A promotion or roll back of it that is not committed yet has not changed the split.
    """
    return RoutePlan.of_row(_routed(rows)[_last_split(rows, rollout.experiment)])


def decision_digest(decision: RolloutDecision) -> Digest:
    """Return the digest by which the ledger names a decision, wherever its report lies."""
    return digest_of(decision.model_dump(mode="json", exclude={"unchanged", "report_uri"}))


def ending_of(decision: RolloutDecision, *, run: RunContext, reason: str | None = None) -> RollBackInput:
    """Return what ends a rollout because of its last decision, which does not promote.

    :param reason: for the ledger; default: the decision's own.
    """
    harmed = decision.action is RolloutAction.ROLL_BACK
    return RollBackInput(
        model=decision.model,
        experiment=decision.experiment,
        outcome="rolled_back" if harmed else "kept",
        decision=decision_digest(decision),
        decision_evidence=decision.evidence_digest,
        reason=decision.reason if reason is None else reason,
        run=run,
    )


def waiting_rows(rows: Sequence[LedgerRow], *, most: int) -> list[LedgerRow]:
    """Return the rows by which the newest versions wait for their rollout, the oldest first.

    A version that has begun its rollout, became champion or was rolled back since does not wait.

    :param most: how many versions one rollout tries; older ones than so many wait no more.
    """
    waiting: dict[str, LedgerRow] = {}
    for row in rows:
        for digest in _taken_from_waiting(row):
            waiting.pop(digest, None)
        if row.action is LedgerAction.QUEUE:
            waiting[row.digest] = row
            for oldest in list(waiting)[:-most]:
                del waiting[oldest]
    return list(waiting.values())


def _taken_from_waiting(row: LedgerRow) -> tuple[Digest, ...]:
    """Return the bundles that wait no more by a row: tried, champion, rolled back, or waiting anew by it."""
    if row.action is LedgerAction.SHIFT:
        return tried_by(row)
    if row.action is LedgerAction.ROLL_BACK:
        return taken_by(row)
    return (row.digest,) if row.action in (LedgerAction.COMMIT, LedgerAction.QUEUE) else ()


def versions_by_row(rows: Sequence[LedgerRow]) -> list[str]:
    """Return the version of each row for people; what is about a rollout names all that it tries."""
    found, tried = [], dict[str, str]()
    for row in rows:
        shown, experiment = row.version, str(row.body.get("experiment"))
        if row.action is LedgerAction.SHIFT and "plan" in row.body:
            lanes = [slot.version for slot in RoutePlan.of_row(row).challengers]
            shown = tried[experiment] = joined(lanes) if len(lanes) > 1 else row.version
        elif row.action in ABOUT_ALL:
            shown = tried.get(experiment, shown)
        found.append(shown)
    return found


def tried_by(row: LedgerRow) -> tuple[Digest, ...]:
    """Return the bundles that a row of a rollout's step tries, in the order of their lanes."""
    return (row.digest, *(str(one["digest"]) for one in row.body.get("others") or ()))


def ended_rollouts(rows: Sequence[LedgerRow]) -> tuple[RolloutEnd, ...]:
    """Return the rollouts that are over, in the order of their beginning."""
    running = running_rollout(rows)
    names = dict.fromkeys(row.body["experiment"] for row in rows if row.action is LedgerAction.SHIFT)
    return tuple(
        _end(rows, _shifts(rows, name)) for name in names if running is None or name != running.experiment
    )


def retrains_by_rollout(rows: Sequence[LedgerRow]) -> dict[str, RetrainOutcome]:
    """Return what those retrains came to whose version had its rollout, by the label of the run."""
    queued = {row.seq: row for row in rows if row.action is LedgerAction.QUEUE}
    began = {
        row.body["experiment"]: [queued[seq] for seq in _queued_by(row) if seq in queued]
        for row in rows
        if row.action is LedgerAction.SHIFT and row.body.get("queued") in queued
    }
    return {
        RunContext(**(waited.body.get("run") or {})).label: _learned(one, waited)
        for one in ended_rollouts(rows)
        if one.outcome in LEARNED
        for waited in began.get(one.experiment, ())
    }


def _queued_by(row: LedgerRow) -> list[int]:
    """Return the rows by which the versions waited that a rollout's first row begins to try."""
    return [row.body["queued"], *(one["queued"] for one in row.body.get("others") or ())]


def _learned(end: RolloutEnd, waited: LedgerRow) -> RetrainOutcome:
    """Return what the retrain of one version came to: of several at most one is promoted."""
    is_another = end.outcome is RolloutOutcome.PROMOTED and waited.version != end.version
    return RetrainOutcome.KEPT if is_another else LEARNED[end.outcome]


def _about(rows: Sequence[LedgerRow], experiment: str, *actions: LedgerAction) -> list[LedgerRow]:
    return [row for row in rows if row.action in actions and row.body.get("experiment") == experiment]


def _shifts(rows: Sequence[LedgerRow], experiment: str) -> list[LedgerRow]:
    return _about(rows, experiment, LedgerAction.SHIFT)


def _rollout(rows: Sequence[LedgerRow], shifts: Sequence[LedgerRow]) -> Rollout:
    first, last = shifts[0], shifts[-1]
    experiment = str(first.body["experiment"])
    begun = next(row for row in shifts if row.body["step"] == last.body["step"])
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
        step_epoch=begun.epoch,
        step_since=begun.at,
        started_at=first.at,
        salt=RoutePlan.of_row(first).salt,
        others=tuple(Challenger.model_validate(_without_queued(one)) for one in first.body.get("others", ())),
        withdrawn=tuple(last.body.get("withdrawn", ())),
        **_paused(rows, experiment),
        **_asked(rows, experiment),
    )


def _without_queued(other: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in other.items() if name != "queued"}


def _paused(rows: Sequence[LedgerRow], experiment: str) -> dict[str, Any]:
    said = [
        row
        for row in rows
        if row.action in (LedgerAction.PAUSE, LedgerAction.RESUME)
        and row.body.get("experiment") == experiment
    ]
    if not said or said[-1].action is not LedgerAction.PAUSE:
        return {}
    return {"paused_by": said[-1].actor, "paused_reason": one_line(said[-1].body.get("reason") or "")}


def _asked(rows: Sequence[LedgerRow], experiment: str) -> dict[str, Any]:
    asked = [
        row for row in rows if row.action is LedgerAction.ASK and row.body.get("experiment") == experiment
    ]
    if not asked:
        return {}
    until = datetime.fromisoformat(asked[-1].body["asked_until"])
    return {"asked_by": asked[-1].body["run"], "asked_until": until}


def _routed(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    return [row for row in rows if row.action in ROUTING]


def _last_split(rows: Sequence[LedgerRow], experiment: str) -> int:
    """Return the place, among the routing rows, of the last one that splits the traffic for a rollout."""
    splits = (
        place
        for place, row in enumerate(_routed(rows))
        if row.action not in SWITCHES and experiment_of(row) == experiment
    )
    return max(splits)


def _end(rows: Sequence[LedgerRow], shifts: Sequence[LedgerRow]) -> RolloutEnd:
    """Return how a rollout ended: by the first routing row after its last split.

    A promotion of it that was never committed ended nothing: what came after it did.
    """
    first = shifts[0]
    experiment = str(first.body["experiment"])
    after = _routed(rows)[_last_split(rows, experiment) + 1 :]
    closing = next(
        row
        for row in after
        if row.action is not LedgerAction.INTEND
        or experiment_of(row) != experiment
        or commit_of(rows, row.epoch) is not None
    )
    outcome, reason = _told(rows, closing, first)
    return RolloutEnd(
        experiment=experiment,
        version=closing.version if outcome is RolloutOutcome.PROMOTED else first.version,
        tried=tuple(_versions_of(first)),
        outcome=outcome,
        epoch=closing.epoch,
        started_at=first.at,
        ended_at=closing.at,
        reason=reason,
    )


def _versions_of(first: LedgerRow) -> list[str]:
    return [first.version, *(str(one["version"]) for one in first.body.get("others") or ())]


def _told(rows: Sequence[LedgerRow], closing: LedgerRow, first: LedgerRow) -> tuple[RolloutOutcome, str]:
    """Return outcome and reason; a version that was promoted without this rollout's proof broke it off."""
    reason, tried = str(closing.body.get("reason", "")), tried_by(first)
    if closing.action is LedgerAction.ROLL_BACK and closing.body.get("rolled_back") in tried:
        return RolloutOutcome(closing.body.get("outcome", RolloutOutcome.STOPPED)), reason
    proved = closing.action is LedgerAction.INTEND and experiment_of(closing) == first.body["experiment"]
    if proved and closing.digest in tried and commit_of(rows, closing.epoch) is not None:
        return RolloutOutcome.PROMOTED, reason
    return RolloutOutcome.BROKEN_OFF, reason or f"{closing.action.value} of version {closing.version}"


__all__ = [
    "decision_digest",
    "ended_rollouts",
    "ending_of",
    "experiment_name",
    "experiment_of",
    "retrains_by_rollout",
    "rollout_route",
    "running_rollout",
    "tried_by",
    "versions_by_row",
    "waiting_rows",
]
