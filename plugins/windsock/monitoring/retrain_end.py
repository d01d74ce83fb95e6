"""What a retrain came to, as the ledger has it: what tasks hand over may have been edited on its way."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from windsock.exceptions import UnverifiedBundleError
from windsock.ports import Ports
from windsock.records import (
    Episode,
    LedgerAction,
    LedgerRow,
    PairedDifference,
    RetrainOutcome,
    RunContext,
    champion_of,
    retrains_by_rollout,
    running_rollout,
    waiting_rows,
)

log = logging.getLogger(__name__)

NO = {"keep": RetrainOutcome.KEPT, "refuse": RetrainOutcome.REFUSED}
"""What the gate's no makes of a retrain, by its row of the ledger."""
BY_WORD = frozenset(
    {RetrainOutcome.FAILED, RetrainOutcome.KEPT, RetrainOutcome.REFUSED, RetrainOutcome.UNCHANGED}
)
"""What a task may say that no row tells; all others have one, or are made of the gate's evidence."""
CODE = "WS-MONITORING-102"


def proved(
    said: RetrainOutcome, episode: Episode | None, rows: Sequence[LedgerRow], holder: str
) -> RetrainOutcome:
    """Return what a retrain came to, by the ledger.

    What the run's own rows say stands, whatever was handed over or left out; else the breaker could be turned
    off, or led, by a word. Where they say nothing (a fault, a question that nobody answered, a version that
    is held), the word stands if it needs no row.

    :param said: what was handed over.
    :param episode: that it was for; ``None``: the outcome closes nothing, and stands.
    :param rows: of the model's ledger.
    :param holder: the run that had the claim.
    """
    if episode is None:
        return said
    found = _by_own_rows(episode, rows, holder) or _believed(said, episode, rows)
    if found is not said:
        log.warning(
            "%s: the retrain was said to be %s, and the ledger does not say so: it counts as %s",
            CODE,
            said.value,
            found.value,
        )
    return found


def _by_own_rows(episode: Episode, rows: Sequence[LedgerRow], holder: str) -> RetrainOutcome | None:
    """Return what the rows of a run, and those about the version that its gate let through, say; or ``None``.

    A version waits if this run has queued it, or it is the one that this run's gate let through.
    """
    gate = gate_row(rows, holder)
    own = [row for row in rows if row.action is LedgerAction.QUEUE and _run_of(row) == holder]
    if gate is None or gate.body["outcome"] in NO:
        if own and (gate is None or own[-1].seq > gate.seq):
            return RetrainOutcome.QUEUED
        return None if gate is None else NO[gate.body["outcome"]]
    about = [row for row in rows if row.seq > gate.seq and row.digest == gate.digest]
    if gate.digest != episode.digest and any(row.action is LedgerAction.COMMIT for row in about):
        return RetrainOutcome.PROMOTED
    if own or _waits(rows, gate.digest):
        return RetrainOutcome.QUEUED
    rejected = any(row.action is LedgerAction.REJECT and not row.body.get("experiment") for row in about)
    return RetrainOutcome.REFUSED if rejected else None


def _believed(said: RetrainOutcome, episode: Episode, rows: Sequence[LedgerRow]) -> RetrainOutcome:
    """Return what a word comes to that no row of the run bears out: one that needs a row counts as no help.

    A promotion is one if another version serves than did when the episode was opened, or did so since its
    claim.
    """
    is_so = said in BY_WORD or (said is RetrainOutcome.PROMOTED and _is_promoted(episode, rows))
    return said if is_so else RetrainOutcome.UNCHANGED


def _is_promoted(episode: Episode, rows: Sequence[LedgerRow]) -> bool:
    """Return whether another version serves, or did in the meantime: a person may have rolled it back."""
    champion = champion_of(rows)
    if champion is not None and champion.digest != episode.digest:
        return True
    begun = episode.claimed_at
    return any(
        row.action is LedgerAction.COMMIT
        and row.digest != episode.digest
        and begun is not None
        and row.at >= begun
        for row in rows
    )


def _waits(rows: Sequence[LedgerRow], digest: str) -> bool:
    """Return whether a version waits for its rollout or is in it."""
    rollout = running_rollout(rows)
    is_tried = rollout is not None and rollout.challenger(digest) is not None
    return is_tried or any(row.digest == digest for row in waiting_rows(rows, most=len(rows)))


def ended_retrains(rows: Sequence[LedgerRow]) -> dict[str, RetrainOutcome]:
    """Return what those retrains came to whose version had its rollout, by the label of the run.

    A run whose gate let a version through that another run had queued came to what that one did.
    """
    ended = dict(retrains_by_rollout(rows))
    queued = {row.digest: _run_of(row) for row in rows if row.action is LedgerAction.QUEUE}
    own = {_run_of(row) for row in rows if row.action is LedgerAction.QUEUE}
    for row in rows:
        if row.action is not LedgerAction.DECIDE or row.body["outcome"] in NO or _run_of(row) in own:
            continue
        if (came := ended.get(queued.get(row.digest, ""))) is not None:
            ended[_run_of(row)] = came
    return ended


def gate_row(rows: Sequence[LedgerRow], holder: str) -> LedgerRow | None:
    """Return the row of what the gate said last in a run; ``None``: it said nothing there."""
    made = (row for row in reversed(rows) if row.action is LedgerAction.DECIDE and _run_of(row) == holder)
    return next(made, None)


def _run_of(row: LedgerRow) -> str:
    return RunContext(**(row.body.get("run") or {})).label


def difference_of(
    handed: PairedDifference | None, ports: Ports, rows: Sequence[LedgerRow], holder: str
) -> PairedDifference | None:
    """Return a new version's difference to the champion, from the signed evidence of the gate's decision.

    Only a no of the gate is about a difference: one of a person, or a fault after a yes, is not.

    :param handed: as it was handed over: it stands where the gate has said nothing in this run.
    :returns: ``None`` where none is asked for, or the evidence is not there as it was signed: the outcome
        stands then.
    :raises StorageError: if the storage does not answer.
    """
    row = gate_row(rows, holder)
    if row is None:
        return handed
    if row.body["outcome"] not in NO:
        return None
    try:
        content = ports.bundles.read_document(row.body["evidence_uri"], row.body["evidence_digest"])
    except UnverifiedBundleError as error:
        log.warning(
            "%s: %s: the difference to the champion is not known: %s", CODE, error.code, error.message
        )
        return None
    met = (json.loads(content).get("evaluation") or {}).get("against_champion")
    return None if met is None else PairedDifference.model_validate(met)
