"""The simulation of ``make bench NAME=ab``, reduced."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from support.benchmark import benchmark
from windsock.records import RolloutAction

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return benchmark("ab")


def ends(bench: ModuleType, world, rule: str, runs: int) -> list:
    return [bench.RULES[rule](world, test) for test in bench.tests(world, runs, 3)]


def test_equal_versions_are_seldom_promoted_however_often_they_are_looked_at(bench: ModuleType) -> None:
    ours = ends(bench, bench.EQUAL, bench.SEQUENCE, 60)
    assert sum(end.action is not RolloutAction.KEEP for end in ours) <= 5
    naive = ends(bench, bench.EQUAL, bench.NAIVE, 300)
    assert 0.15 < np.mean([end.action is not RolloutAction.KEEP for end in naive]) < 0.32
    belief = ends(bench, bench.EQUAL, bench.POSTERIOR, 300)
    assert 0.34 < np.mean([end.action is not RolloutAction.KEEP for end in belief]) < 0.52


@pytest.mark.parametrize("number", range(5))
def test_a_small_arm_of_a_skewed_metric_is_no_harm_and_no_gain(bench: ModuleType, number: int) -> None:
    """By each arm's own variance 6 to 40 of 100 such tests ended wrongly."""
    world = bench.SKEWED[number]
    ours = ends(bench, world, bench.SEQUENCE, 100)
    assert sum(end.action is not RolloutAction.KEEP for end in ours) <= 2


def test_harm_is_rolled_back_soon(bench: ModuleType) -> None:
    harmed = ends(bench, bench.HARM, bench.SEQUENCE, 40)
    assert {end.action for end in harmed} == {RolloutAction.ROLL_BACK}
    assert np.median([end.look for end in harmed]) <= 5


def test_a_gain_is_promoted(bench: ModuleType) -> None:
    gained = ends(bench, bench.GAIN, bench.SEQUENCE, 60)
    assert 0.45 < np.mean([end.action is RolloutAction.PROMOTE for end in gained]) < 0.85


def test_users_are_those_of_the_world(bench: ModuleType) -> None:
    for world, mean in ((bench.DIFFER, 10), (bench.REGULARS, 21)):
        seen = next(bench.tests(world, 1, 4)).sums
        assert seen["num"][:, -1] / seen["den"][:, -1] == pytest.approx([0.1, 0.1], rel=0.1)
        assert seen["den"][:, -1] / seen["units"][:, -1] == pytest.approx([mean, mean], rel=0.05)
        assert (np.diff(seen["units"]) >= 0).all()


@pytest.mark.parametrize(
    "name", ["version 4 is worse, 10 % -> 7 %, looks at any", "refuses 20 %, looks at any"]
)
def test_one_of_several_that_does_harm_is_dropped_and_the_rest_comes_to_its_end(
    bench: ModuleType, name: str
) -> None:
    world = next(one for one in bench.SEVERAL if name in one.name)
    courses = [bench.course_of(world, np.random.default_rng([3, run])) for run in range(15)]
    for fate in world.right:
        assert sum(map(fate.holds, courses)) >= 13
    for fate in world.wrong:
        assert sum(map(fate.holds, courses)) <= 1
