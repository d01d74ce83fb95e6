"""Made-up rollouts in which something is missing or out of proportion, each with its right end.

What each look has seen is drawn as the counting would sum it: conversions of new users, answers with labels,
impressions of users and of a few bots. ``CELLS`` says of each world what must not follow, and how often it
may.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from ab_worlds import IMPRESSIONS
from harness import PROJECT

sys.path.insert(0, str(PROJECT / "plugins"))

from windsock.records import (
    ArmTotals,
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
PROMOTED, ROLLED_BACK = frozenset({RolloutAction.PROMOTE}), frozenset({RolloutAction.ROLL_BACK})

Arrays = dict[str, "NDArray[np.float64]"]
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


def end_of(cell: Cell, generator: np.random.Generator) -> tuple[RolloutAction, int]:
    """Return how one rollout ends, and at which look; hold if its deadline does not end it."""
    rollout = rollout_of(cell)
    before: list[RolloutDecision] = []
    for look, totals in enumerate(cell.draw(generator, cell), start=1):
        decision = decide(rollout, totals, before, number=look, now=START + timedelta(days=look))
        if decision.action is not RolloutAction.HOLD:
            return decision.action, look
        before.append(decision)
    return RolloutAction.HOLD, DAYS


@lru_cache
def rollout_of(cell: Cell) -> Rollout:
    """Return the rollout of a cell: all defaults but what its block says."""
    block = {"strategy": "canary", "steps": [50, 100], "metric": "conversion", **cell.block}
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


def conversions(generator: np.random.Generator, cell: Cell) -> list[StepTotals]:
    """Draw users with one request each; some are refused, some of the outcomes are lost or cannot be used.

    A refused user converts at the rate ``refused_converts`` (of what others do).
    """
    new = new_users(generator, cell)
    rates, refusals = np.array([both(cell, "rate"), both(cell, "refused")])[:, :, None]
    refused = generator.binomial(new, refusals)
    converted = generator.binomial(new - refused, rates)
    converted += generator.binomial(refused, rates * cell.values.get("refused_converts", 0.0))
    lost = np.array(both(cell, "lost"))[:, None]
    arrived = generator.binomial(converted, 1 - lost)
    spoilt = {name: cell.values.get(name, 0.0) for name in ("unusable", "unknown", "early")}
    spoilt_counts, left = {}, arrived
    for name, part in spoilt.items():
        gone = generator.binomial(left, part)
        spoilt_counts[name], left = gone.sum(axis=0).cumsum(), left - gone
    seen, asked, without = left.cumsum(axis=1), new.cumsum(axis=1), refused.cumsum(axis=1)
    wrong = faults(generator, new - refused)
    looks = []
    for day in range(DAYS):
        arms = []
        for arm in (0, 1):
            units, gone = int(asked[arm, day]), int(without[arm, day])
            errors = float(wrong["errors"][arm, day])
            metrics = {
                "conversion": shares(units, float(seen[arm, day])),
                "errors": shares(units, errors + gone),
                "slow": shares(units - gone, float(wrong["slow"][arm, day])),
            }
            arms.append(arm_of(units, units, int(errors), gone, metrics))
        counts = {name: int(values[day]) for name, values in spoilt_counts.items()}
        looks.append(totals_of(arms, day, outcomes=int(seen[:, day].sum()), **counts))
    return looks


def labels(generator: np.random.Generator, cell: Cell) -> list[StepTotals]:
    """Draw users with one answer each, a part of which gets a label; labels may hang on what they say."""
    new = new_users(generator, cell)
    rates, refusals, known = np.array([both(cell, name) for name in ("rate", "refused", "labelled")])[
        :, :, None
    ]
    refused = generator.binomial(new, refusals)
    answered = new - refused
    right = generator.binomial(answered, rates)
    hides = np.array([0.0, cell.values.get("hides_wrong", 0.0)])[:, None]
    correct = generator.binomial(right, known).cumsum(axis=1)
    wrong = generator.binomial(answered - right, known * (1 - hides)).cumsum(axis=1)
    asked, without = new.cumsum(axis=1), refused.cumsum(axis=1)
    bad = faults(generator, answered)
    looks = []
    for day in range(DAYS):
        arms = []
        for arm in (0, 1):
            units, gone, hits = int(asked[arm, day]), int(without[arm, day]), float(correct[arm, day])
            labelled = hits + float(wrong[arm, day])
            errors = float(bad["errors"][arm, day])
            accuracy = shares(labelled, hits).replace(
                asked=float(gone), asked_asked=float(gone), asked_units=int(labelled) + gone
            )
            metrics = {
                "accuracy": accuracy,
                "errors": shares(units, errors + gone),
                "slow": shares(units - gone, float(bad["slow"][arm, day])),
            }
            arms.append(arm_of(units, units, int(errors), gone, metrics))
        outcomes = int(correct[:, day].sum() + wrong[:, day].sum())
        looks.append(totals_of(arms, day, outcomes=outcomes))
    return looks


def impressions(generator: np.random.Generator, cell: Cell) -> list[StepTotals]:
    """Draw users with some impressions each, and bots that come every day, with a rate of their own."""
    cap = rollout_of(cell).plan.unit_cap or np.inf
    rates = both(cell, "rate")
    new = new_users(generator, cell)
    bots = generator.binomial(int(cell.values["bots"]), HALF)
    counts = (int(cell.values["bots"]) - bots, bots)
    daily = cell.values["bot_share"] / (1 - cell.values["bot_share"]) * new.sum(axis=0).mean() * IMPRESSIONS
    visits = daily / max(1.0, cell.values["bots"])
    arms = [_impressions(generator, new[arm], rates[arm], counts[arm], visits, float(cap)) for arm in (0, 1)]
    bad = [
        {name: generator.binomial(arm["shown"].astype(int), rate) for name, rate in FAULTS.items()}
        for arm in arms
    ]
    return [
        totals_of(
            [_ratio_arm(arm, wrong, day) for arm, wrong in zip(arms, bad, strict=True)],
            day,
            outcomes=int(sum(arm["clicks"][day] for arm in arms)),
        )
        for day in range(DAYS)
    ]


SUMS = ("num", "den", "num_num", "den_den", "num_den")


def _impressions(
    generator: np.random.Generator,
    new: NDArray[np.int64],
    rate: float,
    bots: int,
    visits: float,
    cap: float,
) -> Arrays:
    """Return an arm's sums at each look: of users, who come on one day only, and of bots."""
    users = int(new.sum())
    shown = generator.geometric(1 / IMPRESSIONS, users).astype(float)
    own = generator.beta(IMPRESSIONS * rate, IMPRESSIONS * (1 - rate), users)
    clicks = generator.binomial(shown.astype(int), own).astype(float)
    starts = np.r_[0, new.cumsum()[:-1]]
    weighed = products(clicks, shown, cap)
    sums = {name: np.add.reduceat(values, starts).cumsum() for name, values in weighed.items()}
    sums |= {
        "shown": np.add.reduceat(shown, starts).cumsum(),
        "clicks": np.add.reduceat(clicks, starts).cumsum(),
    }
    sums |= {
        "units": new.cumsum() + float(bots),
        "largest": np.maximum.accumulate(np.maximum.reduceat(shown, starts)),
    }
    if bots:
        seen = generator.poisson(visits, (bots, DAYS)).cumsum(axis=1)
        does = generator.beta(0.5 * rate, 0.5 * (1 - rate), (bots, 1))  # most of them nothing, some always
        did = generator.binomial(np.diff(seen, axis=1, prepend=0), does).cumsum(axis=1)
        for name, values in products(did.astype(float), seen.astype(float), cap).items():
            sums[name] = sums[name] + values.sum(axis=0)
        sums["shown"], sums["clicks"] = sums["shown"] + seen.sum(axis=0), sums["clicks"] + did.sum(axis=0)
        sums["largest"] = np.maximum(sums["largest"], seen.max(axis=0))
    return sums


def products(num: NDArray[np.float64], den: NDArray[np.float64], cap: float) -> Arrays:
    """Return what is summed over units, each weighed as the cap says."""
    weight = np.minimum(1.0, cap / np.maximum(den, 1.0))
    n, d = num * weight, den * weight
    return dict(zip(SUMS, (n, d, n * n, d * d, n * d), strict=True))


def _ratio_arm(arm: Arrays, wrong: Mapping[str, NDArray[np.int64]], day: int) -> ArmTotals:
    units = int(arm["units"][day])
    sums = {name: float(arm[name][day]) for name in (*SUMS, "largest")}
    metrics = {"ctr": Moments(units=units, **sums)}
    for name, seen in wrong.items():
        hits = float(seen[day]) * sums["den"] / float(arm["shown"][day])
        metrics[name] = Moments(
            units=units,
            num=hits,
            den=sums["den"],
            num_num=hits,
            den_den=sums["den_den"],
            num_den=hits * sums["den_den"] / sums["den"],
        )
    return arm_of(units, int(arm["shown"][day]), int(wrong["errors"][day]), 0, metrics)


def arm_of(units: int, shown: int, fallbacks: int, gone: int, metrics: dict[str, Moments]) -> ArmTotals:
    """Return an arm; what got no answer failed."""
    return ArmTotals(
        units=units,
        exposures=shown,
        fallbacks=fallbacks,
        unanswered={"failed": gone} if gone else {},
        metrics=metrics,
    )


def totals_of(arms: list[ArmTotals], day: int, **counts: int) -> StepTotals:
    """Return what a look has seen."""
    champion, challenger = arms
    return StepTotals(
        experiment="v2-e2",
        step=0,
        champion=champion,
        challenger=challenger,
        counted_until=START + timedelta(days=day + 1),
        **counts,
    )


def _cells() -> Iterator[Cell]:
    """Yield the worlds; their right ends were written down before they were run."""
    promote, back = RolloutAction.PROMOTE, RolloutAction.ROLL_BACK
    convert = partial(Cell, draw=conversions)
    none = {promote: 0.0}
    rarely = {promote: 0.05}
    sound = {back: 0.05}
    yield convert(name="no outcome arrives", values={"rate": 0.1, "lost": 1.0}, wrong=none, right={back: 1.0})
    for cause in ("unusable", "unknown", "early"):
        values = {"rate": 0.1, "rate_challenger": 0.05, cause: 1.0}
        yield convert(name=f"every outcome is {cause}", values=values, wrong=none, right={back: 1.0})
    yield convert(
        name="10 %, half of the outcomes lost at random",
        values={"rate": 0.1, "lost": 0.5},
        wrong=sound,
        right={promote: 0.8},
    )
    for refused in (0.05, 0.1, 0.2, 0.3):
        values = {"rate": 0.1, "refused_challenger": refused, "refused_converts": 1.0}
        yield convert(name=f"challenger refuses {refused:.0%}", values=values, wrong=none, right={back: 0.99})
    yield convert(
        name="both refuse 5 %", values={"rate": 0.1, "refused": 0.05, "refused_converts": 0.5}, wrong=sound
    )
    for rate in (0.002, 0.01, 0.05, 0.1, 0.5):
        users = 40_000 if rate < 0.05 else 4_000
        worse = rate - min(0.02, rate / 5)
        yield convert(name=f"{rate:.1%}, equal", values={"rate": rate, "users": users}, wrong=sound)
        yield convert(
            name=f"{rate:.1%} -> {worse:.2%}, the margin",
            values={"rate": rate, "rate_challenger": worse, "users": users},
            wrong=rarely,
        )
    yield convert(
        name="1 % -> 0.5 %", values={"rate": 0.01, "rate_challenger": 0.005, "users": 4_000}, wrong=rarely
    )
    yield convert(
        name="0.2 % -> 0 %", values={"rate": 0.002, "rate_challenger": 0.0, "users": 4_000}, wrong=rarely
    )
    judge = partial(Cell, draw=labels)
    accuracy = {"metric": "accuracy"}
    better = {"strategy": "ab", "metric": "accuracy", "steps": [5, 25, 50, 100]}
    yield judge(
        name="accuracy .85, equal", values={"rate": 0.85, "labelled": 0.3}, block=accuracy, wrong=sound
    )
    yield judge(
        name="accuracy .85 -> .83, the margin",
        values={"rate": 0.85, "rate_challenger": 0.83, "labelled": 0.5},
        block=accuracy,
        wrong=rarely,
    )
    yield judge(
        name="right 80 %, wrong 10 %, refused 10 % against .85",
        values={"rate": 0.85, "rate_challenger": 0.8 / 0.9, "refused_challenger": 0.1, "labelled": 0.8},
        block=better,
        wrong=none,
        right={back: 0.99},
    )
    for hidden in (0.3, 1.0):
        yield judge(
            name=f"challenger .80 whose wrong answers lose {hidden:.0%} of their labels, against .85",
            values={"rate": 0.85, "rate_challenger": 0.8, "labelled": 0.8, "hides_wrong": hidden},
            block=accuracy,
            wrong=rarely,
        )
    for part in (0.01, 0.1, 0.3):
        for strategy, block in (
            ("ab", {"strategy": "ab", "steps": [5, 25, 50, 100]}),
            ("canary", {"promote": {"not_worse": 0.02}}),
        ):
            yield Cell(
                name=f"ctr 10 %, bots with {part:.0%} of the exposures, {strategy}, equal",
                draw=impressions,
                values={"rate": 0.1, "bots": 12, "bot_share": part},
                block={"metric": "ctr", **block},
                wrong={back: 0.05, **({promote: 0.05} if strategy == "ab" else {})},
            )


CELLS = tuple(_cells())
"""All worlds."""
