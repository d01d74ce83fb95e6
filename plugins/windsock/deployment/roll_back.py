"""``roll_back``: serve an earlier champion again; needs neither the registry nor an approval."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from windsock.door import (
    Turn,
    end_rollout,
    finish_abandoned,
    has_evidence,
    looked_at_anew,
    mirror_champion,
    require_deployed,
    switch_route,
    write_roll_back,
)
from windsock.door.rollout_close import close_rollout
from windsock.exceptions import RolloutRefusedError, SlotAddressError, VerdictError
from windsock.ports import Ports
from windsock.records import (
    LedgerAction,
    LedgerRow,
    RollBack,
    RollBackInput,
    Rollout,
    RoutePlan,
    champion_line,
    champion_of,
    commit_of,
    ended_rollouts,
    last_routing_row,
    open_switch,
    registration_of,
    running_rollout,
)

log = logging.getLogger(__name__)

MEANT_FOR_ROLLOUT = timedelta(minutes=15)
"""So long after a rollout ended by a roll back, one that names no version is taken to be meant for it."""


def roll_back(step: RollBackInput, ports: Ports, key: str) -> RollBack:
    """Give an earlier champion all traffic again, and hold what served until a person forces it.

    A promotion that is under way is stopped by it: the champion keeps serving. So is a rollout: the champion
    gets all traffic back, and its challenger is held. With ``experiment`` that rollout ends and nothing else;
    where it is over, nothing is done. Shortly after a rollout has ended by a roll back only a version that is
    named is gone back to: whoever names none may have meant the rollout.

    :raises VerdictError: if there is nothing to go back to.
    :raises RolloutRefusedError: if there never was the rollout that was named.
    :raises ServerUnavailableError: if the server does not answer.
    :raises DeploymentRefusedError: if the earlier champion does not answer its golden predictions.
    :raises StaleEpochError: if another routing change came first.
    """
    rows = ports.ledger.rows(step.model)
    if step.experiment is None and (done := _done_before(step, rows)) is not None:
        return _told(step, ports, done, unchanged=True)
    rollout = _ended_by(step, rows)
    if rollout is not None or step.experiment is not None:
        named = rollout.experiment if rollout else step.experiment
        return _end_rollout(step.replace(experiment=named), ports, emergency=step.experiment is None)
    row = _open_roll_back(step, rows)
    if row is None or not _can_be_laid(ports, row):
        if (ended := _just_ended(step, rows, ports.now())) is not None:
            return _meant_for(ended, step, ports)
        turn = choose_turn(step, rows, partial(_is_proved, ports, rows))
        finish_abandoned(ports, last_routing_row(rows), turn.target.digest)
        row = write_roll_back(step, ports, rows, turn)
    commit = switch_route(ports, row, champion=champion_of(rows), actor=step.run.actor)
    return _turned(step, ports, commit)


def _end_rollout(step: RollBackInput, ports: Ports, *, emergency: bool) -> RollBack:
    """End the rollout that the step names; a deployment that comes first holds nothing up.

    :param emergency: whether its report is left to housekeeping: no rollout was named, and nothing waits.
    """

    def end() -> RollBack:
        rows = ports.ledger.rows(step.model)
        if (done := _done_before(step, rows)) is not None:
            return _told(step, ports, done, unchanged=True)
        if (rollout := _ended_by(step, rows)) is None:
            return _over(step, ports, rows)
        return _turned(step, ports, end_rollout(step, ports, rows, rollout))

    done, name = looked_at_anew(end, model=step.model), str(step.experiment)
    if emergency:
        return done.replace(follows=f"the report and the runs of rollout {name} in MLflow say its end later")
    return done.replace(follows=close_rollout(ports, step.model, name))


def _turned(step: RollBackInput, ports: Ports, commit: LedgerRow) -> RollBack:
    log.info(
        "%s: version %s serves again instead of %s, epoch %d",
        step.model,
        commit.version,
        commit.body["rolled_back_version"],
        commit.epoch,
    )
    return _told(step, ports, commit, unchanged=False)


def _is_proved(ports: Ports, rows: Sequence[LedgerRow], commit: LedgerRow) -> bool:
    """Return whether the signed evidence of a champion of before says that it passed the gate."""
    evidence = commit.body.get("evidence_digest")
    registered = registration_of(rows, commit.version, commit.digest, evidence)
    return registered is not None and has_evidence(ports, registered)


def choose_turn(
    step: RollBackInput, rows: Sequence[LedgerRow], is_proved: Callable[[LedgerRow], bool]
) -> Turn:
    """Return what must stop serving and what must serve again: the last champion whose evidence verifies.

    Where none does, such as while the storage is away, it is the last one by the signed ledger, with a
    warning: an emergency is not kept waiting for a document.

    :param is_proved: whether the evidence of a commit's version verifies.
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
        if len(bundles := dict.fromkeys(row.digest[:12] for row in commits)) > 1:
            raise VerdictError(
                f"{step.model}: version {step.to_version} was given to {len(bundles)} bundles before numbers "
                f"were kept apart: {', '.join(bundles)}; it names none of them",
                code="WS-ROLLBACK-004",
                next_action="Name another version, or none for the champion before.",
            )
        target = _proved_of(step.model, commits[-1:], is_proved)
    elif earlier:
        target = _proved_of(step.model, earlier, is_proved)
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
    return Turn(bad.digest, bad.version, target)


def _proved_of(model: str, commits: Sequence[LedgerRow], is_proved: Callable[[LedgerRow], bool]) -> LedgerRow:
    """Return the last commit whose evidence verifies, or the last one of all."""
    proved = next((commit for commit in reversed(commits) if is_proved(commit)), commits[-1])
    passed_over = [commit.version for commit in commits if commit.seq > proved.seq]
    if passed_over:
        log.warning(
            "WS-ROLLBACK-005: %s: the evidence of version %s is not what was signed; gone back to version %s",
            model,
            ", ".join(passed_over),
            proved.version,
        )
    elif not is_proved(proved):
        log.warning(
            "WS-ROLLBACK-005: %s: no evidence can be verified; version %s was champion by the ledger",
            model,
            proved.version,
        )
    return proved


def _ended_by(step: RollBackInput, rows: Sequence[LedgerRow]) -> Rollout | None:
    """Return the rollout that is under way if it is what this ends; an earlier version named is gone to."""
    rollout = running_rollout(rows)
    if rollout is None or step.experiment not in (None, rollout.experiment):
        return None
    named = step.to_version if step.experiment is None else None
    return rollout if named in (None, rollout.champion_version) else None


def _over(step: RollBackInput, ports: Ports, rows: Sequence[LedgerRow]) -> RollBack:
    """Return what there is to say of a rollout that is over.

    :raises RolloutRefusedError: if there never was one of that name.
    """
    end = next((end for end in ended_rollouts(rows) if end.experiment == step.experiment), None)
    champion = champion_of(rows)
    if end is None or champion is None:
        raise RolloutRefusedError(
            f"{step.model}: there never was a rollout {str(step.experiment)[:80]}; nothing was done",
            code="WS-ROLLOUT-001",
            next_action="Look at `windsock rollout status NAME`.",
        )
    return RollBack(
        model=step.model,
        version=champion.version,
        digest=champion.digest,
        epoch=champion.epoch,
        rolled_back_version=end.version,
        alias_mirrored=mirror_champion(ports, step.model, champion.version),
        unchanged=True,
        reason=f"rollout {end.experiment} is over: {end.outcome.value}; nothing was done",
        committed_at=champion_line(rows)[-1].at,
    )


def _just_ended(step: RollBackInput, rows: Sequence[LedgerRow], now: datetime) -> LedgerRow | None:
    """Return the commit by which a rollout ended shortly before, where no version to go back to is named."""
    line = champion_line(rows)
    if step.to_version is not None or not line or open_switch(rows) is not None:
        return None
    ended = line[-1]
    by_roll_back = ended.body.get("experiment") is not None and "rolled_back" in ended.body
    return ended if by_roll_back and abs(now - ended.at) < MEANT_FOR_ROLLOUT else None


def _meant_for(ended: LedgerRow, step: RollBackInput, ports: Ports) -> RollBack:
    minutes = int(abs(ports.now() - ended.at).total_seconds() // 60)
    ago = f"{minutes} minute{'' if minutes == 1 else 's'} ago" if minutes else "just now"
    told = _told(step, ports, ended, unchanged=True)
    why = f"rollout {ended.body['experiment']} ended {ago}: version {ended.version} serves"
    return told.replace(reason=f"WS-ROLLOUT-016: {why}; name to_version to go further back")


def _done_before(step: RollBackInput, rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the commit that this very run has made in an earlier try."""
    run = step.run.named
    own = [
        row
        for row in rows
        if row.action is LedgerAction.ROLL_BACK
        and run
        and row.body.get("run") == run
        and step.experiment in (None, row.body.get("experiment"))
    ]
    return commit_of(rows, own[-1].epoch) if own else None


def _open_roll_back(step: RollBackInput, rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """Return the roll back to the same version that a killed try left open."""
    row = open_switch(rows)
    if row is None or row.action is not LedgerAction.ROLL_BACK:
        return None
    return row if step.to_version in (None, row.version) else None


def _can_be_laid(ports: Ports, row: LedgerRow) -> bool:
    """Return whether every address of a plan is one of a deployment still; else the plan is made anew."""
    try:
        require_deployed(ports, RoutePlan.of_row(row))
    except SlotAddressError as error:
        log.warning("%s: %s; the roll back is written anew without it", error.code, error.message)
        return False
    return True


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
