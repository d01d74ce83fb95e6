"""What ``make bench NAME=loop`` makes of histories: false retrains, recovery, passes that are none."""

from __future__ import annotations

from math import inf
from types import ModuleType

import pytest

from support.benchmark import benchmark

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return benchmark("loop")


def world_of(bench: ModuleType, name: str):
    return next(world for world in bench.WORLDS if world.name == name)


def seen(day: int, **facts):
    from loop_run import Seen

    return Seen(
        **{
            "start": float(day),
            "at": day + 1.0,
            "auc": 0.85,
            "fresh": 0.85,
            "loss": 0.0,
            "labelled": 600,
            **facts,
        }
    )


def measured(bench: ModuleType, windows):
    world = world_of(bench, "concept flip, sudden")
    run = bench.Run(world=world.name, seed=1, rule="windsock", windows=tuple(windows), cpu={"replay": 1.0})
    return bench.measure(run, world)


def test_a_retrain_before_the_onset_is_false_and_one_after_it_is_not(bench):
    days = [seen(day, order="grant" if day in (5, 22) else "wait") for day in range(63)]
    made = measured(bench, days)
    assert (made.false, made.granted, made.healthy) == (1, 1, 21)
    assert made.recovered is None


def test_recovered_is_from_when_the_champion_stays_as_good_as_a_fresh_fit(bench):
    days = [seen(day, auc=0.28 if 21 <= day < 24 or day == 26 else 0.84) for day in range(63)]
    made = measured(bench, days)
    assert made.recovered == 6
    assert made.lost_days == 4
    never = measured(bench, [seen(day, auc=0.28 if day >= 21 else 0.84) for day in range(63)])
    assert never.recovered == inf


def test_passes_at_a_true_loss_are_counted_where_labels_are_there(bench):
    def day(number: int):
        lost = {"loss": 0.3, "performance": "pass", "auc": 0.5} if number >= 21 else {"performance": "pass"}
        lost |= {"labelled": 0} if number >= 40 else {}
        return seen(number, trial="promoted" if number == 22 else "", **lost)

    made = measured(bench, [day(number) for number in range(63)])
    assert made.lost == (4, 4)
    assert made.lost_late == (15, 15)
    assert made.mistaken == 40
    assert made.quiet == (42, 42)


def test_every_bar_of_a_missed_end_is_a_miss(bench):
    world = world_of(bench, "concept flip, sudden")
    bad = [
        seen(day, auc=0.4 if day >= 21 else 0.85, order="grant" if day < 4 else "wait") for day in range(63)
    ]
    total = bench.Total(world=world.name, rule="windsock", runs=(measured(bench, bad),))
    missed = [bar.bar for bar in bench.bars_of(total, world) if not bar.ok]
    assert missed == [f"{world.name}: false retrains", f"{world.name}: recovered within 5 days"]


def test_a_world_changes_on_its_day_and_keeps_its_week(bench):
    from loop_rows import DAY, HISTORY

    world = world_of(bench, "concept flip, sudden, weekly")
    weekend, later = world.state(HISTORY + 5 * DAY), world.state(HISTORY + 26 * DAY)
    assert (weekend.effect, weekend.age, weekend.visits) == (1.0, 0.6, 6.0)
    assert (later.effect, later.age, later.visits) == (-1.0, 0.6, 6.0)
    assert world.state(HISTORY + 20 * DAY).effect == 1.0
    assert world.state(HISTORY + 21 * DAY).effect == -1.0
    assert len(bench.WORLDS) >= 24
    assert sum(one.central for one in bench.WORLDS) == 8


def test_a_short_history_runs_through_the_products_own_steps(bench):
    from dataclasses import replace

    world = replace(world_of(bench, "concept flip, sudden"), days=5, onset=3, per_day=300)
    run = bench.run_world(world, 1, "windsock", bench.by_product)
    assert [one.start for one in run.windows] == [0, 1, 2, 3, 4]
    assert all(abs(one.fresh - one.auc) < 0.02 for one in run.windows[:3])
    assert run.windows[4].auc < 0.4
    assert run.windows[4].loss > 0.1
    assert "fail" in {one.performance for one in run.windows[3:]}
