"""Outcomes that are words: usable where a metric names them, or where they may be labels of answers."""

from __future__ import annotations

import random

import pytest

from support.rollout_log import RolloutLog, happened, plan, rollout, shown
from support.rollout_recount import naive, told_of
from windsock.records import RolloutPlan
from windsock.spec import RolloutMetricBlock

NAMED = RolloutMetricBlock(kind="conversion", outcome="complaint")


@pytest.fixture
def log(tmp_path):
    return RolloutLog(tmp_path)


def with_metrics(*others: str, **named: RolloutMetricBlock) -> RolloutPlan:
    """Return a plan of kinds and of metrics of one's own."""
    made = plan(*others) if others else plan()
    usual = made.metrics if others else {}
    return made.replace(metrics={**usual, **named}, metric=next(iter({**named, **usual})))


def counted(log: RolloutLog, made: RolloutPlan, *said: object, answer: object = False):
    """Count outcomes of one unit each; look twice, so that the second one goes by what is kept."""
    log.write(*(shown(f"{n}", unit=f"u{n}", prediction=answer) for n in range(len(said))))
    log.write(*(happened(one, unit=f"u{n}", event_id="e", minute=2 + n / 10) for n, one in enumerate(said)))
    once, again = (log.totals(rollout(made), minute) for minute in (30, 130))
    assert told_of(once) == told_of(again)
    return again


def test_a_word_that_no_metric_names_is_unusable(log):
    said = ("complaint", " complaint ", "refund", "Complaint", "", "nan", True, 0, "3")
    totals = counted(log, with_metrics(complaints=NAMED), *said)
    assert totals.champion.metrics["complaints"].num == 2
    assert (totals.outcomes, totals.unusable) == (5, 4)


def test_one_that_any_metric_names_is_usable(log):
    refunds = RolloutMetricBlock(kind="rate", outcome="refund")
    totals = counted(log, with_metrics(complaints=NAMED, refunds=refunds), "complaint", "refund", "refind", 1)
    assert {name: one.num for name, one in totals.champion.metrics.items()} == {"complaints": 1, "refunds": 1}
    assert (totals.outcomes, totals.unusable) == (3, 1)


def test_a_number_in_the_place_of_the_word_names_no_word(log):
    sevens = RolloutMetricBlock(kind="conversion", outcome="7")
    totals = counted(log, with_metrics(sevens=sevens), 7, "7.0", "seven", 8)
    assert totals.champion.metrics["sevens"].num == 2
    assert (totals.outcomes, totals.unusable) == (3, 1)


def test_beside_accuracy_a_word_is_usable_if_it_may_be_a_label(log):
    made = with_metrics("accuracy", complaints=NAMED)
    totals = counted(log, made, "complaint", "refund", "no", True, 3, answer=False)
    assert totals.champion.metrics["complaints"].num == 1
    assert totals.champion.metrics["accuracy"].num == 1
    assert totals.champion.metrics["accuracy"].den == 3
    assert (totals.outcomes, totals.unusable) == (4, 1)


def test_for_answers_that_are_words_any_word_may_be_a_label(log):
    made = with_metrics("accuracy", complaints=NAMED)
    totals = counted(log, made, "complaint", "refund", "stay", answer="stay")
    assert (totals.outcomes, totals.unusable) == (3, 0)


def test_a_mended_outcome_counts_under_the_id_of_one_with_a_wrong_word(log):
    log.write(shown("1", unit="a"))
    log.write(
        happened("refund", unit="a", event_id="e"), happened("complaint", unit="a", event_id="e", minute=3)
    )
    totals = log.totals(rollout(with_metrics(complaints=NAMED)), 30)
    assert totals.champion.metrics["complaints"].num == 1
    assert (totals.outcomes, totals.repeated_outcomes, totals.unusable) == (1, 0, 1)


@pytest.mark.parametrize("others", [("mean",), ("accuracy", "mean")])
def test_it_agrees_with_the_plain_count(log, others):
    draw = random.Random(5)  # noqa: S311
    one = rollout(with_metrics(*others, complaints=NAMED))
    asked = [
        shown(
            f"p{n}", unit=f"u{n % 30}", minute=n + n / 1000, variant=draw.choice(["champion", "challenger"])
        )
        for n in range(150)
    ]
    words = ("complaint", "refund", True, 2, "0")
    outcomes = [
        happened(draw.choice(words), unit=f"u{n % 40}", event_id=f"e{n % 90}", minute=n + 0.3 + n / 1000)
        for n in range(150)
    ]
    log.write(*asked[:70], *outcomes[:70])
    assert told_of(log.totals(one, 125)) == naive(one, asked[:70], outcomes[:70])
    log.write(*asked[70:], *outcomes[70:])
    for minute in (160, 250):
        assert told_of(log.totals(one, minute)) == naive(one, asked, outcomes)


@pytest.mark.parametrize("before", [1, 4, 30])
def test_labels_that_came_before_the_rollout_are_no_unusable_outcomes_of_it(log, before):
    log.write(*(shown(f"{n}", unit=f"u{n}") for n in range(4)))
    log.write(*(happened("<=50K", unit=f"u{n}", event_id=f"l{n}", minute=-before) for n in range(4)))
    log.write(happened("<=50K", unit="u0", event_id="later", minute=3))
    log.write(happened("complaint", unit="u1", event_id="e", minute=3))
    once, again = (log.totals(rollout(with_metrics(complaints=NAMED)), minute) for minute in (30, 130))
    assert told_of(once) == told_of(again)
    assert (again.outcomes, again.unusable) == (1, 1)


@pytest.mark.parametrize(
    ("named", "positive"), [({}, 0), ({"leaves": RolloutMetricBlock(kind="conversion", outcome="leave")}, 2)]
)
def test_labels_of_the_models_own_classes_are_never_unusable(log, named, positive):
    bought = RolloutMetricBlock(kind="conversion")
    made = with_metrics(**{**named, "bought": bought}).replace(classes=("leave", "stay"))
    totals = counted(log, made, "leave", "stay", "stay", "leave", "left", True)
    assert (totals.outcomes, totals.unusable) == (5, 1)
    assert {name: one.num for name, one in totals.champion.metrics.items()} == {
        **dict.fromkeys(named, positive),
        "bought": 1,
    }
