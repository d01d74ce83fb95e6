"""What a version's signed evidence pack must say before anything is done with the version."""

from __future__ import annotations

import json
from typing import Any

from windsock.exceptions import GateRefusedError, WindsockError
from windsock.ports import Ports
from windsock.records import LedgerRow
from windsock.records.evidence_pack import fault_in_pack


def require_evidence(ports: Ports, row: LedgerRow) -> None:
    """See that the signed evidence pack of a decision or registration says what its row says, and says yes.

    :raises WindsockError: as :func:`evidence_of` does.
    """
    evidence_of(ports, row)


def evidence_of(ports: Ports, row: LedgerRow) -> dict[str, Any]:
    """Return the signed evidence pack of a decision or registration, which says what its row says, and yes.

    :param row: the row of the decision or the registration.
    :raises UnverifiedBundleError: if the pack is not there as it was signed.
    :raises StorageError: if the storage does not answer.
    :raises GateRefusedError: if it is the pack of another version, or carries no yes.
    """
    content = ports.bundles.read_document(row.body["evidence_uri"], row.body["evidence_digest"])
    pack: dict[str, Any] = json.loads(content)
    if fault := fault_in_pack(pack, _about(row)):
        raise GateRefusedError(
            f"{row.model}: the signed evidence pack {row.body['evidence_uri']} {fault}",
            code="WS-GATE-015",
            next_action="Restore the pack from a backup, or run the retrain DAG; nothing goes on without it.",
        )
    return pack


def has_evidence(ports: Ports, row: LedgerRow) -> bool:
    """Return whether :func:`require_evidence` holds."""
    try:
        require_evidence(ports, row)
    except WindsockError:
        return False
    return True


def _about(row: LedgerRow) -> dict[str, Any]:
    """Return what a row says that its pack is about; rows of old do not name the policy."""
    body = row.body
    policy = {"policy": body["policy_digest"]} if body.get("policy_digest") else {}
    return {
        "model": row.model,
        "bundle": row.digest,
        "decision's bundle": row.digest,
        "tier": body["tier"],
        "snapshot": body["snapshot_digest"],
        **policy,
    }
