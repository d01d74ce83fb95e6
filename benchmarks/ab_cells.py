"""One made-up rollout: a world, what it may end with, and its looks through the product's own decision."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from harness import PROJECT

sys.path.insert(0, str(PROJECT / "plugins"))

from windsock.records import (
    ArmTotals,
    Challenger,
    Moments,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RolloutPlan,
    StepTotals,
)
from windsock.rollout.decision import decide
from windsock.spec import ModelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 28
"""Looks, one a day, up to the usual deadline."""
USERS = 2_000
"""New users of both arms in a day."""
FAULTS = {"errors": 0.001, "slow": 0.01}
"""Share of the answers of either arm that come from the fallback, and that come late."""
HALF = 0.5

Draw = Callable[[np.random.Generator, "Cell"], list[StepTotals]]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One world, and what may follow in it.

    :param draw: the totals of each look.
    :param values: what ``draw`` needs: rates of champion and challenger, and what is missing.
    :param block: of the rollout, beside the usual canary at 50 %.
    :param wrong: ends that are wrong, each with the share of the tests that may have it.
    :param right: ends that are right, each with the least share of the tests that must have it.
    """

    name: str
    draw: Draw
    values: Mapping[str, float]
    block: Mapping[str, Any] = field(default_factory=dict)
    wrong: Mapping[RolloutAction, float] = field(default_factory=dict)
    right: Mapping[RolloutAction, float] = field(default_factory=dict)

    def __hash__(self) -> int:
        """Cells have names of their own."""
        return hash(self.name)


class Course(NamedTuple):
    """What became of a rollout.

    :param action: that ended it; hold if nothing did.
    :param look: at which look.
    :param version: that the end is about.
    :param dropped: versions that were dropped before.
    """

    action: RolloutAction
    look: int
    version: str = ""
    dropped: tuple[str, ...] = ()


def end_of(cell: Cell, generator: np.random.Generator) -> Course:
    """Return how one rollout ends, and at which look; hold if its deadline does not end it."""
    return judged(rollout_of(cell), cell.draw(generator, cell))


def judged(rollout: Rollout, looks: Iterable[StepTotals]) -> Course:
    """Look once a day by the product's own decision, drop whom it drops, and return what becomes of it."""
    before: list[RolloutDecision] = []
    dropped: tuple[str, ...] = ()
    for look, totals in enumerate(looks, start=1):
        decision = decide(rollout, totals, before, number=look, now=START + timedelta(days=look))
        if decision.action is RolloutAction.DROP:
            gone = decision.dropped
            rollout = rollout.replace(withdrawn=(*rollout.withdrawn, *(one.digest for one in gone)))
            dropped = (*dropped, *(one.version for one in gone))
        elif decision.action is not RolloutAction.HOLD:
            return Course(decision.action, look, decision.version, dropped)
        before.append(decision)
    return Course(RolloutAction.HOLD, len(before), dropped=dropped)


@lru_cache
def rollout_of(cell: Cell) -> Rollout:
    """Return the rollout of a cell: all defaults but what its block says."""
    return simulated({"strategy": "canary", "steps": [50, 100], "metric": "conversion", **cell.block})


def simulated(block: Mapping[str, Any]) -> Rollout:
    """Return a rollout with the plan that a model's file asks for, and as many challengers."""
    plan = RolloutPlan.of_spec(ModelSpec.model_validate({"model": {"name": "simulated"}, "rollout": block}))
    return Rollout(
        model="simulated",
        experiment="v2-e2",
        version="2",
        digest="b" * 64,
        bundle_uri="memory://2",
        evidence_digest="e" * 64,
        champion_version="1",
        champion_digest="a" * 64,
        plan=plan,
        step=0,
        step_epoch=2,
        step_since=START,
        started_at=START,
        salt="simulated",
        others=tuple(
            Challenger(
                version=str(number),
                digest=f"{number}" * 64,
                bundle_uri="memory://2",
                evidence_digest="e" * 64,
            )
            for number in range(3, 2 + plan.challengers)
        ),
    )


def new_users(generator: np.random.Generator, cell: Cell) -> NDArray[np.int64]:
    """Return the new users of each arm on each day; shape (2, days)."""
    users = int(cell.values.get("users", USERS))
    mine = generator.binomial(users, cell.values.get("share", HALF), DAYS)
    return np.stack([users - mine, mine])


def both(cell: Cell, name: str) -> tuple[float, float]:
    """Return a value of champion and challenger: ``NAME`` and ``NAME_challenger``."""
    usual = cell.values.get(name, 0.0)
    return usual, cell.values.get(f"{name}_challenger", usual)


def shares(units: float, hits: float) -> Moments:
    """Return the sums of a metric that is 0 or 1 for each unit."""
    return Moments(
        units=int(units),
        num=hits,
        den=units,
        num_num=hits,
        den_den=units,
        num_den=hits,
        largest=min(1.0, units),
    )


def faults(generator: np.random.Generator, answered: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return answers with a fault by each day, of both arms."""
    return {name: generator.binomial(answered, rate).cumsum(axis=1) for name, rate in FAULTS.items()}


def arm_of(units: int, shown: int, fallbacks: int, gone: int, metrics: dict[str, Moments]) -> ArmTotals:
    """Return an arm; what got no answer failed."""
    return ArmTotals(
        units=units,
        exposures=shown,
        fallbacks=fallbacks,
        unanswered={"failed": gone} if gone else {},
        metrics=metrics,
    )


def conversion_arm(units: int, gone: int, hits: float, wrong: Mapping[str, float]) -> ArmTotals:
    """Return an arm of users with one request each.

    :param gone: of them without an answer.
    :param hits: of them that converted.
    :param wrong: of those with an answer the ones with an error, and the slow ones.
    """
    metrics = {
        "conversion": shares(units, hits),
        "errors": shares(units, wrong["errors"] + gone),
        "slow": shares(units - gone, wrong["slow"]),
    }
    return arm_of(units, units, int(wrong["errors"]), gone, metrics)


def totals_of(arms: list[ArmTotals], day: int, **counts: int) -> StepTotals:
    """Return what a look has seen."""
    champion, challenger, *others = arms
    return StepTotals(
        experiment="v2-e2",
        step=0,
        champion=champion,
        challenger=challenger,
        others=tuple(others),
        counted_until=START + timedelta(days=day + 1),
        **counts,
    )
