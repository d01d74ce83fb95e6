"""``register_model``: give a model that passed the gate its version number and its evidence pack."""

from __future__ import annotations

import logging
import platform
from importlib.metadata import PackageNotFoundError, version

from windsock import __version__
from windsock.door import append_once
from windsock.exceptions import GateRefusedError
from windsock.governance.evidence import build_evidence, evidence_bytes, evidence_uri, gate_table
from windsock.governance.gate_model import decide
from windsock.ports import Ports
from windsock.records import LedgerAction, LedgerEntry, Outcome, RegisteredVersion, RegisterModelInput
from windsock.spec import digest_of

log = logging.getLogger(__name__)


def register_model(step: RegisterModelInput, ports: Ports, key: str) -> RegisteredVersion:
    """Write the signed evidence pack, register the version, complete its tracking run, tell the ledger.

    The ledger's row comes last: it says that all the rest is there, and nothing is deployed without it.

    :raises GateRefusedError: if the decision is not to promote, or not about this evaluation's model.
    :raises TrackingUnavailableError: if MLflow does not answer.
    :raises StorageError: if the evidence pack cannot be written.
    :raises StaleEpochError: if other writers of the ledger leave no room.
    """
    _require_promotion(step)
    name, chosen = step.spec.name, step.evaluation.chosen
    evidence = build_evidence(
        spec=step.spec, decision=step.decision, evaluation=step.evaluation, versions=_versions()
    )
    content = evidence_bytes(evidence)
    uri = evidence_uri(name, chosen.bundle_digest, _judged_as(step))
    evidence_digest = ports.bundles.put_document(uri, content)
    tags = {
        "windsock.snapshot": step.evaluation.snapshot_digest,
        "windsock.spec": step.spec.content_digest(),
        "windsock.code": __version__,
        "windsock.bundle": chosen.bundle_digest,
        "windsock.bundle_uri": chosen.bundle_uri,
        "windsock.evidence": evidence_digest,
        "windsock.evidence_uri": uri,
    }
    number = ports.registry.register(model=name, key=key, run_id=chosen.run_id, tags=tags)
    ports.tracker.add_to_run(
        chosen.run_id,
        metrics={},
        tags={
            "windsock.gate": step.decision.outcome.value,
            "windsock.version": number,
            "windsock.evidence": evidence_digest,
        },
        files={"evidence.json": content, "gate.csv": gate_table(step.decision.checks)},
    )
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
    row = append_once(ports.ledger, _entry(step, registered), standing=registered.registration)
    log.info("%s: version %s, evidence %s", name, number, uri)
    return registered.model_copy(update={"asks": tuple(row.body["asks"]), "registered_at": row.at})


def _judged_as(step: RegisterModelInput) -> str | None:
    """Return what tells the evidence of one bundle's judgements apart; ``None`` for a first model's own."""
    told = [part for part in (step.decision.opponent, step.nonce) if part]
    return digest_of(told)[:12] if told else None


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
            **step.run.origin,
        },
    )


def _require_promotion(step: RegisterModelInput) -> None:
    name, decision, evaluation = step.spec.name, step.decision, step.evaluation
    if decision.outcome is not Outcome.PROMOTE:
        raise GateRefusedError(
            f"{name}: the gate said {decision.outcome.value}, only promote is registered: {decision.reason}"
        )
    again = decide(decision.required, decision.checks, "ask" if decision.asks else "refuse")
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


def _versions() -> dict[str, str]:
    return {
        "windsock": __version__,
        "scikit-learn": _version("scikit-learn"),
        "python": platform.python_version(),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
