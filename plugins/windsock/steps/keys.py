"""Idempotency keys: what makes two runs of a step the same run."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from windsock import __version__
from windsock.data.contract import InForce, contract_in_force
from windsock.ports import Ports
from windsock.records import (
    EvaluateModelInput,
    GateModelInput,
    Record,
    RegisterModelInput,
    TrainModelInput,
    ValidateDataInput,
)
from windsock.spec import SEED, digest_of

RULES = 3
"""Revision of the rules by which data, models and cases are judged.

Raise it with every change by which ``validate_data``, ``evaluate_model`` or ``gate_model`` may come to
another record on the same input: a check, a metric, an interval, a limit, a default. The verdicts that are
stored then count no more and are made anew; what was trained stays as it is.
"""
JUDGING = ("validate_data", "evaluate_model", "gate_model")
"""Steps that judge by those rules."""


def _estimator_library() -> str:
    try:
        return version("scikit-learn")
    except PackageNotFoundError:
        return "none"


def validate_reads(step: ValidateDataInput, ports: Ports) -> InForce:
    """Return the data contract that a snapshot is held against."""
    return contract_in_force(step.spec, ports, judged=step.snapshot.digest)


def validate_parts(step: ValidateDataInput, ports: Ports, force: InForce) -> dict[str, str]:
    """Return the snapshot, the suite and the data contract it is checked against, and what is kept."""
    suite = ports.expectations.suite(step.spec.name)
    unread = {
        one.name: [one.unread, one.values_among(step.snapshot.rows), *one.shapes, one.advice]
        for one in step.snapshot.columns
        if one.unread
    }
    return {
        "snapshot": step.snapshot.digest,
        "suite": digest_of(suite.content) if suite else "inferred",
        "spec": step.spec.section_digest("data"),
        **({"accepts_until": until.isoformat()} if (until := step.spec.data.accept_changes_until) else {}),
        **({"contract": force.meaning} if force.is_decided else {}),
        **({"history": digest_of([row.hash for row in force.history])} if force.history else {}),
        **({"unread": digest_of(unread)} if unread else {}),
        **({"unproven": digest_of(list(force.unproven))} if force.unproven else {}),
        **({"known_leaks": digest_of(list(known))} if (known := step.spec.data.known_leaks_checked) else {}),
        **({"copied_rows": "checked"} if step.spec.data.copied_rows_checked else {}),
        **({"kept": "nowhere"} if step.dry_run else {}),
    }


def train_parts(step: TrainModelInput, ports: Ports) -> dict[str, str]:
    """Return the snapshot, the candidate, how it is fitted and scored, and what requests may hold.

    What its columns are for is decided by the data contract as well as by the spec.
    """
    from windsock.training.request_contract import contract_parts

    roles = digest_of({column.name: column.role.value for column in step.snapshot.columns})
    return {
        "snapshot": step.snapshot.digest,
        "candidate": step.candidate.content_digest(),
        "metric": step.spec.metric,
        "task": step.spec.task,
        "spec": step.spec.section_digest("data"),
        **({"roles": roles} if step.snapshot.contract else {}),
        **contract_parts(step, ports),
    }


def evaluate_parts(step: EvaluateModelInput, ports: Ports) -> dict[str, str]:
    """Return the chosen model and its opponent.

    Where the chosen model is the champion already, the opponent is the one it replaced: so a second run on
    the
    same data finds the evaluation that made it champion.
    """
    champion = ports.ledger.champion(step.spec.name)
    chosen = step.ranked[0].bundle_digest
    opponent = champion.digest if champion else None
    if champion and champion.digest == chosen:
        opponent = champion.replaced
    return {
        "candidates": digest_of([candidate.bundle_digest for candidate in step.ranked]),
        "opponent": opponent or "none",
        "metric": step.spec.metric,
        "spec": step.spec.section_digest("data", "gate"),
    }


def gate_parts(step: GateModelInput, ports: Ports) -> dict[str, str]:
    """Return the evaluation, the validation, the spec, and in what form the decision is kept."""
    return {
        "evaluation": step.evaluation.content_digest(),
        "validation": step.validation.content_digest(),
        "spec": step.spec.content_digest(),
        "kept": "nowhere" if step.dry_run else "ledger",
    }


def register_parts(step: RegisterModelInput, ports: Ports) -> dict[str, str]:
    """Return the model and whom it beat: one judged again, against another champion, is a new version."""
    return {"bundle": step.decision.bundle_digest, "opponent": step.decision.opponent or "none"}


def idempotency_key(name: str, step: Record, parts: dict[str, str]) -> str:
    """Return the key under which the first record of this work stands.

    :param name: the step's name.
    :param step: its input; a ``nonce`` (``force``) makes a new key.
    :param parts: what the step reads, by digest.
    """
    return digest_of(
        {
            "step": name,
            "model": step.spec.name if hasattr(step, "spec") else getattr(step, "model", ""),
            "parts": parts,
            "windsock": __version__,
            "estimators": _estimator_library(),
            "seed": SEED,
            "nonce": getattr(step, "nonce", None),
            **({"rules": RULES} if name in JUDGING else {}),
        }
    )
