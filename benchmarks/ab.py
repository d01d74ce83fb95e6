"""How often rollouts end wrongly, and how soon rightly: Windsock's decision beside what teams do without it.

Whole tests are simulated: 20 looks, one a day, 2,000 new users between two of them. Every look goes through
the product's own decision with its usual guardrails, minimum of units, cycle and sample-ratio check. All
rules see the same users. Then whole canaries and A/B tests of 28 days in which something is missing or out of
proportion: outcomes, labels of one arm, answers, base rates from 0.2 to 50 %, a few bots. Then the power that
the planner promises for a plan, beside the one that is seen. Last two to four challengers at once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from multiprocessing import get_context

import numpy as np
from ab_bots import CELLS as BOTS
from ab_cells import DAYS, Cell, Course, end_of
from ab_missing import CELLS as MISSING
from ab_power import CELLS as POWERS
from ab_power import POWER_APART, TIMES, promised
from ab_rules import (
    NAIVE,
    ONCE,
    OURS,
    PLANNED,
    POSTERIOR,
    RULES,
    SEQUENCE,
    End,
    remember_bounds,
    rules_of,
    windsock,
)
from ab_several import WORLDS as SEVERAL
from ab_several import Fate, Several, course_of
from ab_several import promised as promised_of_one
from ab_several import promoted as promotion_of
from ab_worlds import BUYERS, LOOKS, World, tests
from harness import Bar, report
from scipy.stats import binomtest

from windsock.records import RolloutAction
from windsock.rollout import guardrails

RUNS, QUICK_RUNS = 2_000, 200
NEVER = 0.005
"""What the 95 % limit of a share is held against where it must be 0: that of 0 in 2,000 is 0.0018."""
PROCESSES = 2
EQUAL, RARE = World("A = B, 10 %", 0.10, 0.10), World("A = B, 2 %", 0.02, 0.02)
SPLIT = World("A = B, 10 %, split 90 : 10", 0.10, 0.10, share=1_000)
DIFFER = World("A = B, users differ", 0.10, 0.10, differ=True)
REGULARS = World("A = B, users come back", 0.10, 0.10, come_back=True)
GAIN, HARM = World("10 % -> 11 %", 0.10, 0.11), World("10 % -> 8 %", 0.10, 0.08)
SKEWED = tuple(
    World(
        f"A = B, {'cost' if lower else 'revenue'} of 2 %, {share // 100} % of the users",
        BUYERS,
        BUYERS,
        share,
        skewed=True,
        users=users,
        lower=lower,
    )
    for share, users, lower in (
        (100, 20_000, False),
        (500, 8_000, False),
        (2_000, 2_000, False),
        (9_500, 2_000, False),
        (500, 8_000, True),
    )
)
"""A small arm of a metric that few users have: its mean and its variance are low together."""
NO_GAIN = (EQUAL, RARE, SPLIT, DIFFER, REGULARS, *SKEWED)
WORLDS = (*NO_GAIN, GAIN, HARM)
ENDS = {RolloutAction.PROMOTE: "promoted", RolloutAction.ROLL_BACK: "rolled back"}
TUNED = (2_000, 5_000, 10_000, 20_000, 40_000)
"""Planned units of the guardrails that ``--tune`` compares."""


def share_of(count: int, tests: int) -> tuple[float, float, float]:
    """Return a share, and its 95 % interval (Clopper-Pearson)."""
    interval = binomtest(count, tests).proportion_ci()
    return count / tests, interval.low, interval.high


class Seen:
    """How many tests a rule has ended in which way."""

    def __init__(self, ends: Iterable[End]) -> None:
        self.ends = list(ends)

    def share(self, *actions: RolloutAction) -> tuple[float, float, float]:
        """Return the share of tests with such an end, and its 95 % interval (Clopper-Pearson)."""
        return share_of(sum(end.action in actions for end in self.ends), len(self.ends))

    def median_look(self, action: RolloutAction) -> float:
        """Return the median look of an end; tests that did not end so count as endless."""
        return float(np.median([end.look if end.action is action else np.inf for end in self.ends]))


def run_world(world: World, *, runs: int) -> dict[str, Seen]:
    """Let every rule end the same tests."""
    with get_context("fork").Pool(PROCESSES) as pool:
        found = pool.map(partial(_part, world, runs // PROCESSES), range(PROCESSES))
    return {name: Seen(end for part in found for end in part[name]) for name in rules_of(world)}


def _part(world: World, runs: int, seed: int) -> dict[str, list[End]]:
    remember_bounds()
    ends: dict[str, list[End]] = defaultdict(list)
    for test in tests(world, runs, seed):
        for name in rules_of(world):
            ends[name].append(RULES[name](world, test))
    return ends


def run_cell(cell: Cell, *, runs: int) -> Seen:
    """Let Windsock end rollouts of one world in which something is missing."""
    with get_context("fork").Pool(PROCESSES) as pool:
        found = pool.map(partial(_cell_part, cell, runs // PROCESSES), range(PROCESSES))
    return Seen(end for part in found for end in part)


def _cell_part(cell: Cell, runs: int, seed: int) -> list[End]:
    remember_bounds()
    courses = (end_of(cell, np.random.default_rng([seed, run])) for run in range(runs))
    return [End(course.action, course.look) for course in courses]


def run_several(world: Several, *, runs: int) -> list[Course]:
    """Let Windsock end rollouts of several challengers."""
    with get_context("fork").Pool(PROCESSES) as pool:
        found = pool.map(partial(_several_part, world, runs // PROCESSES), range(PROCESSES))
    return [course for part in found for course in part]


def _several_part(world: Several, runs: int, seed: int) -> list[Course]:
    remember_bounds()
    return [course_of(world, np.random.default_rng([seed, run])) for run in range(runs)]


def several_bars(world: Several, courses: list[Course], *, quick: bool) -> list[Bar]:
    """Hold what became of a world's rollouts against what was written down for it."""

    def bar(fate: Fate, limit: float, *, at_most: bool) -> Bar:
        share = share_of(sum(map(fate.holds, courses)), len(courses))
        return share_bar(
            f"{world.name}: {fate.name}", share, len(courses), limit, at_most=at_most, quick=quick
        )

    bars = [bar(fate, max(limit, NEVER), at_most=True) for fate, limit in world.wrong.items()]
    bars += [bar(fate, min(least, 1 - NEVER), at_most=False) for fate, least in world.right.items()]
    if world.gain is not None:
        seen = share_of(sum(map(promotion_of(world.gain).holds, courses)), len(courses))
        bars += power_pair(world.name, promised_of_one(world), seen, len(courses), quick=quick)
    return bars


def cell_bars(cell: Cell, seen: Seen, *, quick: bool) -> list[Bar]:
    """Hold a world's wrong and right ends against what was written down for it."""
    bar = partial(rate_bar, quick=quick)
    bars = [
        bar(f"{cell.name}: {ENDS[end]}", seen, max(limit, NEVER), end) for end, limit in cell.wrong.items()
    ]
    return bars + [
        bar(f"{cell.name}: {ENDS[end]}", seen, min(least, 1 - NEVER), end, at_most=False)
        for end, least in cell.right.items()
    ]


def power_bars(cell: Cell, seen: Seen, *, quick: bool) -> list[Bar]:
    """Hold the power that is seen against the planner's, from both sides; a quick run's by its better end."""
    return power_pair(
        cell.name, promised(cell), seen.share(RolloutAction.PROMOTE), len(seen.ends), quick=quick
    )


def power_pair(
    name: str, power: float, seen: tuple[float, float, float], runs: int, *, quick: bool
) -> list[Bar]:
    """Hold a power that is seen, a share with its interval, against one that is promised."""
    rate, low, high = seen
    best = min(max(power, low), high) if quick else rate
    unit = f"(promised {power:.3f}, seen {rate:.3f} [{low:.3f}, {high:.3f}] of {runs:,} tests)"
    what = f"{name}: power, seen less promised"
    return [
        Bar(bar=what, value=best - power, unit=unit, limit=-POWER_APART, at_most=False),
        Bar(bar=what, value=best - power, unit=unit, limit=POWER_APART),
    ]


def tune(runs: int) -> int:
    """Compare where the guardrails' confidence sequences may be narrowest."""
    usual = guardrails.GUARDRAIL_UNITS
    great = World("10 % -> 5 %", 0.10, 0.05)
    print(f"{'units':>7}  {'10 % -> 8 %: median, mean look':30}  {'10 % -> 5 %':30}  A = B, rolled back")
    for units in TUNED:
        guardrails.GUARDRAIL_UNITS = units
        cells = []
        for world in (HARM, great, EQUAL):
            seen = Seen(windsock()(world, test) for test in tests(world, runs, 7))
            looks = [end.look for end in seen.ends]
            median = seen.median_look(RolloutAction.ROLL_BACK)
            cells.append(f"{median:g}, {np.mean(looks):.2f}")
        share = seen.share(RolloutAction.ROLL_BACK)[0]
        print(f"{units:7,}  {cells[0]:30}  {cells[1]:30}  {share:.4f}{'  (usual)' if units == usual else ''}")
    return 0


def rate_bar(
    what: str, seen: Seen, limit: float, *actions: RolloutAction, at_most: bool = True, quick: bool = False
) -> Bar:
    """Hold the worse end of a rate's 95 % interval against a limit; the better end of a quick run's."""
    return share_bar(what, seen.share(*actions), len(seen.ends), limit, at_most=at_most, quick=quick)


def share_bar(
    what: str, share: tuple[float, float, float], runs: int, limit: float, *, at_most: bool, quick: bool
) -> Bar:
    """Hold the worse end of a share's interval against a limit; the better end of a quick run's."""
    rate, low, high = share
    held = high if at_most is not quick else low
    unit = f"(seen {rate:.3f}, 95 % interval {low:.3f} to {high:.3f} of {runs:,} tests)"
    return Bar(bar=what, value=held, unit=unit, limit=limit, at_most=at_most)


def bars_of(found: dict[World, dict[str, Seen]], *, quick: bool) -> list[Bar]:
    """Return what is promised, and that the simulation shows what it must of the other rules."""
    promote, back = ENDS
    bar = partial(rate_bar, quick=quick)
    bars = []
    for world in NO_GAIN:
        for name in OURS:
            seen = found[world][name]
            bars.append(bar(f"{world.name}: {name} promotes", seen, 0.05, promote))
            bars.append(bar(f"{world.name}: {name} rolls back", seen, 0.05, back))
    bars += [
        bar(f"{GAIN.name}: {PLANNED} promotes", found[GAIN][PLANNED], 0.85, promote, at_most=False),
        bar(f"{GAIN.name}: {SEQUENCE} promotes", found[GAIN][SEQUENCE], 0.60, promote, at_most=False),
    ]
    for name in OURS:
        looks = found[HARM][name].median_look(back)
        bars.append(Bar(bar=f"{HARM.name}: {name} rolls back, median", value=looks, unit="looks", limit=5))
        bars.append(bar(f"{HARM.name}: {name} promotes", found[HARM][name], 0.01, promote))
    for world, name, least in (
        (EQUAL, NAIVE, 0.20),
        (EQUAL, POSTERIOR, 0.38),
        (DIFFER, ONCE, 0.20),
    ):
        what = f"{world.name}: {name}, by the exposure, ends the test"
        bars.append(bar(what, found[world][name], least, *ENDS, at_most=False))
    return bars


def rows_of(world: str, found: dict[str, Seen], looks: int) -> list[tuple[str, ...]]:
    """Return the table's rows of a world, whose tests have so many looks."""
    rows = []
    for name, seen in found.items():
        cells = [world, name]
        for action in ENDS:
            rate, low, high = seen.share(action)
            cells.append(f"{rate:.3f} [{low:.3f}, {high:.3f}]")
        cells += [f"{seen.median_look(action):g}".replace("inf", "-") for action in ENDS]
        used = np.mean([end.look for end in seen.ends]) / looks
        rows.append((*cells, f"{used:.2f}"))
    return rows


def main() -> int:
    """Simulate, print what each rule did, hold Windsock's against the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} tests a world, not {RUNS:,}")
    parser.add_argument("--runs", type=int, help="tests a world")
    parser.add_argument("--tune", action="store_true", help="compare planned units of the guardrails only")
    asked = parser.parse_args()
    runs = asked.runs or (QUICK_RUNS if asked.quick else RUNS)
    if asked.tune:
        return tune(runs)
    begun = time.perf_counter()
    found = {world: run_world(world, runs=runs) for world in WORLDS}
    bars = bars_of(found, quick=asked.quick)
    missing = {cell: run_cell(cell, runs=runs) for cell in (*MISSING, *BOTS)}
    powers = {cell: run_cell(cell, runs=TIMES * runs) for cell in POWERS}
    bars += [bar for cell, seen in missing.items() for bar in cell_bars(cell, seen, quick=asked.quick)]
    bars += [bar for cell, seen in powers.items() for bar in power_bars(cell, seen, quick=asked.quick)]
    several = {world: run_several(world, runs=runs) for world in SEVERAL}
    bars += [bar for world, seen in several.items() for bar in several_bars(world, seen, quick=asked.quick)]
    bars.append(Bar(bar="time", value=time.perf_counter() - begun, unit="s"))
    header = ("truth", "rule", *ENDS.values(), "median look", "of roll back", "users used")
    rows = [row for world in WORLDS for row in rows_of(world.name, found[world], LOOKS)]
    ends = {cell.name: seen for cell, seen in (missing | powers).items()}
    ends |= {world.name: Seen(End(one.action, one.look) for one in seen) for world, seen in several.items()}
    rows += [row for name, seen in ends.items() for row in rows_of(name, {SEQUENCE: seen}, DAYS)]
    title = f"{runs:,} tests each, {LOOKS} looks; shares with their 95 % interval"
    return report("ab", title, header, rows, bars)


if __name__ == "__main__":
    sys.exit(main())
