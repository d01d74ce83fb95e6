"""Rollouts, and what was seen of them, for tests of the decision."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from support.builders import NOON, digest
from windsock.records import ArmTotals, Moments, Rollout, RolloutPlan, StepTotals
from windsock.spec import ModelSpec

NAME = "v2-e5"


def make_plan(strategy: str = "ab", **block: Any) -> RolloutPlan:
    """Return a plan of conversions; name what the model's file says otherwise.

    A shadow's is made past the file, which refuses one of conversions.
    """
    is_shadow = strategy == "shadow"
    asked = {"metric": "conversion", **block, "strategy": "canary" if is_shadow else strategy}
    plan = RolloutPlan.of_spec(ModelSpec.model_validate({"model": {"name": "churn"}, "rollout": asked}))
    return plan.model_copy(update={"strategy": "shadow", "shares": (0,)}) if is_shadow else plan


def plan_of_before(strategy: str = "canary", **block: Any) -> RolloutPlan:
    """Return a plan as it was frozen before margins were relative and outcomes had an attribution."""
    later = dict.fromkeys(("relative_margin", "attribution", "unit_cap", "confirmed"))
    return make_plan(strategy, **block).model_copy(update=later)


def make_rollout(plan: RolloutPlan | None = None, **fields: Any) -> Rollout:
    """Return a rollout of version 2 that began at noon, at its last step."""
    plan = plan or make_plan()
    made: dict[str, Any] = {
        "model": "churn",
        "experiment": NAME,
        "version": "2",
        "digest": digest("b"),
        "bundle_uri": "memory://bundles/churn/2",
        "evidence_digest": digest("e"),
        "champion_version": "1",
        "champion_digest": digest("a"),
        "plan": plan,
        "step": len(plan.shares) - 1,
        "step_epoch": 5,
        "step_since": NOON,
        "started_at": NOON,
        "salt": "churn",
    }
    return Rollout(**{**made, **fields})


def events(units: int, hits: int) -> Moments:
    """Return the sums of a metric that is 0 or 1 for each unit."""
    return Moments(units=units, num=hits, den=units, num_num=hits, den_den=units, num_den=hits)


def values(units: int, mean: float, spread: float) -> Moments:
    """Return the sums of a metric with this mean and standard deviation over units."""
    squares = units * (mean * mean + spread * spread)
    total = units * mean
    return Moments(units=units, num=total, den=units, num_num=squares, den_den=units, num_den=total)


def make_arm(units: int, metrics: dict[str, int | Moments] | None = None, **fields: Any) -> ArmTotals:
    """Return an arm with two answers for each unit; a number of a metric is its events.

    Errors and slow answers are none unless they are named.
    """
    named: dict[str, int | Moments] = {"errors": 0, "slow": 0, **(metrics or {})}
    sums = {name: events(units, one) if isinstance(one, int) else one for name, one in named.items()}
    return ArmTotals(**{"units": units, "exposures": 2 * units, "metrics": sums, **fields})


def make_totals(
    champion: ArmTotals | None = None, challenger: ArmTotals | None = None, **fields: Any
) -> StepTotals:
    """Return what was seen of a step."""
    made: dict[str, Any] = {
        "experiment": NAME,
        "step": 0,
        "champion": champion or ArmTotals(),
        "challenger": challenger or ArmTotals(),
        "counted_until": NOON,
    }
    return StepTotals(**{**made, **fields})


def make_conversions(
    champion: int, challenger: int, *, units: int = 20_000, challenger_units: int | None = None, **fields: Any
) -> StepTotals:
    """Return a step in which so many units of each arm converted."""
    theirs = units if challenger_units is None else challenger_units
    return make_totals(
        make_arm(units, {"conversion": champion}), make_arm(theirs, {"conversion": challenger}), **fields
    )


def unlabelled(units: int, labelled: int, right: int, *, refused: int = 0) -> Moments:
    """Return the sums of an accuracy of units with one exposure each: some have a label, some no answer."""
    sums = {"num": right, "den": labelled, "num_num": right, "den_den": labelled, "num_den": right}
    asked = {"asked": refused, "asked_asked": refused, "asked_units": labelled + refused} if refused else {}
    assert labelled + refused <= units
    return Moments.model_validate({"units": labelled, **sums, **asked})


def make_answers(
    units: int, *, right: int, labelled: int | None = None, refused: int = 0, cause: str = "unanswerable"
) -> ArmTotals:
    """Return an arm of which each unit asked once; those that were refused are errors and have no label."""
    known = units - refused if labelled is None else labelled
    return ArmTotals(
        units=units,
        exposures=units,
        unanswered={cause: refused} if refused else {},
        metrics={
            "accuracy": unlabelled(units, known, right, refused=refused),
            "errors": events(units, refused),
            "slow": events(units, 0),
        },
    )


def heavy(
    units: int, *, own: tuple[int, float], few: int = 0, theirs: tuple[int, float] = (0, 0.0)
) -> Moments:
    """Return the sums of a rate: most units have ``own`` exposures and rate, a few others have ``theirs``."""
    sums = dict.fromkeys(("num", "den", "num_num", "den_den", "num_den"), 0.0)
    for many, (shown, rate) in ((units - few, own), (few, theirs)):
        hits = shown * rate
        parts = {"num": hits, "den": shown, "num_num": hits * hits + hits * (1 - rate)}
        parts |= {"den_den": shown * shown, "num_den": hits * shown}
        sums = {name: value + many * parts[name] for name, value in sums.items()}
    return Moments(units=units, largest=max(own[0], theirs[0] if few else 0), **sums)


def after(**length: float) -> datetime:
    """Return the time so long after the start."""
    return NOON + timedelta(**length)
