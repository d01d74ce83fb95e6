"""The retrain DAG's chain of steps without Airflow, and what the world looks like after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from windsock.ports import Ports
from windsock.records import Outcome, RunContext, Span, Status
from windsock.spec import ModelSpec
from windsock.steps import StepResult, run_step


def retrain(
    ports: Ports,
    spec: ModelSpec,
    *,
    run: RunContext | None = None,
    nonce: str | None = None,
    recent: Span | None = None,
    onset: datetime | None = None,
    people: Sequence[str] | None = None,
) -> dict[str, StepResult]:
    """Run every step as the DAG chains them; stop after the gate if it does not promote.

    :param recent: the window whose labelled answers are mixed in.
    :param onset: since when the world is another one.
    :param people: who approves the version; where more are needed, it stops there. ``None``: nobody is asked.
    :returns: results by step; candidates as ``train_model[0]``, ``train_model[1]`` ...
    """
    shared: dict[str, Any] = {"spec": spec, "run": run or RunContext(run_id="run-1")}
    done: dict[str, StepResult] = {}

    def step(name: str, key: str | None = None, **content: Any) -> Any:
        keyed = name in ("validate_data", "train_model", "evaluate_model", "gate_model", "register_model")
        forced = {"nonce": nonce} if keyed else {"force": nonce is not None} if "version" in content else {}
        if name in ("take_snapshot", "approve_model"):
            forced = {}
        done[key or name] = run_step(name, {**shared, **content, **forced}, ports)
        return done[key or name].record

    snapshot = step("take_snapshot", recent=recent, onset=onset)
    validation = step("validate_data", snapshot=snapshot)
    candidates = tuple(
        step(
            "train_model",
            f"train_model[{number}]",
            snapshot=snapshot,
            validation=validation,
            candidate=candidate,
        )
        for number, candidate in enumerate(spec.candidates)
    )
    evaluation = step("evaluate_model", snapshot=snapshot, candidates=candidates)
    decision = step("gate_model", validation=validation, evaluation=evaluation)
    if decision.outcome is Outcome.PROMOTE:
        version = step("register_model", decision=decision, evaluation=evaluation)
        for person in people or ():
            answer = {
                "answer": "approve",
                "approver": person,
                "approver_id": person,
                "answered_at": ports.now(),
            }
            step("approve_model", version=version, **answer)
        approval = step("approve_model", version=version)
        if people is not None and approval.status is not Status.PASS:
            return done
        step("deploy_model", version=version)
        step("promote_model", version=version)
    return done


def world(ports: Ports, model: str) -> dict[str, Any]:
    """Return what an undisturbed and a killed-and-retried run must agree on, with in-memory ports."""
    rows = ports.ledger.rows(model)
    champion = ports.ledger.champion(model)
    plan = ports.router.state(model)
    return {
        "snapshots": len(ports.snapshots.stored),
        "bundles": len(ports.bundles.by_key),
        "documents": len(ports.bundles.documents),
        "runs": len(ports.tracker.runs),
        "versions": len(ports.registry.versions.get(model, {})),
        "aliases": dict(ports.registry.aliases),
        "ledger": [(row.action.value, row.version, row.epoch) for row in rows],
        "champion": (champion.version, champion.epoch) if champion else None,
        "route": [(slot.version, slot.share) for slot in plan.plan.slots] if plan else None,
        "epoch": plan.plan.epoch if plan else None,
        "chain": ports.ledger.verify(model).broken_at,
    }
