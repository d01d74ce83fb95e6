"""What a version's signed evidence pack must say before anything is done with the version."""

from __future__ import annotations

import json
from typing import Any

from windsock.exceptions import GateRefusedError, WindsockError
from windsock.ports import Ports
from windsock.records import LedgerRow


def require_evidence(ports: Ports, row: LedgerRow) -> None:
    """See that the signed evidence pack of a decision or registration says what its row says, and says yes.

    :param row: the row of the decision or the registration.
    :raises UnverifiedBundleError: if the pack is not there as it was signed.
    :raises StorageError: if the storage does not answer.
    :raises GateRefusedError: if it is the pack of another version, or carries no yes.
    """
    content = ports.bundles.read_document(row.body["evidence_uri"], row.body["evidence_digest"])
    if fault := _fault(json.loads(content), row):
        raise GateRefusedError(
            f"{row.model}: the signed evidence pack {row.body['evidence_uri']} {fault}",
            code="WS-GATE-015",
            next_action="Restore the pack from a backup, or run the retrain DAG; nothing goes on without it.",
        )


def has_evidence(ports: Ports, row: LedgerRow) -> bool:
    """Return whether :func:`require_evidence` holds."""
    try:
        require_evidence(ports, row)
    except WindsockError:
        return False
    return True


def _fault(pack: dict[str, Any], row: LedgerRow) -> str:
    """Return what does not fit; empty if all does."""
    decision, inputs = pack["decision"], pack["inputs"]
    about = {
        "model": (pack["model"], row.model),
        "bundle": (inputs["bundle"], row.digest),
        "decision's bundle": (decision["bundle_digest"], row.digest),
        "tier": (pack["tier"], row.body["tier"]),
        "policy": (inputs["policy"], row.body.get("policy_digest") or inputs["policy"]),
        "snapshot": (inputs["snapshot"], row.body["snapshot_digest"]),
    }
    if other := [what for what, (said, wanted) in about.items() if said != wanted]:
        return f"is about another {', '.join(other)} than the ledger's row {row.seq}"
    if decision["outcome"] != "promote":
        return f"says {decision['outcome']}"
    checks = {check["name"]: check["status"] for check in decision["checks"]}
    if sorted(checks) != sorted(decision["required"]):
        return "does not hold the required checks"
    unmet = [name for name, status in checks.items() if status != "pass" and name not in decision["asks"]]
    return f"says that {', '.join(unmet)} did not pass" if unmet else ""
