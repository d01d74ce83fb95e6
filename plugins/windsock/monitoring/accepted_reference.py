"""What a person has accepted as a version's reference, read back and proved."""

from __future__ import annotations

import json

from pydantic import ValidationError

from windsock.exceptions import UnverifiedBundleError
from windsock.ports import Ports
from windsock.records import Champion, LedgerRow, Span
from windsock.records.accepted_drift import AcceptedDrift, acceptance_of

CODE = "WS-MONITORING-117"


def accepted_reference(
    ports: Ports, champion: Champion, window: Span
) -> tuple[AcceptedDrift, LedgerRow] | None:
    """Return what a window of the version that serves is held against in place of its training rows.

    :returns: the document and the row of the ledger that names it; ``None``: nobody has accepted drift of
        this version that lies before the window.
    :raises UnverifiedBundleError: if the document is not what the ledger's row names: such a window has no
        verdict.
    """
    row = acceptance_of(ports.ledger.rows(champion.model), champion.digest, before=window.end)
    if row is None:
        return None
    accepted = read_document(ports, row.body["profile_uri"], row.body["profile_digest"])
    if (accepted.model, accepted.digest) != (champion.model, champion.digest):
        raise _changed(row.body["profile_uri"], champion.model, "it is of another version")
    return accepted, row


def told_of(accepted: AcceptedDrift, row: LedgerRow) -> str:
    """Return the sentence that says what windows are held against, and who has said so."""
    span = accepted.windows
    unread = f"; not {', '.join(accepted.unread)}, which could not be read" if accepted.unread else ""
    return (
        f"held against the {accepted.rows:,} rows of {span.start:%Y-%m-%d %H:%M} to "
        f"{span.end:%Y-%m-%d %H:%M} UTC whose drift {row.actor} has accepted (row {row.seq} of the ledger), "
        f"not against the training rows{unread}"
    )


def read_document(ports: Ports, uri: str, digest: str) -> AcceptedDrift:
    """Return the document of an acceptance.

    :raises UnverifiedBundleError: if it is not there, not what was signed, or no such document.
    :raises StorageError: if the storage root does not answer.
    """
    model = uri.split("/")[1] if uri.count("/") > 1 else ""
    try:
        content = ports.bundles.read_document(uri, digest)
    except UnverifiedBundleError as error:
        raise _changed(uri, model, error.message) from error
    try:
        return AcceptedDrift.model_validate(json.loads(content))
    except (ValidationError, ValueError):
        raise _changed(uri, model, "this release cannot read it") from None


def _changed(uri: str, model: str, why: str) -> UnverifiedBundleError:
    return UnverifiedBundleError(
        f"the accepted drift in {uri} is not what the ledger names: {why}; no window is held against it",
        code=CODE,
        next_action="Find out who changed it and restore it from a backup, or accept the same windows again: "
        f"`windsock monitor {model or 'NAME'} --accept-drift --reason WHY`.",
    )
