"""What becomes of a decision of the gate: a signed pack, a tag and a row; how a later step finds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from windsock.door import append_once
from windsock.exceptions import GateRefusedError
from windsock.governance.checks import is_silent, required_checks
from windsock.governance.evidence import (
    build_evidence,
    evidence_bytes,
    evidence_uri,
    gate_table,
    versions_here,
)
from windsock.ports import Ports
from windsock.records import (
    Evaluation,
    GateDecision,
    GateModelInput,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    Outcome,
    RegisterModelInput,
)
from windsock.spec import ModelSpec

AGAIN = "Clear gate_model and what follows it, so that the gate decides on what is there now."


def keep_decision(step: GateModelInput, decision: GateDecision, ports: Ports, key: str) -> GateDecision:
    """Keep what the gate said, whatever it said: signed pack, tag of the tracking run, row of the ledger.

    The row comes last: it says that the rest is there. Where a try that was killed has written the pack of
    the same decision already, that one stands.

    :param key: the key of the gate's step; empty: the pack has the decision's own name.
    :returns: the decision that stands.
    :raises TrackingUnavailableError: if MLflow does not answer.
    :raises StorageError: if the pack cannot be written.
    """
    decision, content, uri, pack = _write_pack(step, decision, ports, key)
    files = {"evidence.json": content, "gate.csv": gate_table(decision.checks)}
    tags = {"windsock.gate": decision.outcome.value, "windsock.evidence": pack}
    ports.tracker.add_to_run(decision.run_id, metrics={}, tags=tags, files=files)
    ports.tracker.add_to_parent(decision.run_id, metrics={}, tags=tags)
    told = decision.content_digest()
    entry = LedgerEntry(
        model=step.spec.name,
        action=LedgerAction.DECIDE,
        epoch=0,
        version="-",
        digest=decision.bundle_digest,
        actor=step.run.actor,
        body={
            "outcome": decision.outcome.value,
            "decision": told,
            "evaluation": step.evaluation.content_digest(),
            "spec": step.spec.content_digest(),
            "policy_digest": decision.policy_digest,
            "snapshot_digest": decision.snapshot_digest,
            "tier": step.spec.model.tier,
            "run_id": decision.run_id,
            "evidence_digest": pack,
            "evidence_uri": uri,
            "requester": step.run.requested_by,
            "run": step.run.named,
            "reason": decision.reason,
            **step.run.origin,
        },
    )
    append_once(ports.ledger, entry, standing=lambda rows: decision_row(rows, told))
    return decision


def _write_pack(
    step: GateModelInput, decision: GateDecision, ports: Ports, key: str
) -> tuple[GateDecision, bytes, str, str]:
    """Write the signed pack; return the decision that stands, its pack, where it lies, and its digest."""
    name, told = step.spec.name, decision.content_digest()
    content = _pack(step, decision)
    uri = evidence_uri(name, decision.bundle_digest, key or told)
    pack = ports.bundles.put_document(uri, content)
    if pack == hashlib.sha256(content).hexdigest():
        return decision, content, uri, pack
    before = ports.bundles.read_document(uri, pack)
    earlier = decision.replace(decided_at=json.loads(before)["decision"]["decided_at"])
    if _pack(step, earlier) == before:
        return earlier, before, uri, pack
    uri = evidence_uri(name, decision.bundle_digest, told)
    return decision, content, uri, ports.bundles.put_document(uri, content)


def _pack(step: GateModelInput, decision: GateDecision) -> bytes:
    evidence = build_evidence(
        spec=step.spec, decision=decision, evaluation=step.evaluation, versions=versions_here()
    )
    return evidence_bytes(evidence)


def decision_row(rows: Sequence[LedgerRow], digest: str) -> LedgerRow | None:
    """Return the row that keeps a decision, by the digest of its record."""
    kept = (row for row in rows if row.action is LedgerAction.DECIDE and row.body["decision"] == digest)
    return next(kept, None)


def require_decision(step: RegisterModelInput, ports: Ports) -> LedgerRow:
    """Return the row by which the gate said yes to this very evaluation under this very spec.

    :raises GateRefusedError: if there is none, or the spec asks for other checks by now.
    """
    name = step.spec.name
    row = decision_row(ports.ledger.rows(name), step.decision.content_digest())
    if row is None:
        raise GateRefusedError(
            f"{name}: the ledger has no decision of the gate that says what was handed over",
            code="WS-GATE-014",
            next_action=AGAIN,
        )
    present = {
        "outcome": Outcome.PROMOTE.value,
        "evaluation": step.evaluation.content_digest(),
        "spec": step.spec.content_digest(),
        "policy_digest": step.spec.section_digest("gate"),
        "tier": step.spec.model.tier,
    }
    if other := [what for what, value in present.items() if row.body[what] != value]:
        raise GateRefusedError(
            f"{name}: the gate decided on another {', '.join(other).replace('_digest', '')} than stands now",
            code="WS-GATE-014",
            next_action=AGAIN,
        )
    asked = required_now(step.spec, step.decision, step.evaluation)
    if step.decision.required != asked:
        raise GateRefusedError(
            f"{name}: the policy asks for other checks than those that were decided by: {', '.join(asked)}",
            code="WS-GATE-014",
            next_action=AGAIN,
        )
    return row


def required_now(spec: ModelSpec, decision: GateDecision, evaluation: Evaluation) -> tuple[str, ...]:
    """Return the checks that the policy of a spec asks for."""
    silent = is_silent(evaluation.against_champion)
    asked = decision.validation is not None and bool(decision.validation.asks)
    return required_checks(
        spec,
        first_model=decision.first_model,
        silent_champion=silent,
        asked=asked,
        unanswered=bool(evaluation.unanswered),
        suspects=decision.validation is not None and bool(decision.validation.suspects),
    )
