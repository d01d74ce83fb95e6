"""Made-up rollouts in which a few bots have a part of all impressions, each with its right end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from ab_cells import DAYS, FAULTS, HALF, Cell, arm_of, both, new_users, rollout_of, totals_of
from ab_worlds import IMPRESSIONS

from windsock.records import ArmTotals, Moments, RolloutAction, StepTotals

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[np.float64]"]


def impressions(generator: np.random.Generator, cell: Cell) -> list[StepTotals]:
    """Draw users with some impressions each, and bots that come every day, with a rate of their own."""
    cap = rollout_of(cell).plan.unit_cap or np.inf
    rates = both(cell, "rate")
    new = new_users(generator, cell)
    bots = generator.binomial(int(cell.values["bots"]), HALF)
    counts = (int(cell.values["bots"]) - bots, bots)
    daily = cell.values["bot_share"] / (1 - cell.values["bot_share"]) * new.sum(axis=0).mean() * IMPRESSIONS
    visits = daily / max(1.0, cell.values["bots"])
    tail = cell.values.get("tail")
    arms = [
        _impressions(generator, new[arm], rates[arm], counts[arm], visits, float(cap), tail) for arm in (0, 1)
    ]
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


MOST_IMPRESSIONS = 1e6
SUMS = ("num", "den", "num_num", "den_den", "num_den")


def _impressions(
    generator: np.random.Generator,
    new: NDArray[np.int64],
    rate: float,
    bots: int,
    visits: float,
    cap: float,
    tail: float | None,
) -> Arrays:
    """Return an arm's sums at each look: of users, who come on one day only, and of bots.

    :param tail: of a Pareto distribution of the users' impressions; ``None``: they are geometric.
    """
    users = int(new.sum())
    shown = generator.geometric(1 / IMPRESSIONS, users).astype(float)
    if tail is not None:
        shown = np.minimum(np.ceil(generator.pareto(tail, users) + 1), MOST_IMPRESSIONS)
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


def _cells() -> Iterator[Cell]:
    """Yield the worlds; their right ends were written down before they were run."""
    promote, back = RolloutAction.PROMOTE, RolloutAction.ROLL_BACK
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
            if part == 0.1:
                yield Cell(
                    name=f"ctr 10 %, impressions by Pareto (1.1), {strategy}, equal",
                    draw=impressions,
                    values={"rate": 0.1, "bots": 0, "bot_share": 0.0, "tail": 1.1},
                    block={"metric": "ctr", **block},
                    wrong={back: 0.05, **({promote: 0.05} if strategy == "ab" else {})},
                )


CELLS = tuple(_cells())
"""All worlds."""
