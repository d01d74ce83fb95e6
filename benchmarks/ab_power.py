"""Made-up rollouts that the planner promises a power for, in each design: what is seen must be what it says.

What is true is what the planner reckons with: a gain, or two equal versions of which one may be worse by a
margin. ``promised`` is the probability that ``windsock rollout plan`` prints for the plan as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from ab_cells import Cell, rollout_of
from ab_missing import conversions, labels

from windsock.rollout.planning import Goal, own_power, usual_goal
from windsock.rollout.traffic_ahead import World
from windsock.statistics.planning import Baseline

POWER_APART = 0.03
"""Between the power that is seen and the one that is promised, to either side."""
TIMES = 3
"""As many tests as of other worlds: their share is held against a number from both sides."""
LENGTH = "14d"
DESIGNS = {
    "one look": {"horizon": LENGTH, "looks": 1},
    "planned looks": {"horizon": LENGTH, "looks": 20},
    "looks at any time": {"deadline": LENGTH},
}
FEW_LOOKS = {**DESIGNS, "planned looks": {"horizon": LENGTH, "looks": 7}}
"""Where labels come by chance each test has bounds of its own to be reckoned, which takes long."""


def promised(cell: Cell) -> float:
    """Return the power that the planner promises for a cell's plan."""
    plan, rate = rollout_of(cell).plan, cell.values["rate"]
    world = World(
        model="simulated",
        plan=plan,
        baseline=Baseline(rate, rate * (1 - rate)),
        by_day=(cell.values["users"],),
        source="made up",
        labelled=cell.values.get("labelled", 1.0),
    )
    gain = cell.values.get("rate_challenger", rate) - rate
    goal = Goal(distance=gain, is_gain=True) if gain else usual_goal(world)
    if goal is None:
        raise ValueError(f"{cell.name} shows nothing")
    return own_power(world, goal)


def _cells() -> Iterator[Cell]:
    """Yield the worlds, each with the daily users for a power near 0.8 in each design."""
    for name, draw, values, block, users in (
        (
            "10 % -> 11 %, share 50 %",
            conversions,
            {"rate": 0.1, "rate_challenger": 0.11},
            {},
            (2_140, 2_240, 3_830),
        ),
        (
            "10 %, equal, may lose 20 % of it, share 50 %",
            conversions,
            {"rate": 0.1},
            {"promote": {"not_worse": "20%"}},
            (420, 440, 760),
        ),
        (
            "2 %, equal, may lose 20 % of it, share 10 %",
            conversions,
            {"rate": 0.02, "share": 0.1},
            {"promote": {"not_worse": "20%"}},
            (7_380, 7_740, 14_300),
        ),
        (
            "10 %, equal, may lose 0.02, share 10 %",
            conversions,
            {"rate": 0.1, "share": 0.1},
            {"promote": {"not_worse": 0.02}},
            (1_400, 1_470, 2_500),
        ),
        (
            "accuracy .85, equal, may lose 0.02, labels of 30 %, share 50 %",
            labels,
            {"rate": 0.85, "labelled": 0.3},
            {"promote": {"not_worse": 0.02}, "metric": "accuracy"},
            (2_390, 2_500, 4_180),
        ),
    ):
        designs = FEW_LOOKS if draw is labels else DESIGNS
        for (design, length), many in zip(designs.items(), users, strict=True):
            yield Cell(
                name=f"{name}, {design}",
                draw=draw,
                values={**values, "users": many},
                block={
                    "strategy": "ab",
                    "share": 100 * values.get("share", 0.5),
                    "check": "1d",
                    "minimum_units": 2_000,
                    **block,
                    **length,
                },
            )


CELLS = tuple(_cells())
"""All worlds."""
