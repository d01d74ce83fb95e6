"""Builders of rollouts, decisions and their rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from support.builders import NOON, digest, make_spec
from support.world import MODEL, version_of
from windsock import records as r
from windsock.spec import ModelSpec

AB: dict[str, Any] = {"strategy": "ab", "metric": "conversion"}
SALT = "churn"


def ab_spec(**block: Any) -> ModelSpec:
    """Return a spec with an A/B test; name the keys of its block that differ."""
    return make_spec(rollout={**AB, **block})


def make_rollout(**fields: Any) -> r.Rollout:
    """Return a running rollout of version 2 against version 1."""
    new, old = version_of(2), version_of(1)
    made: dict[str, Any] = {
        "model": MODEL,
        "experiment": "v2-e4",
        "version": new.version,
        "digest": new.digest,
        "bundle_uri": new.bundle_uri,
        "evidence_digest": new.evidence_digest,
        "champion_version": old.version,
        "champion_digest": old.digest,
        "plan": r.RolloutPlan.of_spec(ab_spec()),
        "step": 0,
        "step_epoch": 4,
        "step_since": NOON,
        "started_at": NOON,
        "salt": SALT,
    }
    return r.Rollout(**{**made, **fields})


def make_estimate(low: float | None = None, high: float | None = None, **fields: Any) -> r.Estimate:
    """Return an estimate of the conversion with this interval; without one it has no value at all."""
    made: dict[str, Any] = {"metric": "conversion"}
    if low is not None and high is not None:
        middle = (low + high) / 2
        made |= {
            "champion": 0.1,
            "challenger": 0.1 + middle,
            "difference": middle,
            "interval": r.Interval(low=low, high=high),
            "fixed": r.Interval(low=middle - (high - low) / 3, high=middle + (high - low) / 3),
            "z": 1.7,
            "chance_better": 0.91,
            "information": 20_000,
        }
    return r.Estimate(**{**made, **fields})


def make_totals(champion: int = 10_000, challenger: int = 10_000, **fields: Any) -> r.StepTotals:
    """Return totals of so many units; each was exposed twice and converts at ten percent."""

    def arm(units: int) -> r.ArmTotals:
        hits = units / 10
        sums = r.Moments(units=units, num=hits, den=units, num_num=hits, den_den=units, num_den=hits)
        return r.ArmTotals(units=units, exposures=2 * units, metrics={"conversion": sums})

    made: dict[str, Any] = {
        "experiment": "v2-e4",
        "step": 0,
        "champion": arm(champion),
        "challenger": arm(challenger),
        "counted_until": NOON,
    }
    return r.StepTotals(**{**made, **fields})


def make_look(number: int = 1, action: str = "hold", **fields: Any) -> r.RolloutDecision:
    """Return the decision of one look, an hour after the one before."""
    at: datetime = NOON + timedelta(hours=number)
    made: dict[str, Any] = {
        "model": MODEL,
        "experiment": "v2-e4",
        "version": "2",
        "digest": version_of(2).digest,
        "champion_version": "1",
        "number": number,
        "step": 0,
        "share": 5000,
        "action": r.RolloutAction(action),
        "reason": "2 of 7 days have passed",
        "checks": (
            r.CheckResult(
                name="sample_ratio",
                status=r.Status.PASS,
                code="WS-ROLLOUT-020",
                value=0.41,
                limit=0.0005,
                relation=">=",
                n=20_000,
            ),
        ),
        "estimate": make_estimate(-0.004, 0.016),
        "totals": make_totals(),
        "judged_at": at,
    }
    return r.RolloutDecision(**{**made, **fields})


def shift_entry(**fields: Any) -> r.LedgerEntry:
    """Return the row that begins the rollout of version 2, as epoch 4; name what differs in its body."""
    new, old = version_of(2), version_of(1)
    plan = r.RoutePlan(
        model=MODEL,
        epoch=4,
        slots=(
            r.SlotPlan(version="2", digest=new.digest, bundle_uri=new.bundle_uri, share=5000),
            r.SlotPlan(version="1", digest=old.digest, bundle_uri=old.bundle_uri, share=5000),
        ),
        salt=SALT,
        champion=old.digest,
        experiment="v2-e4",
    )
    body: dict[str, Any] = {
        "bundle_uri": new.bundle_uri,
        "evidence_digest": new.evidence_digest,
        "champion_version": old.version,
        "champion_digest": old.digest,
        "requester": None,
        "reason": "",
        "experiment": "v2-e4",
        "step": 0,
        "begins": r.RolloutPlan.of_spec(ab_spec()).model_dump(mode="json"),
        "decision": None,
        "plan": plan.row_body(),
    }
    return r.LedgerEntry(
        model=MODEL,
        action=r.LedgerAction.SHIFT,
        epoch=4,
        version="2",
        digest=new.digest,
        actor="scheduler",
        body={**body, **fields},
    )


def under_way(ports: Any, **fields: Any) -> Any:
    """Begin the rollout of version 2 in a world where version 1 serves, by its row alone."""
    ports.ledger.append(shift_entry(**fields), after_seq=len(ports.ledger.rows(MODEL)))
    return ports


__all__ = [
    "AB",
    "ab_spec",
    "digest",
    "make_estimate",
    "make_look",
    "make_rollout",
    "make_totals",
    "shift_entry",
    "under_way",
]
