"""Made-up rollouts of several challengers at once, each with its right end.

Users come once, belong to one arm by chance, and convert at its rate; some arms refuse a part of them. What
an end may be was written down before the worlds were run: ``wrong`` with the share of the tests that may have
it, ``right`` with the least share that must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
from ab_cells import DAYS, Course, conversion_arm, faults, judged, simulated, totals_of

from windsock.records import BASIS_POINTS, Rollout, RolloutAction, StepTotals
from windsock.rollout.planning import Goal, own_power
from windsock.rollout.traffic_ahead import World
from windsock.statistics.planning import Baseline

USERS = 4_000
"""New users of all arms in a day."""
FIRST = 2
"""Version of the first challenger; the champion is version 1."""
FALSE = 0.05
SURE = 0.99


@dataclass(frozen=True)
class Fate:
    """What may become of a rollout.

    :param holds: whether it became of this one.
    """

    name: str
    holds: Callable[[Course], bool]


def _ended(action: RolloutAction, version: str | None, course: Course) -> bool:
    return course.action is action and version in (None, course.version)


def _was_dropped(version: str, course: Course) -> bool:
    return version in course.dropped


def _was_taken(but: str | None, course: Course) -> bool:
    return bool(set(course.dropped) - {but}) or course.action is RolloutAction.ROLL_BACK


ANY_PROMOTED = Fate("any is promoted", partial(_ended, RolloutAction.PROMOTE, None))
KEPT = Fate("the champion is kept", partial(_ended, RolloutAction.KEEP, None))
ANY_TAKEN = Fate("any is dropped, or all rolled back", partial(_was_taken, None))


def promoted(version: str) -> Fate:
    """Return that a version is promoted."""
    return Fate(f"version {version} is promoted", partial(_ended, RolloutAction.PROMOTE, version))


def dropped(version: str) -> Fate:
    """Return that a version is dropped."""
    return Fate(f"version {version} is dropped", partial(_was_dropped, version))


def others_taken(version: str) -> Fate:
    """Return that another version than this one is dropped, or that all are rolled back."""
    return Fate(
        f"another than version {version} is dropped, or all rolled back", partial(_was_taken, version)
    )


@dataclass(frozen=True, kw_only=True)
class Several:
    """One world with several challengers.

    :param rates: conversions of the champion's users, then of each challenger's.
    :param refused: part of the users that an arm does not answer, in the same order.
    :param gain: version whose promotion the planner promises a power for.
    """

    name: str
    rates: tuple[float, ...]
    block: Mapping[str, Any]
    refused: tuple[float, ...] = ()
    users: int = USERS
    wrong: Mapping[Fate, float] = field(default_factory=dict)
    right: Mapping[Fate, float] = field(default_factory=dict)
    gain: str | None = None

    def __hash__(self) -> int:
        """Worlds have names of their own."""
        return hash(self.name)


@lru_cache
def rollout_of(world: Several) -> Rollout:
    """Return a rollout of a world; in an A/B test all arms are alike, in a canary too."""
    tried = len(world.rates) - 1
    share = 100 * tried / (tried + 1)
    usual = {"metric": "conversion", "challengers": tried, "minimum_units": 2_000, "check": "1d"}
    if world.block["strategy"] == "ab":
        return simulated({**usual, "share": share, **world.block})
    return simulated({**usual, "steps": [share, 100], **world.block})


def course_of(world: Several, generator: np.random.Generator) -> Course:
    """Return what becomes of one rollout."""
    return judged(rollout_of(world), draw(generator, world))


def draw(generator: np.random.Generator, world: Several) -> Iterator[StepTotals]:
    """Draw the totals of each look."""
    each, tried = rollout_of(world).share_each, len(world.rates) - 1
    parts = [1 - tried * each / BASIS_POINTS, *[each / BASIS_POINTS] * tried]
    new = generator.multinomial(world.users, parts, DAYS).T
    refused = generator.binomial(new, np.array(world.refused or [0.0] * len(parts))[:, None])
    converted = generator.binomial(new - refused, np.array(world.rates)[:, None])
    seen, asked, without = (many.cumsum(axis=1) for many in (converted, new, refused))
    wrong = faults(generator, new - refused)
    for day in range(DAYS):
        arms = []
        for arm in range(tried + 1):
            units, gone = int(asked[arm, day]), int(without[arm, day])
            bad = {name: float(many[arm, day]) for name, many in wrong.items()}
            arms.append(conversion_arm(units, gone, float(seen[arm, day]), bad))
        yield totals_of(arms, day, outcomes=int(seen[:, day].sum()))


def promised(world: Several) -> float:
    """Return the power that the planner promises for the one that is better."""
    place, rate = int(world.gain or FIRST) - FIRST + 1, world.rates[0]
    ahead = World(
        model="simulated",
        plan=rollout_of(world).plan,
        baseline=Baseline(rate, rate * (1 - rate)),
        by_day=(float(world.users),),
        source="made up",
        challengers=len(world.rates) - 1,
    )
    return own_power(ahead, Goal(distance=world.rates[place] - rate, is_gain=True))


ANY_TIME, PLANNED = {"deadline": "14d"}, {"horizon": "14d", "looks": 7}
"""Few looks: the units of two of several arms are chance, so each test has bounds of its own to reckon."""
AB, CANARY = {"strategy": "ab"}, {"strategy": "canary", "promote": {"not_worse": 0.02}}
DESIGNS = {"looks at any time": ANY_TIME, "planned looks": PLANNED}


def _worlds() -> Iterator[Several]:
    sound = {ANY_TAKEN: FALSE}
    for design, length in DESIGNS.items():
        for tried in (2, 3, 4):
            yield Several(
                name=f"ab, {tried} equal, {design}",
                rates=(0.1,) * (1 + tried),
                block={**AB, **length},
                wrong={ANY_PROMOTED: FALSE, **sound},
            )
            yield Several(
                name=f"canary, {tried} that all lose the margin, {design}",
                rates=(0.1, *[0.08] * tried),
                block={**CANARY, **length},
                wrong={ANY_PROMOTED: FALSE},  # it is harm, so that they are rolled back is right as well
            )
        yield Several(
            name=f"canary, 3 equal, {design}",
            rates=(0.1,) * 4,
            block={**CANARY, **length},
            wrong=sound,
            right={ANY_PROMOTED: 0.9},
        )
        yield Several(
            name=f"ab, 3 challengers, version 4 is worse, 10 % -> 7 %, {design}",
            rates=(0.1, 0.1, 0.1, 0.07),
            block={**AB, **length},
            wrong={ANY_PROMOTED: FALSE, others_taken("4"): FALSE},
            right={dropped("4"): SURE, KEPT: 0.9},
        )
        yield Several(
            name=f"canary, 2 challengers, version 3 refuses 20 %, {design}",
            rates=(0.1, 0.1, 0.1),
            refused=(0.0, 0.0, 0.2),
            block={**CANARY, **length},
            wrong={promoted("3"): 0.0, others_taken("3"): FALSE},
            right={dropped("3"): SURE, promoted("2"): 0.9},
        )
    for design, users in (("looks at any time", 10_000), ("planned looks", 6_000)):
        yield Several(
            name=f"ab, 3 challengers, version 3 is better, 10 % -> 11 %, {design}",
            rates=(0.1, 0.1, 0.11, 0.1),
            users=users,
            block={**AB, **DESIGNS[design]},
            wrong={promoted("2"): 0.01, promoted("4"): 0.01, ANY_TAKEN: FALSE},
            gain="3",
        )


WORLDS = tuple(_worlds())
"""All worlds."""
