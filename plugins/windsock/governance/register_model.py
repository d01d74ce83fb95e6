"""``register_model``: give a model that passed the gate its version number and its evidence pack."""

from __future__ import annotations

import logging
import platform
from importlib.metadata import PackageNotFoundError, version

from windsock import __version__
from windsock.exceptions import GateRefusedError
from windsock.governance.evidence import build_evidence, evidence_bytes, evidence_uri, gate_table
from windsock.governance.gate_model import decide
from windsock.ports import Ports
from windsock.records import Outcome, RegisteredVersion, RegisterModelInput
from windsock.spec import digest_of

log = logging.getLogger(__name__)


def register_model(step: RegisterModelInput, ports: Ports, key: str) -> RegisteredVersion:
    """Write the signed evidence pack, register the version and complete its tracking run.

    :raises GateRefusedError: if the decision is not to promote, or not about this evaluation's model.
    :raises TrackingUnavailableError: if MLflow does not answer.
    :raises StorageError: if the evidence pack cannot be written.
    """
    _require_promotion(step)
    name, chosen = step.spec.name, step.evaluation.chosen
    evidence = build_evidence(
        spec=step.spec, decision=step.decision, evaluation=step.evaluation, versions=_versions()
    )
    content = evidence_bytes(evidence)
    uri = evidence_uri(name, chosen.bundle_digest, digest_of(step.nonce)[:12] if step.nonce else None)
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
    log.info("%s: version %s, evidence %s", name, number, uri)
    return RegisteredVersion(
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
