"""Several challengers in one rollout: each has an arm of its own, also one that was dropped."""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest

from support.builders import digest, make_spec
from support.rollout_log import (
    RolloutLog,
    at,
    happened,
    lane,
    plan,
    refused,
    rollout,
    several,
    shown,
)
from support.rollout_recount import naive, told_of
from support.rollout_steps import decided, running, shift, start, waiting_world
from support.rollouts import make_estimate
from support.world import deploy, promote
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.rollout_events import step_count
from windsock.adapters.rollout_events.rows import CountRows
from windsock.adapters.rollout_events.scope import Scope
from windsock.records import ChallengerLook, RolloutAction

CAPPED = plan(attribution="90m", unit_cap=2)


@pytest.fixture
def log(tmp_path):
    return RolloutLog(tmp_path)


@pytest.fixture
def warned(caplog):
    caplog.set_level(logging.WARNING, logger="windsock")
    return lambda: [record.getMessage()[:14] for record in caplog.records]


def looks(log, one):
    """Count live, archived and kept."""
    for minute in (30, 90, 91):
        yield log.totals(one, minute)
        log.archive(minute)


def plain(one, *rows):
    exposures = [row for row in rows if hasattr(row, "variant")]
    return naive(one, exposures, [row for row in rows if not hasattr(row, "variant")])


def busy(tried: int, hours: int, *, since: int = 0, drops: dict[int, int] | None = None) -> list[Any]:
    """Return rows of some hours, with repeats, retries, fallbacks and outcomes; some units move.

    :param drops: lanes that were dropped, each with the minute.
    """
    draw, rows = random.Random(tried), []  # noqa: S311 - a test's own
    for number in range(40 * hours):
        minute, unit = since + number * 1.5 + 0.1, draw.randrange(12 * tried)
        mine = unit % (tried + 1) if draw.random() < 0.95 else draw.randrange(tried + 1)
        name = f"p{number if draw.random() < 0.8 else draw.randrange(number + 1)}"
        fields: dict[str, Any] = {"unit": f"u{unit}", "minute": minute, **lane(mine)}
        if draw.random() < 0.2:
            rows.append(refused(name, cause=draw.choice(["failed", "invalid", "cancelled"]), **fields))
        elif mine and drops and minute >= drops.get(mine, 60 * hours):
            fields |= {**lane(0), "version": "1", "digest": digest("a"), "epoch": 9}
            rows.append(shown(name, **fields, fallback_for=f"withdrawn-{mine}"))
        elif draw.random() < 0.1:
            arm = ("champion", "challenger", "challenger-2", "challenger-3", "challenger-4")[mine]
            rows.append(shown(name, **{**fields, **lane(0), "fallback_for": arm}))
        else:
            rows.append(shown(name, inference_ms=draw.choice([1.0, 20.0]), **fields))
        whose = draw.choice([{"prediction_id": name}, {"unit": f"u{unit}", "event_id": f"e{number}"}])
        rows.append(happened(draw.random() < 0.4, minute=minute + draw.choice([0.2, 70.2]), **whose))
    return rows


class TestArms:
    @pytest.mark.parametrize("tried", [2, 3, 4])
    def test_each_challenger_has_its_own(self, log, tried):
        one = several(tried)
        rows = [
            shown(f"{number}-{n}", unit=f"u{number}-{n}", minute=1 + number + n / 10, **lane(number))
            for number in range(tried + 1)
            for n in range(number + 1)
        ]
        said = [happened(prediction_id=f"{tried}-0", minute=9), happened(unit="u2-1", event_id="e", minute=9)]
        log.write(*rows, *said)
        for totals in looks(log, one):
            assert [arm.units for arm in totals.arms] == list(range(1, tried + 2))
            assert (totals.strange, totals.moved, totals.unknown, totals.outcomes) == (0, 0, 0, 2)
            assert told_of(totals) == plain(one, *rows, *said)
            assert totals.against(1).challenger == totals.others[0]

    def test_one_challenger_has_the_totals_that_it_had(self, log):
        log.write(shown("1", unit="a"), shown("2", unit="b", minute=2, **lane(1)))
        for totals in looks(log, rollout()):
            assert totals.others == ()
            assert "others" not in totals.model_dump(mode="json")

    def test_a_bundle_that_is_not_tried_is_strange(self, log):
        log.write(
            shown("1", **lane(3)),
            refused("2", minute=2, **lane(4)),
            shown("3", minute=3, **{**lane(2), "variant": "champion"}),
            shown("4", minute=4, fallback_for="challenger-3"),
            shown("5", minute=5, fallback_for="withdrawn-3"),
            shown("6", minute=6, fallback_for="challenger-1"),
            shown("7", minute=7, variant="challenger-2"),
            shown("8", minute=8, variant="challenger", digest=digest("a")),
        )
        for totals in looks(log, several(2)):
            assert (totals.units, totals.strange) == (0, 8)

    def test_a_fallback_is_of_the_arm_that_it_names(self, log):
        log.write(
            shown("1", unit="a", fallback_for="challenger-2"),
            shown("2", unit="b", minute=2, fallback_for="challenger"),
            shown(
                "3", unit="c", minute=3, variant="constant", digest=digest("z"), fallback_for="challenger-4"
            ),
            shown("4", unit="d", minute=4, **lane(4)),
        )
        for totals in looks(log, several(4, plan("errors"))):
            assert [arm.fallbacks for arm in totals.arms] == [0, 1, 1, 0, 1]
            assert [arm.metrics["errors"].num for arm in totals.arms] == [0, 1, 1, 0, 1]
            assert [arm.metrics["errors"].den for arm in totals.arms] == [0, 1, 1, 0, 2]

    def test_what_got_no_answer_is_of_the_arm_of_its_bundle(self, log):
        log.write(
            refused("1", unit="a", cause="overloaded", **lane(3)),
            refused("2", unit="b", minute=2, **lane(1)),
            happened(unit="a", event_id="e", minute=3),
            happened(prediction_id="1", minute=4),
        )
        for totals in looks(log, several(3)):
            assert [arm.unanswered for arm in totals.arms] == [{}, {"failed": 1}, {}, {"overloaded": 1}]
            assert totals.others[1].metrics["conversion"].num == 1
            assert (totals.outcomes, totals.unknown) == (2, 0)

    def test_a_unit_that_two_challengers_got_stays_in_its_first_arm(self, log):
        log.write(
            shown("1", unit="a", **lane(3)),
            shown("2", unit="a", minute=2, **lane(2)),
            shown("3", unit="b", minute=3, **lane(4)),
            shown("4", unit="b", minute=3, **lane(2)),
            happened(unit="a", event_id="e", minute=4),
        )
        for totals in looks(log, several(4)):
            assert [arm.units for arm in totals.arms] == [0, 0, 1, 1, 0]  # at one time: the first lane
            assert [arm.exposures for arm in totals.arms] == [0, 0, 2, 2, 0]
            assert (totals.moved, totals.others[1].metrics["rate"].num) == (2, 1)

    @pytest.mark.parametrize("minute", [3, 70], ids=["the same hour", "a later one"])
    def test_a_retry_that_another_challenger_answers_is_of_the_first(self, log, minute):
        one = several(3)
        log.write(refused("1", unit="a", **lane(2)))
        assert log.totals(one, 2 if minute == 3 else 62).others[0].unanswered == {"failed": 1}
        log.write(shown("1", unit="a", minute=minute, **lane(3)), happened(prediction_id="1", minute=80))
        for now in (90, 130, 131):
            totals = log.totals(one, now)
            assert [arm.exposures for arm in totals.arms] == [0, 0, 1, 0]
            assert (totals.others[0].unanswered, totals.others[0].answered) == ({}, 1)
            assert (totals.repeated_exposures, totals.moved, totals.outcomes) == (0, 0, 1)
            log.archive(now)

    def test_the_largest_of_each_arm(self, log):
        log.write(*(shown(f"{n}", unit="a", minute=1 + n, **lane(3)) for n in range(4)))
        log.write(shown("x", unit="b", minute=9, **lane(2)), shown("y", minute=65, **lane(1)))
        log.totals(several(3), 62)
        log.write(shown("z", unit="b", minute=130, **lane(2)))
        for minute in (140, 190):
            found = [arm.metrics["rate"].largest for arm in log.totals(several(3, CAPPED), minute).arms]
            assert found == [0, 1, 2, 4]
            assert log.totals(several(3, CAPPED), minute).others[1].metrics["rate"].capped == 1


class TestDropped:
    ROWS = (
        shown("1", unit="a", **lane(2)),
        shown("2", unit="b", minute=2, **lane(3)),
        shown("3", unit="c", minute=3),
        shown("4", unit="d", minute=4, **lane(1)),
    )
    LATER = (
        shown("5", unit="a", minute=70, epoch=9, fallback_for="withdrawn-2", prediction=True),
        shown("6", unit="new", minute=71, epoch=9, fallback_for="withdrawn-2"),
        shown("7", unit="b", minute=72, epoch=9, **lane(3)),
        refused("8", unit="a", minute=73, epoch=9, **lane(2)),
        happened(prediction_id="1", minute=74),
        happened(unit="a", event_id="e", minute=75),
        happened(prediction_id="5", minute=76),
        happened(False, prediction_id="6", minute=77),
    )

    def test_it_goes_on_in_the_middle_of_a_step(self, log, warned):
        before, after = several(3), several(3, dropped=(2,))
        log.write(*self.ROWS)
        log.archive(62)
        assert told_of(log.totals(before, 62)) == plain(before, *self.ROWS)
        log.write(*self.LATER)
        for minute in (100, 130, 131):
            totals = log.totals(after, minute)
            assert told_of(totals) == plain(after, *self.ROWS, *self.LATER)
            assert [arm.units for arm in totals.arms] == [1, 1, 2, 1]
            arm = totals.others[0]
            assert (arm.exposures, arm.fallbacks, arm.answered, arm.unanswered) == (4, 2, 1, {"failed": 1})
            assert (totals.outcomes, totals.unknown, totals.moved, totals.strange) == (4, 0, 0, 0)
            accuracy = arm.metrics["accuracy"]
            assert (accuracy.num, accuracy.den, arm.metrics["conversion"].num) == (2, 3, 1)
            log.archive(minute)
        assert warned() == []

    def test_the_first_one_of_two(self, log):
        one = several(2, dropped=(1,))
        log.write(shown("1", unit="a", fallback_for="withdrawn-1"), shown("2", minute=2, **lane(2)))
        log.write(
            shown("3", unit="b", variant="constant", digest=digest("z"), minute=3, fallback_for="withdrawn-1")
        )
        for totals in looks(log, one):
            assert [(arm.units, arm.fallbacks) for arm in totals.arms] == [(0, 0), (2, 2), (1, 0)]

    def test_what_was_counted_stays_valid(self):
        digests = {Scope.of(several(3, dropped=lanes)).digest for lanes in [(), (1,), (2, 3)]}
        assert digests == {Scope.of(several(3)).digest}

    def test_the_ledger_s_drop_leaves_the_scope_as_it_was(self):
        """The step goes on: rows of the epoch before the drop count, and those of the one after it."""
        spec = make_spec(rollout={"strategy": "ab", "share": 60, "challengers": 3})
        ports = waiting_world(waits=2, spec=spec)
        for version in (3, 4):
            deploy(ports, version, spec=spec)
            promote(ports, version, spec=spec)
        start(ports, spec=spec)
        before = running(ports)
        assert len(before.challengers) == 3
        judged = tuple(
            ChallengerLook(
                version=one.version,
                digest=one.digest,
                action=RolloutAction.ROLL_BACK if place == 1 else RolloutAction.HOLD,
                reason="harm",
                checks=(),
                estimate=make_estimate(),
            )
            for place, one in enumerate(before.challengers)
        )
        shift(ports, decided(ports, "drop", looks=judged), spec=spec)
        after = running(ports)
        assert after.withdrawn == (before.others[0].digest,)
        assert (after.step_epoch, after.step_since) == (before.step_epoch, before.step_since)
        assert ports.router.plans["churn"].epoch > after.step_epoch
        assert Scope.of(after).digest == Scope.of(before).digest

    def test_other_challengers_are_another_scope(self):
        assert len({Scope.of(several(tried)).digest for tried in (1, 2, 3, 4)}) == 4
        one = Scope.of(several(1, plan("rate", "errors", "accuracy")))
        assert one.digest == "96e10cf6b40b292a5c4c05568e0396a43e04b9e291bd707eb64ce104616d5e0e"


@pytest.mark.parametrize("tried", [2, 4])
def test_hours_that_are_kept_come_to_the_plain_count(log, warned, tried):
    one = several(tried, CAPPED, dropped=(2,))
    rows = busy(tried, 5, drops={2: 100})
    log.write(*rows[::2])
    log.write(*rows[1::2])
    for minute in (70, 150, 320, 321):
        known = plain(one, *(row for row in rows if row.receive_time <= at(minute)))
        assert told_of(log.totals(one, minute)) == known
        log.archive(minute)
    assert warned() == []
    assert known["moved"] > 0
    assert known["others"][0]["fallbacks"] > known["challenger"]["fallbacks"]


def test_a_kill_between_two_folds_counts_nothing_twice(log, monkeypatch):
    monkeypatch.setattr(step_count, "FOLD_ROWS", 1)
    one, rows, usual = several(3, dropped=(2,)), busy(3, 9, drops={2: 200}), CountRows.switch
    log.write(*rows)
    for fold in (2, 3):
        done: list[int] = []

        def switch(self, before, kept, *, done=done, fold=fold):
            if len(done) == fold:
                raise KeyboardInterrupt
            done.append(before)
            return usual(self, before, kept)

        with monkeypatch.context() as patch:
            patch.setattr(CountRows, "switch", switch)
            with pytest.raises(KeyboardInterrupt):
                log.totals(one, 620)
    assert log.row().read().generation == 5
    for _ in range(2):
        assert told_of(log.totals(one, 620)) == plain(one, *rows)
    kept = log.row().read()
    assert 1 in {part.level for part in kept.of("exposures")}  # small files have become one


@pytest.mark.parametrize("harm", ["late", "damaged"])
def test_it_is_counted_anew_from_the_log(log, warned, harm):
    one, rows = several(3), busy(3, 2)
    log.write(*rows)
    log.totals(one, 260)
    more = shown("late", unit="late", minute=8, **lane(3))
    if harm == "late":
        log.write(more)
    else:
        log.storage.remove(f"rollouts/churn/v2-e7/0/{log.kept()[0]}")
        more = shown("late", unit="late", minute=265, **lane(3))
        log.write(more)
    assert told_of(log.totals(one, 400)) == plain(one, *rows, more)
    assert warned() == ["WS-ROLLOUT-040" if harm == "late" else "WS-ROLLOUT-041"]


def test_late_rows_join_what_was_counted_where_the_log_is_gone(log, warned):
    one, rows = several(3), busy(3, 2)
    log.write(*rows)
    log.archive(260)
    log.totals(one, 260)
    ParquetPredictionArchive(log.state, log.storage, now=lambda: at(260)).remove_older(at(240))
    late = [
        shown("late", unit="late", minute=31, **lane(3)),
        shown("again", unit="u2", minute=32, **lane(2)),
        happened(prediction_id="late", minute=33),
    ]
    log.write(*late)
    for minute in (270, 330):
        assert told_of(log.totals(one, minute)) == plain(one, *rows, *late)
    assert warned() == ["WS-ROLLOUT-040"]
