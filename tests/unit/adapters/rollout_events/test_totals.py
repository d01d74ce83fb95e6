"""What counts as an exposure and as an outcome."""

from __future__ import annotations

from uuid import uuid4

import pytest

from support.builders import digest
from support.rollout_log import RolloutLog, at, happened, plan, rollout, shown
from support.rollout_recount import naive, told_of
from windsock.records import Moments, Span
from windsock.spec import RolloutMetricBlock


@pytest.fixture
def log(tmp_path):
    return RolloutLog(tmp_path)


class TestExposures:
    @pytest.mark.parametrize("storage", ["folder", "memory"])
    def test_the_same_counts_come_live_archived_and_kept(self, tmp_path, storage):
        log = RolloutLog(tmp_path, storage=None if storage == "folder" else f"memory://{uuid4().hex}")
        rows = [
            shown("1", unit="a"),
            shown("2", unit="a", minute=2),
            shown("3", unit="b", minute=3, variant="challenger", prediction=True, inference_ms=20.0),
            shown("4", minute=4, variant="challenger"),
            shown("5", unit="c", minute=5, fallback_for="challenger"),
        ]
        said = [happened(prediction_id="1", minute=6), happened(2.5, unit="b", event_id="e", minute=7)]
        log.write(*rows, *said)
        one = rollout()
        live = told_of(log.totals(one, 30))
        assert live == naive(one, rows, said)
        assert log.kept() == []
        log.archive(90)
        assert told_of(log.totals(one, 90)) == live
        assert len(log.kept()) == 2
        assert told_of(log.totals(one, 95)) == live
        more = [shown("6", unit="a", minute=100), shown("1", unit="x", minute=101)]
        log.write(*more)
        assert told_of(log.totals(one, 110)) == naive(one, [*rows, *more], said)
        assert told_of(log.totals(one, 130)) == naive(one, [*rows, *more], said)

    def test_nothing_at_all_is_zero(self, log):
        totals = log.totals(rollout(), 30)
        assert totals.units == 0
        assert totals.champion.metrics["conversion"] == Moments()
        assert totals.counted_until < at(30)

    def test_one_arm_only(self, log):
        log.write(shown("1", unit="a"), shown("2", unit="b", minute=2))
        totals = log.totals(rollout(), 30)
        assert (totals.champion.units, totals.challenger.units) == (2, 0)
        assert totals.champion.metrics["conversion"].num == 0
        assert totals.champion.metrics["conversion"].units == 2
        assert totals.champion.metrics["accuracy"].units == 0

    def test_other_rollouts_and_steps_do_not_count(self, log):
        log.write(
            shown("1", experiment=None),
            shown("2", experiment="v9-e1", minute=2),
            shown("3", epoch=6, minute=3),
            shown("4", epoch=8, minute=4),
        )
        totals = log.totals(rollout(), 30)
        assert totals.units == totals.champion.exposures == 1

    def test_a_unit_stays_in_the_arm_of_its_first_exposure(self, log):
        log.write(shown("2", unit="a", minute=5))
        log.write(shown("1", unit="a", minute=3, variant="challenger"), shown("3", unit="b", minute=9))
        totals = log.totals(rollout(), 30)
        assert (totals.champion.units, totals.challenger.units, totals.moved) == (1, 1, 1)
        assert totals.challenger.exposures == 2

    def test_a_fallback_counts_for_the_arm_that_failed(self, log):
        log.write(
            shown("1", unit="a", fallback_for="challenger"),
            shown("2", unit="b", variant="constant", digest=digest("z"), fallback_for="champion", minute=2),
        )
        totals = log.totals(rollout(plan("errors")), 30)
        assert totals.challenger.metrics["errors"].num == totals.champion.metrics["errors"].num == 1
        assert totals.strange == 0

    def test_versions_of_neither_arm_are_strange(self, log):
        log.write(
            shown("1", digest=digest("z")),
            shown("2", variant="challenger", digest=digest("a"), minute=2),
            shown("3", variant="third", minute=3),
            shown("4", variant="shadow", minute=4),
        )
        totals = log.totals(rollout(), 30)
        assert (totals.strange, totals.units) == (3, 0)

    def test_torn_and_unreadable_lines_are_told(self, log):
        log.write(shown("1"), tail=b'{"no line"}\n{"model": "churn", "vers')
        assert log.totals(rollout(), 30).damaged == 2
        log.archive(90)
        assert log.totals(rollout(), 90).damaged == 2
        assert log.totals(rollout(), 91).damaged == 2

    def test_what_is_received_after_now_does_not_count_yet(self, log):
        log.write(shown("1", minute=10), shown("2", minute=20))
        assert log.totals(rollout(), 15).units == 1
        assert log.totals(rollout(), 25).units == 2


class TestShadow:
    def test_a_unit_is_in_both_arms(self, log):
        one = rollout(plan("accuracy", "conversion", "slow", strategy="shadow", shares=(0,)))
        log.write(
            shown("1", unit="a"),
            shown("1", unit="a", variant="shadow", prediction=True, inference_ms=20.0),
            shown("2", unit="b", minute=2),
            happened(True, prediction_id="1", minute=5),
            happened(True, prediction_id="1", minute=6),
            happened(False, prediction_id="3", minute=6),
        )
        for minute in (30, 90, 91):
            totals = log.totals(one, minute)
            assert (totals.champion.units, totals.challenger.units, totals.moved) == (2, 1, 0)
            assert (totals.outcomes, totals.repeated_outcomes, totals.unknown) == (1, 1, 1)
            assert totals.champion.metrics["accuracy"].num == 0
            assert totals.challenger.metrics["accuracy"].num == 1
            assert totals.challenger.metrics["slow"].num == 1
            assert totals.repeated_exposures == 0
            log.archive(90)


class TestOutcomes:
    @pytest.mark.parametrize(
        ("outcome", "number"),
        [(True, 1), (3, 1), ("2.5", 1), ("true", 1), (False, 0), (0, 0), (-1, 0), ("0", 0)],
    )
    def test_what_is_positive(self, log, outcome, number):
        log.write(shown("1"), happened(outcome, prediction_id="1"))
        assert log.totals(rollout(plan("conversion")), 30).champion.metrics["conversion"].num == number

    @pytest.mark.parametrize(
        ("asked", "outcome", "number", "usable"),
        [
            ("bought", "bought", 1, 1),
            ("bought", "sold", 0, 0),
            (2, "2.0", 1, 1),
            (2, 3, 0, 1),
            (True, 1, 1, 1),
            ("o'k", "o'k", 1, 1),
        ],
    )
    def test_a_metric_names_its_own_positive_outcome(self, log, asked, outcome, number, usable):
        metrics = {"sold": RolloutMetricBlock(kind="rate", outcome=asked)}
        log.write(shown("1"), happened(outcome, prediction_id="1"))
        totals = log.totals(rollout(plan(metric="sold", metrics=metrics)), 30)
        assert totals.champion.metrics["sold"].num == number
        assert (totals.outcomes, totals.unusable) == (usable, 1 - usable)

    @pytest.mark.parametrize("outcome", ["sold", "nan", "NaN", "inf", "-Infinity", "1e31", "", "  ", "1e999"])
    def test_no_number_where_one_is_needed_is_unusable(self, log, outcome):
        log.write(shown("1"), happened(outcome, prediction_id="1"), happened(2, prediction_id="1", minute=3))
        for minute in (30, 90, 91):
            totals = log.totals(rollout(plan("mean", "conversion")), minute)
            assert (totals.unusable, totals.outcomes, totals.repeated_outcomes) == (1, 1, 0)
            assert totals.champion.metrics["mean"].num == 2
            log.archive(90)

    def test_null_and_nan_in_a_line_are_damage(self, log):
        [file] = log.write(happened(True, prediction_id="1"))
        line = file.read_bytes()
        file.write_bytes(line + line.replace(b"true", b"null") + line.replace(b"true", b"NaN"))
        log.write(shown("1"))
        totals = log.totals(rollout(), 30)
        assert (totals.outcomes, totals.damaged) == (1, 2)

    def test_duplicates_count_once_and_the_first_stands(self, log):
        log.write(shown("1", unit="a"), shown("1", unit="a", minute=2))
        log.write(
            happened(5, unit="a", event_id="e", minute=4),
            happened(7, unit="a", event_id="e", minute=5),
            happened(9, unit="b", event_id="e", minute=6),
        )
        totals = log.totals(rollout(plan("mean")), 30)
        assert (totals.repeated_exposures, totals.repeated_outcomes, totals.unknown) == (1, 1, 1)
        assert totals.champion.metrics["mean"].num == 5

    def test_identical_lines_are_one(self, log):
        event, outcome = shown("1", unit="a"), happened(5, unit="a", event_id="e")
        log.write(event, outcome)
        log.write(event, outcome)
        totals = log.totals(rollout(plan("mean")), 30)
        assert (totals.champion.exposures, totals.outcomes) == (1, 1)
        assert (totals.repeated_exposures, totals.repeated_outcomes) == (0, 0)

    def test_a_repeat_in_a_later_hour_is_one(self, log):
        log.write(shown("1", unit="a"), happened(5, unit="a", event_id="e", minute=4))
        log.archive(61)
        log.totals(rollout(plan("mean")), 62)
        log.write(shown("1", unit="a", minute=70), happened(9, unit="a", event_id="e", minute=71))
        for minute in (80, 130, 131):
            totals = log.totals(rollout(plan("mean")), minute)
            assert (totals.repeated_exposures, totals.repeated_outcomes) == (1, 1)
            assert totals.champion.metrics["mean"].num == 5
            log.archive(minute)

    def test_outcomes_before_the_exposure_are_early(self, log):
        log.write(
            shown("1", unit="a", minute=20),
            happened(unit="a", event_id="1", minute=10),
            happened(unit="a", event_id="2", minute=25, event_time=at(14)),
            happened(unit="a", event_id="3", minute=25, event_time=at(16)),
            happened(unit="a", event_id="4", minute=25, event_time=at(600)),
        )
        totals = log.totals(rollout(), 30)
        assert (totals.early, totals.outcomes, totals.unknown) == (2, 2, 0)

    def test_an_unknown_outcome_is_early_once_its_unit_is_seen(self, log):
        log.write(happened(unit="a", event_id="1", minute=10), shown("0", minute=11))
        assert log.totals(rollout(), 62).unknown == 1
        log.write(shown("1", unit="a", minute=70))
        totals = log.totals(rollout(), 80)
        assert (totals.early, totals.unknown) == (1, 0)

    def test_an_outcome_comes_late(self, log):
        log.write(shown("1", unit="a"))
        log.archive(61)
        assert log.totals(rollout(), 62).champion.metrics["conversion"].num == 0
        log.write(happened(prediction_id="1", minute=60 * 24 * 3))
        for minute in (60 * 24 * 3 + 1, 60 * 24 * 3 + 62):
            totals = log.totals(rollout(), minute)
            conversion = totals.champion.metrics["conversion"]
            assert (conversion.units, conversion.num, conversion.den, conversion.num_num) == (1, 1, 1, 1)

    def test_words_are_held_against_words(self, log):
        rows = [
            ("yes", "yes"),
            ("yes", "no"),
            (True, "yes"),
            (False, "n"),
            (1, "1.0"),
            ("1", 1),
            ("yes", 1),
            (2, "maybe"),
        ]
        log.write(*(shown(f"{n}", minute=n + 1, prediction=said) for n, (said, _) in enumerate(rows)))
        log.write(*(happened(was, prediction_id=f"{n}", minute=20 + n) for n, (_, was) in enumerate(rows)))
        totals = log.totals(rollout(plan("accuracy")), 40)
        accuracy = totals.champion.metrics["accuracy"]
        assert (accuracy.num, accuracy.den) == (5, 6)
        assert (totals.outcomes, totals.unusable) == (6, 2)

    def test_the_error_of_a_number(self, log):
        log.write(
            shown("1", unit="a", prediction=10.0),
            shown("2", unit="a", prediction=20.0, minute=2),
            happened(12.5, prediction_id="1", minute=3),
            happened(19, unit="a", event_id="e", minute=4),
        )
        error = log.totals(rollout(plan("absolute_error")), 30).champion.metrics["absolute_error"]
        assert (error.units, error.num, error.den, error.num_num) == (1, 3.5, 2, 12.25)

    def test_without_a_metric_about_outcomes_their_log_is_not_read(self, log):
        log.write(shown("1"), happened(prediction_id="1"))
        assert log.totals(rollout(plan("errors", "slow")), 30).outcomes == 0


class TestCovariate:
    def test_outcomes_of_the_time_before_are_the_covariate(self, log):
        one = rollout(plan("mean", "rate", "conversion", "errors", pre_period="1d"))
        log.write(
            happened(9, unit="a", event_id="0", minute=-60 * 25),
            happened(2, unit="a", event_id="1", minute=-60 * 20),
            happened(3, unit="a", event_id="2", minute=-10),
            happened(3, unit="a", event_id="2", minute=-9),
            happened(4, unit="b", event_id="3", minute=-9),
            happened(1, prediction_id="x", minute=-9),
        )
        log.write(shown("1", unit="a"), shown("2", unit="c", minute=2))
        log.write(happened(10, unit="a", event_id="9", minute=5))
        for minute in (30, 62, 63, 90):
            metrics = log.totals(one, minute).champion.metrics
            mean = metrics["mean"]
            assert (mean.units, mean.pre, mean.pre_pre, mean.num_pre, mean.den_pre) == (2, 5, 25, 50, 5)
            assert (metrics["rate"].pre, metrics["conversion"].pre, metrics["errors"].pre) == (2, 1, 0)
            log.archive(minute)


class TestTraffic:
    def test_units_by_day_and_sums_of_the_champions_answers(self, log):
        day = 60 * 24
        log.write(
            shown("1", unit="a", experiment=None),
            shown("2", unit="a", experiment=None, minute=day + 1),
            shown("3", unit="b", experiment=None, minute=day + 2),
            shown("4", unit="c", experiment=None, minute=day + 3, variant="shadow"),
            shown("5", unit="d", experiment=None, minute=3 * day + 1),
            happened(prediction_id="3", minute=day + 9),
        )
        traffic = log.events().traffic(
            "churn", plan("conversion", "rate"), Span(start=at(0), end=at(2.5 * day))
        )
        assert (traffic.units, traffic.by_day) == (2, (1, 1, 0))
        assert (traffic.metrics["conversion"].num, traffic.metrics["rate"].den) == (1, 3)

    def test_of_many_rows_the_newest_hours_are_read(self, log):
        log.write(
            *(shown(f"old{one}", experiment=None, unit=f"o{one}", minute=5) for one in range(5)),
            *(shown(f"new{one}", experiment=None, unit=f"n{one}", minute=125) for one in range(3)),
            shown("last", experiment=None, minute=185),
            happened(prediction_id="new1", minute=190),
        )
        span, events = Span(start=at(0), end=at(240)), log.events()
        for rows, units, since in ((None, 9, 0), (100, 9, 0), (4, 4, 120), (1, 1, 180)):
            traffic = events.traffic("churn", plan("conversion"), span, most_rows=rows)
            assert (traffic.units, traffic.span) == (units, Span(start=at(since), end=at(240)))
            assert traffic.metrics["conversion"].num == (units > 1)
            assert (traffic.exposures, traffic.unitless) == (units, 1)
            assert traffic.first == at(since)

    def test_no_log_is_no_traffic(self, log):
        traffic = log.events().traffic("churn", plan("rate"), Span(start=at(0), end=at(60)))
        assert (traffic.units, traffic.by_day) == (0, (0,))
