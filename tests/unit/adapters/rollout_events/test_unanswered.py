"""Rows that got no answer are exposures of their arm, with a cause."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from support.rollout_log import RolloutLog, at, happened, plan, refused, rollout, shown
from support.rollout_recount import naive, told_of

ARM = {"variant": "challenger"}
METRICS = plan().metrics


@pytest.fixture
def log(tmp_path):
    return RolloutLog(tmp_path)


def looks(log, one=None):
    """Count live, archived and kept."""
    one = one or rollout()
    for minute in (30, 90, 91):
        yield log.totals(one, minute)
        log.archive(minute)


class TestCauses:
    def test_each_is_counted_with_its_arm(self, log):
        log.write(
            shown("1", unit="a"),
            refused("2", unit="b", minute=2, cause="invalid"),
            refused("3", unit="c", minute=3, **ARM),
            refused("4", unit="c", minute=4, cause="cancelled", **ARM),
            refused("5", unit="d", minute=5, cause="other_version", **ARM),
            shown("6", unit="e", minute=6, fallback_for="challenger"),
            shown("7", unit="e", minute=7, inference_ms=20.0, **ARM),
        )
        for totals in looks(log):
            assert totals.champion.unanswered == {"invalid": 1}
            assert totals.challenger.unanswered == {"cancelled": 1, "failed": 1, "other_version": 1}
            assert (totals.champion.units, totals.challenger.units) == (2, 3)
            arm = totals.challenger
            assert (arm.exposures, arm.answered, arm.fallbacks, arm.refused) == (5, 1, 1, 3)
            errors, slow = arm.metrics["errors"], arm.metrics["slow"]
            assert (errors.num, errors.den) == (2, 5)
            assert (slow.num, slow.den, slow.units) == (1, 2, 1)
            assert arm.metrics["rate"].den == 5

    def test_those_of_others_do_not_count(self, log):
        log.write(
            refused("1", epoch=6),
            refused("2", experiment="v9-e1", minute=2),
            refused("3", minute=3, digest="f" * 64),
            refused("4", minute=4, variant="shadow"),
        )
        for totals in looks(log):
            assert (totals.units, totals.exposures, totals.strange) == (0, 0, 1)

    def test_an_outcome_of_a_unit_that_was_refused_counts_and_labels_nothing(self, log):
        log.write(refused("1", unit="a", **ARM))
        log.write(happened(prediction_id="1", minute=5), happened(False, unit="a", event_id="e", minute=6))
        for totals in looks(log, rollout(plan("accuracy", "conversion"))):
            assert (totals.outcomes, totals.unusable, totals.unknown) == (2, 0, 0)
            assert totals.challenger.metrics["conversion"].num == 1
            accuracy = totals.challenger.metrics["accuracy"]
            assert (accuracy.units, accuracy.den, accuracy.asked_units, accuracy.asked) == (0, 0, 1, 1)

    def test_a_label_by_unit_is_of_the_latest_answer(self, log):
        log.write(
            shown("1", unit="a", prediction=True), refused("2", unit="a", minute=3), shown("3", minute=4)
        )
        log.write(happened(True, unit="a", event_id="e", minute=5))
        for totals in looks(log, rollout(plan("accuracy"))):
            accuracy = totals.champion.metrics["accuracy"]
            assert (accuracy.num, accuracy.den, accuracy.asked, accuracy.den_asked) == (1, 1, 1, 1)
            assert (accuracy.num_asked, accuracy.asked_asked, accuracy.asked_units) == (1, 1, 1)


class TestRetries:
    @pytest.mark.parametrize("minute", [3, 70], ids=["the same hour", "a later one"])
    def test_an_answer_to_what_was_refused_makes_one_exposure(self, log, minute):
        log.write(refused("1", unit="a", cause="overloaded", **ARM), refused("1", unit="a", minute=2, **ARM))
        if minute > 60:
            assert log.totals(rollout(), 62).challenger.unanswered == {"overloaded": 1}
        log.write(shown("1", unit="a", minute=minute, inference_ms=20.0, **ARM))
        log.write(happened(prediction_id="1", minute=2.5))
        for now in (minute + 2, 130, 131):
            totals = log.totals(rollout(), now)
            arm = totals.challenger
            assert (arm.units, arm.exposures, arm.answered, arm.unanswered) == (1, 1, 1, {})
            assert (arm.metrics["slow"].num, arm.metrics["errors"].num) == (1, 0)
            assert (totals.repeated_exposures, totals.reused) == (0, 0)
            assert (totals.outcomes, arm.metrics["accuracy"].den) == (1, 1)
            log.archive(now)

    def test_it_is_answered_once_and_what_comes_then_is_repeated(self, log):
        log.write(refused("1", unit="a"), refused("9", unit="z"))
        log.totals(rollout(), 62)
        log.write(shown("1", unit="a", minute=70))
        assert log.totals(rollout(), 122).champion.answered == 1
        log.write(shown("1", unit="a", minute=130), refused("1", unit="a", minute=131))
        log.write(refused("9", unit="z", minute=132))
        for minute in (150, 190, 191):
            totals = log.totals(rollout(), minute)
            assert (totals.champion.exposures, totals.champion.unanswered) == (2, {"failed": 1})
            assert (totals.repeated_exposures, totals.reused) == (2, 0)

    def test_the_answer_to_another_unit_is_none_to_this_one(self, log):
        log.write(refused("1", unit="a"), shown("1", unit="b", minute=2), shown("1", minute=3))
        for totals in looks(log):
            assert (totals.champion.units, totals.champion.unanswered) == (1, {"failed": 1})
            assert (totals.repeated_exposures, totals.reused) == (2, 2)

    def test_a_unit_has_the_arm_of_its_first_exposure_answered_or_not(self, log):
        log.write(refused("1", unit="a", **ARM), shown("2", unit="a", minute=2))
        for totals in looks(log):
            assert (totals.champion.units, totals.challenger.units, totals.moved) == (0, 1, 1)


class TestShadow:
    def test_failures_count_and_dropped_calls_are_not_tried(self, log):
        one = rollout(plan("errors", "accuracy", strategy="shadow", shares=(0,)))
        log.write(
            shown("1", unit="a"),
            shown("2", unit="b", minute=2),
            shown("3", minute=3),
            refused("1", unit="a", variant="shadow", cause="failed"),
            refused("2", unit="b", minute=2, variant="shadow", cause="dropped"),
            shown("3", minute=3, variant="shadow"),
        )
        for totals in looks(log, one):
            assert (totals.champion.units, totals.challenger.units) == (3, 2)
            assert totals.challenger.unanswered == {"failed": 1}
            errors = totals.challenger.metrics["errors"]
            assert (errors.num, errors.den, errors.units) == (1, 2, 2)
            assert (totals.champion.refused, totals.unitless, totals.repeated_exposures) == (0, 1, 0)


class TestIds:
    def test_ids_that_a_client_uses_again_are_told(self, log):
        log.write(*(shown(f"{n % 5}", unit=f"u{n}", minute=n) for n in range(20)))
        for totals in looks(log):
            assert (totals.units, totals.repeated_exposures, totals.reused) == (5, 15, 15)

    def test_one_that_comes_again_in_a_later_hour_is_told(self, log):
        log.write(shown("1", unit="a"), shown("2"))
        log.totals(rollout(), 62)
        log.write(shown("1", unit="b", minute=70), shown("1", unit="a", minute=71), shown("2", minute=72))
        for minute in (80, 130, 131):
            totals = log.totals(rollout(), minute)
            assert (totals.units, totals.repeated_exposures, totals.reused, totals.unitless) == (2, 3, 1, 1)


@pytest.mark.parametrize(
    "made",
    [
        plan(attribution="90m", unit_cap=2),
        plan(
            attribution="1h",
            metrics={
                **METRICS,
                "accuracy": METRICS["accuracy"].replace(attribution="30m"),
                "rate": METRICS["rate"].replace(attribution="95m"),
            },
        ),
    ],
    ids=["attributed and capped", "by metric"],
)
def test_a_busy_log_comes_to_the_plain_count(log, made):
    """Each unit keeps its arm, as the assignment sees to; half of what is refused is asked for again."""
    draw = random.Random(7)  # noqa: S311
    one = rollout(made, step_since=at(40), started_at=at(10))
    rows = _busy(draw, 700)
    asked = [row for row in rows if hasattr(row, "variant")]
    outcomes = [row for row in rows if not hasattr(row, "variant")]
    log.write(*rows[::2])
    log.write(*rows[1::2])
    for minute in (100, 185, 300, 301):
        known = naive(
            one,
            [row for row in asked if row.receive_time <= at(minute)],
            [row for row in outcomes if row.receive_time <= at(minute)],
        )
        assert told_of(log.totals(one, minute)) == known
        log.archive(minute)
    told = ("outcomes", "early", "unknown", "repeated_exposures", "reused", "unitless")
    windows = ("earlier", "carried", "late") if made.attribution else ()
    assert all(known[name] > 0 for name in told + windows)
    assert known["challenger"]["metrics"]["accuracy"]["asked"] > 0


def _busy(draw: random.Random, number: int) -> list[Any]:
    rows: list[Any] = []
    for place in range(number):
        unit = draw.randrange(60)
        fields: dict[str, Any] = {"unit": f"u{unit}"} if draw.random() < 0.9 else {}
        moment = at(0) + timedelta(seconds=draw.randrange(1, 4 * 3600), microseconds=place)
        fields |= {"receive_time": moment, "variant": "challenger" if unit % 2 else "champion"}
        fields["epoch"] = 7 if moment >= at(40) else 5
        name = f"p{place if draw.random() < 0.95 else draw.randrange(number)}"
        if draw.random() < 0.2:
            rows.append(refused(name, cause=draw.choice(["invalid", "failed", "cancelled"]), **fields))
            if draw.random() < 0.5:
                again = moment + timedelta(minutes=draw.choice([1, 70]), microseconds=number)
                rows.append(shown(name, **{**fields, "receive_time": again, "epoch": 7}))
        else:
            rows.append(shown(name, prediction=draw.random() < 0.5, **fields))
        if draw.random() < 0.5:
            later = moment + timedelta(minutes=draw.choice([-7, -1, 2, 25, 100]), microseconds=2 * number)
            whose = (
                {"prediction_id": name}
                if draw.random() < 0.5
                else {"unit": f"u{unit + draw.choice([0, 0, 70])}"}
            )
            rows.append(happened(draw.random() < 0.5, event_id=f"e{place}", receive_time=later, **whose))
    return [row for row in rows if row.receive_time >= at(0)]
