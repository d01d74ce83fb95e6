"""Small builders of specs and records for tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from windsock import records as r
from windsock.governance.checks import required_checks
from windsock.ports import BundleStore, LoadedBundle
from windsock.spec import CandidateBlock, ModelSpec, canonical_json

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
CARD = {"intended_use": "Rank customers by risk.", "limitations": "Not for pricing."}


def digest(letter: str = "a") -> str:
    """Return a digest made of one hexadecimal letter."""
    return letter * 64


def make_spec(**blocks: Any) -> ModelSpec:
    """Return a spec named churn with a complete card; name the blocks that differ."""
    made: dict[str, Any] = {
        "model": {"name": "churn", "owner": "ds@company.com"},
        "data": {"source": "churn.csv", "target": "churned", "entity": "customer_id"},
        "gate": {"card": CARD},
    }
    for name, block in blocks.items():
        made[name] = {**made.get(name, {}), **block}
    return ModelSpec.model_validate(made)


def make_snapshot(**fields: Any) -> r.DataSnapshot:
    """Return a snapshot record of three columns."""
    made: dict[str, Any] = {
        "model": "churn",
        "digest": digest("1"),
        "uri": "memory://snapshots/churn/1",
        "rows": 1000,
        "columns": (
            r.ColumnSchema(
                name="customer_id", kind=r.ColumnKind.CATEGORY, role=r.ColumnRole.ENTITY, distinct=1000
            ),
            r.ColumnSchema(name="age", kind=r.ColumnKind.NUMBER, distinct=60),
            r.ColumnSchema(name="churned", kind=r.ColumnKind.BOOLEAN, role=r.ColumnRole.TARGET, distinct=2),
        ),
        "source": "file: churn.csv",
        "taken_at": NOON,
    }
    return r.DataSnapshot(**{**made, **fields})


def make_check(name: str = "rows", status: r.Status = r.Status.PASS, **fields: Any) -> r.CheckResult:
    """Return a check result."""
    return r.CheckResult(**{"name": name, "status": status, "code": "WS-DATA-100", **fields})


def make_validation(**fields: Any) -> r.ValidationReport:
    """Return a report that lets the snapshot pass."""
    made: dict[str, Any] = {
        "model": "churn",
        "snapshot_digest": digest("1"),
        "status": r.Status.PASS,
        "checks": (make_check(),),
        "suite_digest": digest("2"),
        "suite_origin": "inferred",
    }
    return r.ValidationReport(**{**made, **fields})


def make_trained(**fields: Any) -> r.TrainedModel:
    """Return a trained candidate."""
    made: dict[str, Any] = {
        "model": "churn",
        "snapshot_digest": digest("1"),
        "candidate": CandidateBlock(estimator="logistic_regression"),
        "key": digest("3"),
        "run_id": "run1",
        "bundle_uri": "memory://bundles/churn/3",
        "bundle_digest": digest("b"),
        "cross_validation": r.CrossValidation(
            metric="roc_auc", mean=0.84, sd=0.01, folds=(0.83, 0.84, 0.85, 0.84, 0.84)
        ),
        "train_score": 0.85,
        "rows_train": 800,
        "rows_held_out": 200,
        "classes": ("False", "True"),
        "trained_at": NOON,
    }
    return r.TrainedModel(**{**made, **fields})


def make_difference(
    low: float, high: float, *, opponent: str = "baseline", **fields: Any
) -> r.PairedDifference:
    """Return a paired difference with this interval."""
    made: dict[str, Any] = {
        "metric": "roc_auc",
        "opponent": opponent,
        "value": (low + high) / 2,
        "interval": r.Interval(low=low, high=high),
        "n": 200,
        "resamples": 1000,
        "opponent_value": 0.5,
    }
    return r.PairedDifference(**{**made, **fields})


def make_evaluation(**fields: Any) -> r.Evaluation:
    """Return an evaluation of a first model that is good."""
    made: dict[str, Any] = {
        "model": "churn",
        "snapshot_digest": digest("1"),
        "chosen": make_trained(),
        "ranking": (("logistic_regression", 0.84),),
        "metrics": (
            r.MetricValue(name="roc_auc", value=0.84, n=200, interval=r.Interval(low=0.8, high=0.88)),
        ),
        "gap": 0.01,
        "baseline": make_difference(0.3, 0.38),
        "contract_changes": (),
        "latency": r.Latency(ms_per_sample=0.1, rows=100, repeats=5),
        "card": r.ModelCard(
            **CARD, training_data_description="1000 rows of churn.csv", evaluation_results="roc_auc 0.84"
        ),
        "evaluated_at": NOON,
    }
    return r.Evaluation(**{**made, **fields})


def make_decision(**fields: Any) -> r.GateDecision:
    """Return a decision to promote."""
    made: dict[str, Any] = {
        "model": "churn",
        "outcome": r.Outcome.PROMOTE,
        "required": ("latency",),
        "checks": (make_check("latency", code="WS-GATE-005"),),
        "first_model": True,
        "policy_digest": digest("4"),
        "snapshot_digest": digest("1"),
        "bundle_digest": digest("b"),
        "run_id": "run1",
        "reason": "every check passed",
        "decided_at": NOON,
    }
    return r.GateDecision(**{**made, **fields})


def yes(spec: ModelSpec | None = None, **fields: Any) -> r.GateDecision:
    """Return a decision to promote under a spec's policy; ``latency`` is the status of that check."""
    policy = (spec or make_spec()).section_digest("gate")
    required = required_checks(spec or make_spec(), first_model=True)
    status = fields.pop("latency", r.Status.PASS)
    checks = tuple(
        make_check(name, status if name == "latency" else r.Status.PASS, code="WS-GATE-005")
        for name in required
    )
    made = {"required": required, "checks": checks, "policy_digest": policy, "requested_by": "alice"}
    return make_decision(**{**made, **fields})


def make_version(**fields: Any) -> r.RegisteredVersion:
    """Return a registered version."""
    made: dict[str, Any] = {
        "model": "churn",
        "version": "1",
        "digest": digest("b"),
        "bundle_uri": "memory://bundles/churn/3",
        "run_id": "run1",
        "snapshot_digest": digest("1"),
        "evidence_digest": digest("e"),
        "registered_at": NOON,
    } | fields
    made.setdefault(
        "evidence_uri", f"memory://evidence/{made['model']}/{made['version']}-{made['digest']}.json"
    )
    return r.RegisteredVersion(**made)


def make_registration(version: r.RegisteredVersion | None = None, **body: Any) -> r.LedgerEntry:
    """Return the ledger's row by which a version is known; name what differs in its body."""
    known = version or make_version()
    made: dict[str, Any] = {
        "bundle_uri": known.bundle_uri,
        "evidence_digest": known.evidence_digest,
        "evidence_uri": known.evidence_uri,
        "snapshot_digest": known.snapshot_digest,
        "outcome": "promote",
        "asks": list(known.asks),
        "policy_digest": digest("4"),
        "tier": "low",
        "requester": None,
        "opponent": None,
    }
    made |= body
    PACKS[(made["evidence_uri"], made["evidence_digest"])] = make_pack(known, made)
    return r.LedgerEntry(
        model=known.model,
        action=r.LedgerAction.REGISTER,
        epoch=0,
        version=known.version,
        digest=known.digest,
        actor="scheduler",
        body=made,
    )


PACKS: dict[tuple[str, str], bytes] = {}
"""Evidence packs behind the registrations of this module, by URI and digest, as if they had been signed."""


def stored_evidence(bundles: BundleStore, version: r.RegisteredVersion) -> r.RegisteredVersion:
    """Return a version whose evidence pack lies signed in a real store."""
    pack = make_pack(version, make_registration(version).body)
    uri = f"evidence/{version.model}/{version.digest}.json"
    return version.replace(evidence_uri=uri, evidence_digest=bundles.put_document(uri, pack))


def make_pack(version: r.RegisteredVersion, body: Mapping[str, Any]) -> bytes:
    """Return the part of an evidence pack that is held against a version's registration."""
    pack = {
        "model": version.model,
        "tier": body["tier"],
        "inputs": {
            "bundle": version.digest,
            "policy": body["policy_digest"],
            "snapshot": body["snapshot_digest"],
        },
        "decision": {
            "outcome": "promote",
            "bundle_digest": version.digest,
            "required": ["latency"],
            "checks": [{"name": "latency", "status": "pass"}],
            "asks": [],
        },
    }
    return canonical_json(pack).encode()


def one_column_champion(field: r.InputField, **profile: Any) -> LoadedBundle:
    """Return a champion of one column, with what its training rows had of it.

    :param profile: further fields of the column's profile.
    """
    column = r.ColumnProfile(name=field.name, kind=field.kind, rows=9, nulls=0, **profile)
    return LoadedBundle(
        manifest=None,  # type: ignore[arg-type]
        digest="",
        pipeline=None,
        schema=r.InputSchema(model="churn", fields=(field,), answer=r.Answer.NUMBER),
        golden=None,  # type: ignore[arg-type]
        profile=r.DriftProfile(rows=9, columns=(column,)),
    )
