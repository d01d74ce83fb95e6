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
    running_rollout,
    waiting_rows,
)

log = logging.getLogger(__name__)

NO = {"keep": RetrainOutcome.KEPT, "refuse": RetrainOutcome.REFUSED}
"""What the gate's no makes of a retrain, by its row of the ledger."""
CODE = "WS-MONITORING-102"


def proved(
    said: RetrainOutcome, episode: Episode | None, rows: Sequence[LedgerRow], holder: str
) -> RetrainOutcome:
    """Return what a retrain came to, by the ledger.

    A promotion is one if another version serves than did when the episode was opened, or did so since its
    claim; else the breaker could be turned off by a word. Likewise a version waits only if the ledger has one
    that does, and a fault is none where the gate said no.

    :param said: what was handed over.
    :param episode: that it was for; ``None``: the outcome closes nothing, and stands.
    :param rows: of the model's ledger.
    :param holder: the run that had the claim.
    """
    if episode is None:
        return said
    is_so = {RetrainOutcome.PROMOTED: _is_promoted, RetrainOutcome.QUEUED: _is_queued}.get(said)
    if is_so is None:
        row = gate_row(rows, holder) if said is RetrainOutcome.FAILED else None
        return said if row is None else NO.get(row.body["outcome"], said)
    if is_so(episode, rows, holder):
        return said
    row = gate_row(rows, holder)
    found = RetrainOutcome.UNCHANGED if row is None else NO.get(row.body["outcome"], RetrainOutcome.UNCHANGED)
    log.warning(
        "%s: the retrain was said to be %s, and the ledger has no such row: it counts as %s",
        CODE,
        said.value,
        found.value,
    )
    return found


def _is_promoted(episode: Episode, rows: Sequence[LedgerRow], holder: str) -> bool:
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


def _is_queued(episode: Episode, rows: Sequence[LedgerRow], holder: str) -> bool:
    """Return whether a version waits for its rollout, is in it, or was queued by this very run."""
    own = any(row.action is LedgerAction.QUEUE and _run_of(row) == holder for row in rows)
    return own or bool(waiting_rows(rows, most=len(rows))) or running_rollout(rows) is not None


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

    :param handed: as it was handed over: it stands where the gate has said nothing in this run. ``None``: no
        difference is asked for.
    :returns: ``None`` where the evidence is not there as it was signed: the outcome stands then.
    :raises StorageError: if the storage does not answer.
    """
    row = gate_row(rows, holder)
    if handed is None or row is None:
        return handed
    try:
        content = ports.bundles.read_document(row.body["evidence_uri"], row.body["evidence_digest"])
    except UnverifiedBundleError as error:
        log.warning(
            "%s: %s: the difference to the champion is not known: %s", CODE, error.code, error.message
        )
        return None
    met = (json.loads(content).get("evaluation") or {}).get("against_champion")
    return None if met is None else PairedDifference.model_validate(met)
