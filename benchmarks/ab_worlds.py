"""Made-up users for the simulation of rollouts: what each look of a test has seen, by arm and unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOKS, USERS = 20, 2_000
"""Looks of a test, and new users of both arms between two of them."""
WHOLE = 10_000
"""Basis points of all traffic."""
IMPRESSIONS = 10
"""Of a user who differs from others, on average: few have many (geometric)."""
FAULTS = {"errors": 0.001, "slow": 0.01}
"""Share of the answers of either arm that come from the fallback, and that come late."""
REGULARS = 12_000
"""Users who come back day after day, of both arms; an impression a day on average."""
BUYERS, SPREAD = 0.02, 1.5
"""Share of the users who buy, and standard deviation of the logarithm of what they spend."""
SUMS = ("units", "num", "den", "num_num", "den_den", "num_den")


@dataclass(frozen=True)
class World:
    """What the users of a test do.

    :param champion: rate of the champion's users.
    :param challenger: rate of the challenger's.
    :param share: basis points of the challenger.
    :param differ: users have many impressions or few, and a rate of their own (Beta, like 1 : 9 for 10 %).
    :param come_back: the same users at every look instead of new ones; they differ too.
    :param skewed: what counts is what users spend: most nothing, few very much; the rates are of buyers.
    :param users: new ones of both arms between two looks.
    :param lower: less of it is better.
    """

    name: str
    champion: float
    challenger: float
    share: int = WHOLE // 2
    differ: bool = False
    come_back: bool = False
    skewed: bool = False
    users: int = USERS
    lower: bool = False


@dataclass(frozen=True)
class Test:
    """What was seen of one test by each look, summed from its beginning.

    :param sums: of the metric, by name in ``SUMS``; shape (2, looks): champion, challenger.
    :param faults: answers with a fault, by kind; of the same shape.
    """

    sums: dict[str, NDArray[np.float64]]
    faults: dict[str, NDArray[np.float64]]


def tests(world: World, runs: int, seed: int) -> Iterator[Test]:
    """Draw tests one after the other; the assignment of each user is chance too."""
    for run in range(runs):
        generator = np.random.default_rng([seed, run])
        sums = _sums(world, generator)
        answers = np.diff(sums["den"], prepend=0.0).astype(int)
        faults = {
            name: generator.binomial(answers, rate).cumsum(axis=1).astype(float)
            for name, rate in FAULTS.items()
        }
        yield Test(sums, faults)


def _sums(world: World, generator: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    rates, part = (world.champion, world.challenger), world.share / WHOLE
    if world.come_back:
        challengers = int(generator.binomial(REGULARS, part))
        users = (REGULARS - challengers, challengers)
        arms = [_regulars(generator, many, rate) for many, rate in zip(users, rates, strict=True)]
        return {name: np.stack([arm[name] for arm in arms]) for name in SUMS}
    new = generator.binomial(world.users, part, LOOKS)
    draw = _impressions if world.differ else _spent if world.skewed else _conversions
    seen = [draw(generator, size, rate) for size, rate in zip((world.users - new, new), rates, strict=True)]
    return {name: np.stack([one[name] for one in seen]).cumsum(axis=1) for name in SUMS}


def _regulars(generator: np.random.Generator, users: int, rate: float) -> dict[str, NDArray[np.float64]]:
    own = generator.beta(IMPRESSIONS * rate, IMPRESSIONS * (1 - rate), users)
    today = generator.poisson(1, (LOOKS, users))
    today[0] += 1  # all are known from the first look on
    clicks, shown = generator.binomial(today, own).cumsum(axis=0), today.cumsum(axis=0)
    products = (shown > 0, clicks, shown, clicks * clicks, shown * shown, clicks * shown)
    return {name: values.sum(axis=1).astype(float) for name, values in zip(SUMS, products, strict=True)}


def _conversions(
    generator: np.random.Generator, sizes: NDArray[np.int64], rate: float
) -> dict[str, NDArray[np.float64]]:
    units, hits = sizes.astype(float), generator.binomial(sizes, rate).astype(float)
    return dict(zip(SUMS, (units, hits, units, hits, units, hits), strict=True))


def _spent(
    generator: np.random.Generator, sizes: NDArray[np.int64], rate: float
) -> dict[str, NDArray[np.float64]]:
    buyers = generator.binomial(sizes, rate)
    spent = [np.exp(generator.normal(0, SPREAD, many)) for many in buyers]
    units, total = sizes.astype(float), np.array([one.sum() for one in spent])
    squares = np.array([one @ one for one in spent])
    return dict(zip(SUMS, (units, total, units, squares, units, total), strict=True))


def _impressions(
    generator: np.random.Generator, sizes: NDArray[np.int64], rate: float
) -> dict[str, NDArray[np.float64]]:
    users = int(sizes.sum())
    shown = generator.geometric(1 / IMPRESSIONS, users)
    own = generator.beta(IMPRESSIONS * rate, IMPRESSIONS * (1 - rate), users)
    clicks = generator.binomial(shown, own)
    starts = np.r_[0, sizes.cumsum()[:-1]]
    products = (np.ones(users), clicks, shown, clicks * clicks, shown * shown, clicks * shown)
    return {
        name: np.add.reduceat(values.astype(float), starts)
        for name, values in zip(SUMS, products, strict=True)
    }
