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


def measured(bench: ModuleType, windows, name: str = "concept flip, sudden"):
    world = world_of(bench, name)
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
    assert missed == [
        f"{world.name}: {bar}"
        for bar in ("false retrains", "recovered within 5 days", "as good as a fresh fit at the end")
    ]


def missed_of(bench: ModuleType, name: str, windows) -> set[str]:
    total = bench.Total(world=name, rule="windsock", runs=(measured(bench, windows, name),))
    return {
        bar.bar.removeprefix(f"{name}: ") for bar in bench.bars_of(total, world_of(bench, name)) if not bar.ok
    }


def test_every_world_is_held_to_its_end_or_says_why_not(bench):
    for world in bench.WORLDS:
        days = range(world.days)
        missed = missed_of(
            bench, world.name, [seen(day, auc=0.45 if day >= world.days - 3 else 0.85) for day in days]
        )
        assert "as good as a fresh fit at the end" in missed or world.right.no_end, world.name
    assert [world.name for world in bench.WORLDS if world.right.apart and world.change is None] == [
        "weekly, full, no times",
        "trend",
    ]
    assert [world.name for world in bench.WORLDS if world.right.no_end] == [
        "concept flip, 20 % labelled",
        "concept flip, 20 % labelled, weekly",
    ]


def test_a_breaker_that_closed_again_counts_as_one_on_healthy_days(bench):
    locked = [
        seen(day, breaker=5 <= day < 40, order="hold" if 5 <= day < 40 else "wait") for day in range(49)
    ]
    assert missed_of(bench, "weekly, full", locked) == {"a breaker open at any time"}
    made = measured(bench, locked, "weekly, full")
    assert (made.opened, made.breaker) == ((35, 0), False)

    early = [seen(day, breaker=day == 3) for day in range(63)]
    assert missed_of(bench, "concept flip, sudden, weekly", early) == {"a breaker open before the onset"}
    later = [seen(day, breaker=day >= 22) for day in range(63)]
    assert missed_of(bench, "concept flip, sudden, weekly", later) == set()


def test_verdicts_that_supersede_may_not_call_a_useless_champion_recovered(bench):
    from loop_run import Again

    def days(start: float, status: str = "pass"):
        return [
            seen(
                day,
                trial="promoted" if day == 22 else "",
                auc=0.45 if 21 <= day < 30 else 0.85,
                performance="insufficient",
                again=(Again(status, 0.0, 600, start),) if day == 40 else (),
            )
            for day in range(63)
        ]

    assert measured(bench, days(25)).mistaken == 1
    assert measured(bench, days(25, "fail")).mistaken == 0
    assert measured(bench, days(10)).mistaken == 0  # the version of before, which was good
    assert measured(bench, days(35)).mistaken == 0


def test_a_world_that_a_setting_would_mend_must_be_told_of_it(bench):
    name = "weekly, full, no times"
    setting = world_of(bench, name).right.names
    bar = f"an alert names `{setting}`"
    silent = [seen(day, drift="fail", texts=("Drift of age.",)) for day in range(49)]
    assert missed_of(bench, name, silent) == {bar}
    told = [seen(day, drift="fail", texts=(f"Name `{setting}`.",) if day == 6 else ()) for day in range(49)]
    assert missed_of(bench, name, told) == set()
    assert measured(bench, told, name).named == 7


def test_the_table_for_readers_has_a_line_for_each_world(bench, tmp_path):
    from loop_table import BEGIN, END

    name = "concept flip, sudden"
    days = [
        seen(
            day,
            auc=0.28 if 21 <= day < 23 else 0.84,
            loss=0.3 if day == 21 else 0.0,
            performance="fail" if 21 <= day < 23 else "pass",
        )
        for day in range(63)
    ]
    total = bench.Total(world=name, rule="windsock", runs=(measured(bench, days),))
    document = tmp_path / "page.md"
    document.write_text(f"# Page\n\n{BEGIN}\nold\n{END}\n\nMore.\n", encoding="utf-8")
    for _ in range(2):
        bench.write_table(document, [total], {name: world_of(bench, name)})
    lines = document.read_text(encoding="utf-8").splitlines()
    assert lines[3].startswith("| world | right is | histories | healthy days |")
    told = world_of(bench, name).right.told
    assert lines[5] == f"| {name} | {told} | 1 | 21 | 0 | 1 d | 2 d (1 of 1) | 0 of 1 | 1 of 1 |"
    assert document.read_text(encoding="utf-8").count("\n") == 9

    (tmp_path / "other.md").write_text("# Other\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no place for the table"):
        bench.write_table(tmp_path / "other.md", [total], {name: world_of(bench, name)})


def test_harder_weekends_are_no_other_world_for_a_ranking_and_towns_tell_nothing(bench):
    import numpy as np
    from loop_rows import DAY, HISTORY, draw_rows

    harder = world_of(bench, "weekends are harder")
    assert [harder.state(HISTORY + day * DAY).clear for day in (4, 5, 6, 7)] == [1.0, 0.5, 0.5, 1.0]
    rows = draw_rows(world_of(bench, "4,000 towns").start, 3_000, np.random.default_rng(1))
    assert list(rows) == ["age", "visits", "plan", "town", "churned"]
    assert 700 < rows["town"].nunique() < 4_000


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
