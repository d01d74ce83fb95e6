"""``register_model``: give a model that passed the gate its version number."""

from __future__ import annotations

import logging

from windsock import __version__
from windsock.door import append_once, require_evidence
from windsock.exceptions import GateRefusedError
from windsock.governance.checks import ALWAYS_ASKED
from windsock.governance.decisions import require_decision
from windsock.governance.gate_model import decide
from windsock.governance.version_numbers import registration_or_free
from windsock.ports import MODEL_VERSION, ModelAbout, Ports
from windsock.records import (
    LedgerAction,
    LedgerEntry,
    Outcome,
    RegisteredVersion,
    RegisterModelInput,
    numbers_used,
)
from windsock.texts import inline, paragraph

log = logging.getLogger(__name__)

MOST_DESCRIBED = 2_000
"""Characters of a model's description that MLflow shows."""


def register_model(step: RegisterModelInput, ports: Ports, key: str) -> RegisteredVersion:
    """Register the version that the gate's stored decision is about, and tell the ledger.

    The decision that was handed over is a reference: what counts is the ledger's row of it and its signed
    pack. The ledger's row comes last: it says that all the rest is there, and nothing is deployed without it.

    :raises GateRefusedError: if the gate did not decide so, or decided on another model, spec or policy.
    :raises UnverifiedBundleError: if the decision's evidence pack is not what was signed.
    :raises ForeignModelError: if the registered model is another installation's.
    :raises TrackingUnavailableError: if MLflow does not answer.
    :raises StaleEpochError: if other writers of the ledger leave no room.
    """
    _require_promotion(step)
    decided = require_decision(step, ports)
    name, chosen = step.spec.name, step.evaluation.chosen
    uri, evidence_digest = decided.body["evidence_uri"], decided.body["evidence_digest"]
    require_evidence(ports, decided)
    tags = {
        "windsock.snapshot": step.evaluation.snapshot_digest,
        "windsock.spec": step.spec.content_digest(),
        "windsock.code": __version__,
        "windsock.bundle": chosen.bundle_digest,
        "windsock.bundle_uri": chosen.bundle_uri,
        "windsock.evidence": evidence_digest,
        "windsock.evidence_uri": uri,
    }
    used = numbers_used(ports.ledger.rows(name))
    number = ports.registry.register(
        model=name, key=key, run_id=chosen.run_id, tags=tags, used=used, about=_about(step)
    )
    named = {MODEL_VERSION: number}
    ports.tracker.add_to_run(chosen.run_id, metrics={}, tags=named, files={})
    ports.tracker.add_to_parent(chosen.run_id, metrics={}, tags=named)
    registered = RegisteredVersion(
        model=name,
        version=number,
        digest=chosen.bundle_digest,
        bundle_uri=chosen.bundle_uri,
        run_id=chosen.run_id,
        snapshot_digest=step.evaluation.snapshot_digest,
        evidence_digest=evidence_digest,
        evidence_uri=uri,
        asks=step.decision.asks,
        registered_at=ports.now(),
    )
    row = append_once(ports.ledger, _entry(step, registered), standing=registration_or_free(registered))
    log.debug("%s: version %s, evidence %s", name, number, uri)
    return registered.replace(asks=tuple(row.body["asks"]), registered_at=row.at)


def _about(step: RegisterModelInput) -> ModelAbout:
    """Return what people read of the model and of this version in MLflow."""
    spec, label = step.spec, step.evaluation.chosen.candidate.label
    told = paragraph(spec.model.description, MOST_DESCRIBED)
    written = f"Owner: {inline(spec.model.owner)}; tier: {spec.model.tier}."
    if spec.model.runbook:
        written += f" Runbook: {inline(spec.model.runbook)}"
    champion = "Which version serves is said by Windsock's ledger; the alias `champion` mirrors it."
    return ModelAbout(
        owner=spec.model.owner,
        tier=spec.model.tier,
        description="\n\n".join(part for part in (told, written, champion) if part),
        version=f"{inline(label)}. Gate: {step.decision.outcome.value}; {inline(step.decision.reason)}",
    )


def _entry(step: RegisterModelInput, registered: RegisteredVersion) -> LedgerEntry:
    return LedgerEntry(
        model=registered.model,
        action=LedgerAction.REGISTER,
        epoch=0,
        version=registered.version,
        digest=registered.digest,
        actor=step.run.actor,
        body={
            "bundle_uri": registered.bundle_uri,
            "evidence_digest": registered.evidence_digest,
            "evidence_uri": registered.evidence_uri,
            "snapshot_digest": registered.snapshot_digest,
            "run_id": registered.run_id,
            "outcome": step.decision.outcome.value,
            "asks": list(registered.asks),
            "policy_digest": step.decision.policy_digest,
            "tier": step.spec.model.tier,
            "requester": step.decision.requested_by,
            "opponent": step.decision.opponent,
            "decision": step.decision.content_digest(),
            **step.run.origin,
        },
    )


def _require_promotion(step: RegisterModelInput) -> None:
    name, decision, evaluation = step.spec.name, step.decision, step.evaluation
    if decision.outcome is not Outcome.PROMOTE:
        raise GateRefusedError(
            f"{name}: the gate said {decision.outcome.value}, only promote is registered: {decision.reason}"
        )
    asks = set(decision.asks) - set(ALWAYS_ASKED)  # a person is asked about these whatever the policy
    again = decide(decision.required, decision.checks, "ask" if asks else "refuse")
    if (again.outcome, again.asks) != (decision.outcome, decision.asks):
        raise GateRefusedError(
            f"{name}: the decision says promote, its checks do not: {again.reason}",
            code="WS-GATE-009",
            next_action="Run the gate again on this evaluation.",
        )
    pairs = {
        "model": (decision.model, evaluation.model, name),
        "bundle": (decision.bundle_digest, evaluation.chosen.bundle_digest),
        "snapshot": (decision.snapshot_digest, evaluation.snapshot_digest),
        "opponent": (decision.opponent, evaluation.champion.digest if evaluation.champion else None),
    }
    if wrong := [what for what, seen in pairs.items() if len(set(seen)) > 1]:
        raise GateRefusedError(
            f"{name}: the decision, the evaluation and the spec are not about the same {', '.join(wrong)}",
            code="WS-GATE-009",
            next_action="Run the gate again on this evaluation.",
        )
