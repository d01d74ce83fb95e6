"""Made-up rollouts in which outcomes, labels or answers are missing, each with its right end.

What each look has seen is drawn as the counting would sum it: conversions of new users, answers with labels.
``CELLS`` says of each world what must not follow, and how often it may.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from ab_cells import DAYS, Cell, arm_of, both, conversion_arm, faults, new_users, shares, totals_of

from windsock.records import RolloutAction, StepTotals


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
            bad = {name: float(many[arm, day]) for name, many in wrong.items()}
            arms.append(conversion_arm(units, gone, float(seen[arm, day]), bad))
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
    for refused in (0.005, 0.01):  # inside the limit of errors, and at it: it may be promoted, or be held
        values = {"rate": 0.1, "refused_challenger": refused, "refused_converts": 1.0}
        yield convert(name=f"challenger refuses {refused:.1%}", values=values, wrong=sound)
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
    yield judge(
        name="challenger's labels lost at random, half of them",
        values={"rate": 0.85, "labelled": 0.6, "labelled_challenger": 0.3},
        block=accuracy,
        wrong=none,
        right={back: 1.0},
    )
    for hidden in (0.3, 1.0):
        yield judge(
            name=f"challenger .80 whose wrong answers lose {hidden:.0%} of their labels, against .85",
            values={"rate": 0.85, "rate_challenger": 0.8, "labelled": 0.8, "hides_wrong": hidden},
            block=accuracy,
            wrong=rarely,
        )


CELLS = tuple(_cells())
"""All worlds."""
