"""Rules that end a test: Windsock's own decision at every look, and what teams do without it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from ab_cells import START, judged, simulated
from ab_worlds import LOOKS, SUMS, Test, World
from harness import PROJECT
from scipy.special import chdtrc, ndtr

sys.path.insert(0, str(PROJECT / "plugins"))

from windsock.records import (
    ArmTotals,
    Moments,
    Rollout,
    RolloutAction,
    StepTotals,
)
from windsock.rollout import promotion
from windsock.statistics.sequential import spending_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAY = timedelta(days=1)
LEVEL = 0.05
BELIEF = 0.95


@dataclass(frozen=True)
class End:
    """How a test ended.

    :param action: promote, roll_back, or keep: the champion without a reason against the challenger.
    :param look: 1 .. ; the last one where nothing happened.
    """

    action: RolloutAction
    look: int


Rule = Callable[[World, Test], End]


@lru_cache(maxsize=4096)
def _bounds(fractions: tuple[float, ...], information: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    return spending_bounds(fractions, information=information, alpha=alpha)


def remember_bounds() -> None:
    """Let the decision's bounds be computed once for each history of looks, which many tests share."""
    promotion.spending_bounds = lambda fractions, *, information, alpha: _bounds(
        tuple(fractions), tuple(information), alpha
    )


@lru_cache
def _rollout(world: World, horizon: str | None) -> Rollout:
    """Return a rollout with one look a day and the usual guardrails, minimum of units and cycle."""
    block = {
        "strategy": "ab",
        "share": world.share / 100,
        "metric": "ctr" if world.differ or world.come_back else "conversion",
    }
    if world.skewed:
        spent = {"kind": "mean", "better": "lower" if world.lower else "higher"}
        block |= {"metric": "spent", "metrics": {"spent": spent}}
    block |= {"horizon": horizon, "looks": LOOKS} if horizon else {}
    return simulated(block)


def windsock(horizon: str | None = None) -> Rule:
    """Judge each look by the product's own decision, with or without a declared horizon."""

    def run(world: World, test: Test) -> End:
        rollout = _rollout(world, horizon)
        looks = (_totals(rollout, test, look) for look in range(1, LOOKS + 1))
        course = judged(rollout, looks)
        if course.action is not RolloutAction.HOLD:
            return End(course.action, course.look)
        return End(RolloutAction.KEEP, LOOKS)

    return run


def _totals(rollout: Rollout, test: Test, look: int) -> StepTotals:
    arms = [_arm(rollout.plan.metric, test, arm, look - 1) for arm in (0, 1)]
    return StepTotals(
        experiment=rollout.experiment,
        step=0,
        champion=arms[0],
        challenger=arms[1],
        counted_until=START + look * DAY,
    )


def _arm(metric: str, test: Test, arm: int, at: int) -> ArmTotals:
    sums = {name: float(test.sums[name][arm, at]) for name in SUMS}
    units, answers = int(sums.pop("units")), sums["den"]
    metrics = {metric: Moments(units=units, **sums)}
    for name, seen in test.faults.items():
        hits = float(seen[arm, at])  # a user with two of them is left out of account: they are few
        metrics[name] = Moments(
            units=units,
            num=hits,
            den=answers,
            num_num=hits,
            den_den=sums["den_den"],
            num_den=hits * sums["den_den"] / answers,
        )
    return ArmTotals(units=units, exposures=int(answers), metrics=metrics)


def _first(better: NDArray[np.bool_], worse: NDArray[np.bool_]) -> End:
    ended = better | worse
    look = int(ended.argmax())
    if not ended[look]:
        return End(RolloutAction.KEEP, LOOKS)
    return End(RolloutAction.PROMOTE if better[look] else RolloutAction.ROLL_BACK, look + 1)


def _chi_square_p(test: Test, looks: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Yates' chi-square p-values of events for each exposure, and the differences."""
    hits, shown = test.sums["num"][:, looks], test.sums["den"][:, looks]
    pooled = hits.sum(axis=0) / shown.sum(axis=0)
    expected = shown[1] * pooled
    apart = np.maximum(np.abs(hits[1] - expected) - 0.5, 0)
    statistic = apart**2 / (pooled * (1 - pooled) * shown[0] * shown[1] / shown.sum(axis=0))
    return chdtrc(1, statistic), hits[1] / shown[1] - hits[0] / shown[0]


def chi_square(world: World, test: Test) -> End:
    """Do a chi-square test at every look and end the test at p < 0.05."""
    p, apart = _chi_square_p(test, slice(None))
    return _first((p < LEVEL) & (apart > 0), (p < LEVEL) & (apart < 0))


def chi_square_once(world: World, test: Test) -> End:
    """Do it once, at the end."""
    p, apart = _chi_square_p(test, slice(-1, None))
    found = _first((p < LEVEL) & (apart > 0), (p < LEVEL) & (apart < 0))
    return End(found.action, LOOKS)


def bayes(world: World, test: Test) -> End:
    """End the test as soon as the challenger is better, or worse, with a posterior probability of 95 %."""
    hits, shown = test.sums["num"], test.sums["den"]
    rates = (hits + 1) / (shown + 2)
    chance = ndtr((rates[1] - rates[0]) / np.sqrt((rates * (1 - rates) / (shown + 3)).sum(axis=0)))
    return _first(chance > BELIEF, chance < 1 - BELIEF)


SEQUENCE, PLANNED = "Windsock", f"Windsock, horizon {LOOKS} days"
NAIVE, ONCE, POSTERIOR = "chi-square at every look", "chi-square once", "Bayes > .95 at every look"
RULES: Mapping[str, Rule] = {
    SEQUENCE: windsock(),
    PLANNED: windsock(f"{LOOKS}d"),
    ONCE: chi_square_once,
    NAIVE: chi_square,
    POSTERIOR: bayes,
}
OURS = (SEQUENCE, PLANNED)


def rules_of(world: World) -> tuple[str, ...]:
    """Return the rules that a world's tests can be ended by: the others count events only."""
    return OURS if world.skewed else tuple(RULES)
