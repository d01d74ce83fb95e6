"""An outcome counts where it may come of an exposure in the step, and of none before it."""

from __future__ import annotations

import logging

import pytest

from support.rollout_log import RolloutLog, at, happened, plan, refused, rollout, shown
from support.rollout_recount import naive, told_of
from windsock.records import Span

BEFORE = {"epoch": 5}
ARM = {"variant": "challenger"}
STEP = {"step": 1, "step_epoch": 7, "step_since": at(0), "started_at": at(-600)}


@pytest.fixture
def log(tmp_path):
    return RolloutLog(tmp_path)


def looks(log, one):
    for minute in (59, 90, 91):
        yield log.totals(one, minute)
        log.archive(minute)


def told(totals):
    names = ("outcomes", "early", "earlier", "carried", "late", "unknown")
    return {name: getattr(totals, name) for name in names if getattr(totals, name)}


class TestEarlier:
    def test_outcomes_of_those_that_were_exposed_before_only(self, log):
        log.write(
            shown("1", unit="a", minute=-50, **BEFORE),
            shown("2", minute=-40, experiment=None),
            refused("3", unit="c", minute=-30, **BEFORE),
            shown("4", unit="d", minute=-200, **BEFORE),
            shown("5", unit="e", minute=-30, variant="shadow"),
        )
        log.write(
            happened(unit="a", event_id="1"),
            happened(prediction_id="1"),
            happened(prediction_id="2"),
            happened(unit="c", event_id="2"),
            happened(unit="d", event_id="3"),
            happened(unit="e", event_id="4"),
            happened(unit="z", event_id="5"),
        )
        for totals in looks(log, rollout(plan("rate", attribution="2h"), **STEP)):
            assert told(totals) == {"earlier": 4, "unknown": 3}

    def test_those_of_people_who_came_before_and_come_again_are_not_early(self, log):
        log.write(
            shown("1", unit="a", minute=-50, experiment=None),
            shown("2", unit="a", minute=60),
            shown("3", unit="b", minute=60),
        )
        log.write(
            happened(unit="a", event_id="1", minute=30),
            happened(unit="b", event_id="2", minute=30),
            happened(unit="a", event_id="3", minute=62),
        )
        one = rollout(plan("rate", attribution="2h"), **STEP | {"started_at": at(0), "step": 0})
        for minute in (80, 130, 131):
            assert told(log.totals(one, minute)) == {"outcomes": 1, "early": 1, "earlier": 1}
            log.archive(minute)

    def test_without_an_attribution_they_are_unknown(self, log):
        log.write(shown("1", unit="a", minute=-50, **BEFORE), happened(unit="a", event_id="1"))
        for totals in looks(log, rollout(plan("rate"), **STEP)):
            assert told(totals) == {"unknown": 1}

    def test_one_is_not_earlier_any_more_once_its_unit_comes(self, log):
        log.write(shown("1", unit="a", minute=-50, **BEFORE), happened(unit="a", event_id="1"))
        log.write(happened(prediction_id="1"))
        one = rollout(plan("rate", attribution="1h"), **STEP)
        assert told(log.totals(one, 62)) == {"earlier": 2}
        log.write(shown("2", unit="a", minute=70))
        for minute in (80, 130, 131):
            assert told(log.totals(one, minute)) == {"earlier": 1, "carried": 1}


class TestCarried:
    @pytest.mark.parametrize(
        ("outcome", "right"),
        [
            ({"unit": "a", "event_id": "e", "minute": 49}, "carried"),
            ({"unit": "a", "event_id": "e", "minute": 51}, "outcomes"),
            ({"unit": "a", "event_id": "e", "minute": 51, "event_time": at(40)}, "carried"),
            ({"unit": "a", "event_id": "e", "minute": 49, "event_time": at(600)}, "carried"),
            ({"unit": "a", "event_id": "e", "minute": 3}, "carried"),
            ({"unit": "a", "prediction_id": "2", "event_id": "e", "minute": 31}, "outcomes"),
            ({"prediction_id": "2", "minute": 31}, "outcomes"),
            ({"unit": "b", "event_id": "e", "minute": 31}, "outcomes"),
            ({"unit": "b", "event_id": "e", "minute": 3}, "early"),
        ],
    )
    def test_what_may_come_of_an_exposure_before_the_step(self, log, outcome, right):
        log.write(
            shown("0", unit="a", minute=-20, **BEFORE),
            shown("1", unit="a", minute=-10, **BEFORE),
            shown("2", unit="a", minute=30, **ARM),
            shown("3", unit="b", minute=30),
            happened(**outcome),
        )
        totals = log.totals(rollout(plan("conversion", attribution="1h"), **STEP), 59)
        assert told(totals) == {right: 1}
        conversions = [arm.metrics["conversion"].num for arm in (totals.champion, totals.challenger)]
        assert sum(conversions) == (right == "outcomes")

    @pytest.mark.parametrize("step", [{}, {**STEP, "started_at": at(-15)}])
    def test_what_was_before_the_rollout_takes_nothing_away(self, log, step):
        log.write(
            shown("0", unit="a", minute=-20, experiment=None, epoch=5),
            shown("1", unit="a", minute=10, **ARM),
            happened(unit="a", event_id="e", minute=20),
        )
        for totals in looks(log, rollout(plan("conversion", attribution="1h"), **step)):
            assert told(totals) == {"outcomes": 1}

    def test_the_time_before_is_read_once_and_kept(self, log, monkeypatch):
        log.write(shown("1", unit="a", minute=-10, **BEFORE), shown("2", unit="a", minute=30))
        one = rollout(plan("conversion", attribution="1h"), **STEP)
        log.totals(one, 62)
        assert sorted(name.partition("-")[0] for name in log.kept(one)) == ["exposures", "past"]
        log.storage.remove("predictions/churn")
        log.write(happened(unit="a", event_id="e", minute=65, event_time=at(40)))
        assert told(log.totals(one, 70)) == {"carried": 1}

    def test_a_damaged_file_of_the_time_before_is_made_anew(self, log, caplog):
        caplog.set_level(logging.WARNING, logger="windsock")
        log.write(shown("1", unit="a", minute=-10, **BEFORE), shown("2", unit="a", minute=30))
        log.write(happened(unit="a", event_id="e", minute=40))
        one = rollout(plan("conversion", attribution="1h"), **STEP)
        log.totals(one, 62)
        [name] = [name for name in log.kept(one) if name.startswith("past")]
        log.storage.remove(f"rollouts/churn/v2-e7/1/{name}")
        log.write(happened(unit="a", event_id="f", minute=65))
        assert told(log.totals(one, 70)) == {"carried": 1, "outcomes": 1}
        assert [record.getMessage()[:14] for record in caplog.records] == ["WS-ROLLOUT-041"]


class TestLate:
    def test_what_comes_longer_after_the_last_exposure(self, log):
        log.write(shown("1", unit="a"), shown("2", unit="a", minute=20), shown("3", unit="b"))
        log.write(
            happened(unit="a", event_id="1", minute=49),
            happened(unit="a", event_id="2", minute=51),
            happened(unit="a", event_id="3", minute=55, event_time=at(49)),
            happened(prediction_id="1", minute=32),
            happened(prediction_id="2", minute=49),
            happened(unit="b", event_id="4", minute=32),
        )
        for totals in looks(log, rollout(plan("mean", "accuracy", attribution="30m"), **STEP)):
            assert told(totals) == {"outcomes": 3, "late": 3}
            assert totals.champion.metrics["mean"].num == 3
            assert totals.champion.metrics["accuracy"].den == 1

    def test_a_metric_may_have_its_own(self, log):
        metrics = plan("mean", "rate").metrics
        metrics["mean"] = metrics["mean"].replace(attribution="10m")
        log.write(shown("0", unit="a", minute=-25, **BEFORE), shown("1", unit="a"))
        log.write(happened(unit="a", event_id="1", minute=4), happened(unit="a", event_id="2", minute=20))
        log.write(happened(unit="a", event_id="3", minute=50))
        for totals in looks(log, rollout(plan(metrics=metrics, metric="rate", attribution="40m"), **STEP)):
            # the first is carried for the rate, the second late for the mean, the third late for both
            assert told(totals) == {"outcomes": 2, "late": 1}
            assert [totals.champion.metrics[name].num for name in ("mean", "rate")] == [1, 1]

    def test_labels_of_a_file_are_of_their_prediction_whenever_they_come(self, log):
        from windsock.spec import LabelsBlock

        file = log.folder / "labels.csv"
        file.write_text("prediction_id,outcome,label_time\n1,true,2026-05-01T12:50:00Z\n")
        labels = LabelsBlock(
            kind="file",
            path=str(file),
            prediction_id="prediction_id",
            outcome="outcome",
            label_time="label_time",
        )
        log.write(shown("1"))
        one = rollout(plan("accuracy", labels=labels, attribution="30m"))
        assert told(log.totals(one, 24 * 60 * 400)) == {"outcomes": 1}


class TestEarly:
    @pytest.mark.parametrize(
        ("minute", "event", "early"),
        [(16, None, 0), (14, None, 1), (16, 16, 0), (16, 14, 1), (25, 14, 1), (25, 16, 0), (14, 30, 1)],
    )
    def test_both_clocks_may_differ_by_five_minutes(self, log, minute, event, early):
        log.write(shown("1", unit="a", minute=20))
        moment = None if event is None else at(event)
        log.write(happened(unit="a", event_id="1", minute=minute, event_time=moment))
        totals = log.totals(rollout(plan("rate", "accuracy")), 59)
        assert (totals.early, totals.outcomes) == (early, 1 - early)


class TestTraffic:
    def test_what_a_step_would_not_count_is_not_told_either(self, log):
        log.write(*(shown(f"{n}", unit="a", experiment=None, minute=n) for n in range(1, 5)))
        log.write(happened(prediction_id="1", minute=3), happened(prediction_id="2", minute=90))
        made = plan("rate", attribution="1h", unit_cap=2)
        rate = log.events().traffic("churn", made, Span(start=at(0), end=at(100))).metrics["rate"]
        assert (rate.num, rate.den, rate.largest) == (0.5, 2, 4)


class TestWeights:
    def test_a_unit_with_more_than_the_cap_keeps_its_average_and_loses_weight(self, log):
        log.write(*(shown(f"{n}", unit="bot", minute=1 + n, fallback_for="champion") for n in range(8)))
        log.write(shown("x", unit="a", minute=9), shown("y", unit="a", minute=10, fallback_for="champion"))
        for totals in looks(log, rollout(plan("errors", "conversion", unit_cap=4))):
            errors = totals.champion.metrics["errors"]
            assert (errors.units, errors.num, errors.den, errors.largest) == (2, 5, 6, 8)
            assert (errors.num_num, errors.den_den, errors.num_den) == (17, 20, 18)
            assert totals.champion.metrics["conversion"].den == 2

    def test_the_largest_is_told_without_a_cap_and_grows(self, log):
        log.write(shown("1", unit="a"), shown("2", unit="b"))
        one = rollout(plan("errors"))
        assert log.totals(one, 62).champion.metrics["errors"].largest == 1
        rows = [shown(f"{n}", unit="b", minute=70 + n) for n in range(5, 9)]
        log.write(*rows)
        for minute in (90, 130, 131):
            assert log.totals(one, minute).champion.metrics["errors"].largest == 5
            log.archive(minute)

    def test_what_a_unit_was_refused_is_capped_with_its_labels(self, log):
        rows = [shown(f"{n}", unit="a", minute=1 + n) for n in range(3)]
        rows += [refused(f"r{n}", unit="a", minute=10 + n) for n in range(5)]
        said = [happened(False, prediction_id=f"{n}", minute=20 + n) for n in range(3)]
        log.write(*rows, *said)
        one = rollout(plan("accuracy", unit_cap=4))
        for totals in looks(log, one):
            accuracy = totals.champion.metrics["accuracy"]
            assert (accuracy.num, accuracy.den, accuracy.asked, accuracy.largest) == (1.5, 1.5, 2.5, 3)
            assert told_of(totals) == naive(one, rows, said)
