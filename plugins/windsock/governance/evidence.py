"""The evidence pack: everything behind one decision of the gate, as one JSON document."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from windsock import __version__
from windsock.records import CheckResult, Evaluation, GateDecision
from windsock.spec import ModelSpec, canonical_json

FORMAT = 1
COLUMNS = ("check", "status", "code", "value", "relation", "limit", "low", "high", "n", "unit", "message")


def evidence_uri(model: str, bundle_digest: str, judgement: str) -> str:
    """Return where the evidence pack of a decision lies, as a path under the storage root.

    :param judgement: what tells this decision on the bundle from others: the key of the gate's step, or the
        decision's digest.
    """
    return f"evidence/{model}/{bundle_digest}-{judgement[:12]}.json"


def build_evidence(
    *, spec: ModelSpec, decision: GateDecision, evaluation: Evaluation, versions: Mapping[str, str]
) -> dict[str, Any]:
    """Return the evidence pack; the same decision gives the same content whenever it is built.

    :param versions: versions of what made the decision: windsock, scikit-learn, python.
    """
    chosen = evaluation.chosen
    return {
        "format": FORMAT,
        "model": spec.name,
        "owner": spec.model.owner,
        "tier": spec.model.tier,
        "inputs": {
            "snapshot": evaluation.snapshot_digest,
            "bundle": chosen.bundle_digest,
            "bundle_uri": chosen.bundle_uri,
            "spec": spec.content_digest(),
            "policy": decision.policy_digest,
            "tracking_run": chosen.run_id,
            "training_key": chosen.key,
        },
        "spec": spec.model_dump(mode="json"),
        "validation": decision.validation.model_dump(mode="json") if decision.validation else None,
        "training": {
            "candidate": chosen.candidate.model_dump(mode="json"),
            "params": chosen.params,
            "cross_validation": chosen.cross_validation.model_dump(mode="json"),
            "ranking": [list(entry) for entry in evaluation.ranking],
            "rows_train": chosen.rows_train,
            "rows_held_out": chosen.rows_held_out,
            "trained_at": _text(chosen.trained_at),
        },
        "evaluation": evaluation.model_dump(mode="json", exclude={"chosen", "ranking", "card"}),
        "model_card": evaluation.card.model_dump(mode="json"),
        "decision": decision.model_dump(mode="json", exclude={"validation", "requested_by"}),
        "requested_by": decision.requested_by or "scheduler",
        "versions": dict(versions),
    }


def versions_here() -> dict[str, str]:
    """Return the versions of what makes a decision."""
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


def evidence_bytes(evidence: Mapping[str, Any]) -> bytes:
    """Return the pack's one JSON text."""
    return canonical_json(evidence).encode()


def gate_table(checks: tuple[CheckResult, ...]) -> bytes:
    """Return the checks as CSV, for people."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for check in checks:
        interval = (check.interval.low, check.interval.high) if check.interval else (None, None)
        writer.writerow(
            (
                check.name,
                check.status.value,
                check.code,
                check.value,
                check.relation,
                check.limit,
                *interval,
                check.n,
                check.unit,
                check.message,
            )
        )
    return text.getvalue().encode()


def _text(moment: Any) -> str:
    return str(moment.isoformat())
