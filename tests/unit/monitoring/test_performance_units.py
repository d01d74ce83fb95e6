"""Realised performance where several answers are to the same unit, and what numbers of rows are rows."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from support.performance import (
    COLORS,
    END,
    NUMBER,
    SCHEMA,
    Scene,
    answers,
    check_of,
    coin,
    metric,
)
from windsock.monitoring.performance_checks import estimated_performance
from windsock.monitoring.performance_metrics import realised_metrics
from windsock.monitoring.performance_trend import Point, performance_trend, row_spread
from windsock.records import MetricValue, ReferenceChunks, ReferencePerformance, Status
from windsock.spec import PerformanceBlock

BY_ACCURACY = {"training": {"metric": "accuracy"}}
ACCURATE = ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.9),))
USERS, EACH = 100, 20


def by_users(users: int = USERS, each: int = EACH, *, right: float = 0.9) -> pd.DataFrame:
    """Return answers to users that are all right, or all wrong, of each user."""
    truth = np.tile([True, False], users * each // 2)
    good = np.repeat(np.arange(users) < round(right * users), each)
    said = np.where(good, truth, ~truth)
    names = np.repeat([f"u{number}" for number in range(users)], each)
    return answers(truth.tolist(), said.tolist(), np.where(said, 0.9, 0.1).tolist(), unit=names)


def test_answers_to_one_unit_count_once() -> None:
    """2,000 rows of 100 users say of a loss what 100 rows would."""
    few = by_users(right=0.8)
    report = Scene(ACCURATE, spec=BY_ACCURACY).look(few)
    drop = check_of(report, "performance_drop")
    assert (drop.status, drop.n, drop.unit) == (Status.INSUFFICIENT, USERS, "entities")
    assert "n=100 entities of 2,000 labelled rows: " in drop.message
    alone = Scene(ACCURATE, spec=BY_ACCURACY).look(few.assign(unit=None))
    assert check_of(alone, "performance_drop").status is Status.FAIL


@pytest.mark.parametrize("name", ["accuracy", "recall", "f1", "roc_auc", "log_loss", "brier"])
def test_each_interval_is_of_the_units(name: str) -> None:
    rows, spec = by_users().rename(columns={"outcome": "label"}), Scene(spec=BY_ACCURACY).spec
    widths = []
    for frame in (rows, rows.assign(unit=None)):
        found = realised_metrics(frame, SCHEMA, spec)
        one = found.metric(name)
        assert one is not None
        assert one.interval is not None
        widths.append(one.interval.high - one.interval.low)
    assert widths[0] > 2 * widths[1]


def test_a_regressions_errors_and_the_trends_variance_are_of_the_units_too() -> None:
    random = np.random.default_rng(3)
    said = random.normal(100, 20, USERS * EACH)
    truth = said + np.repeat(random.normal(0, 5, USERS), EACH)
    names = np.repeat([f"u{number}" for number in range(USERS)], EACH)
    rows = answers(truth.tolist(), said.tolist(), said.tolist(), unit=names).rename(
        columns={"outcome": "label"}
    )
    spec = Scene(schema=NUMBER, spec={"model": {"task": "regression"}, "training": {"metric": "rmse"}}).spec
    found = {key: realised_metrics(frame, NUMBER, spec) for key, frame in _both(rows).items()}
    by_unit, by_row = found["units"], found["rows"]
    assert row_spread(by_unit.metric("rmse")) > 8 * row_spread(by_row.metric("rmse"))
    assert by_unit.variance("rmse") > 8 * by_row.variance("rmse")


def _both(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"units": rows, "rows": rows.assign(unit=None)}


def test_of_few_units_nothing_is_said_whatever_the_rows() -> None:
    report = Scene(ACCURATE, spec=BY_ACCURACY).look(by_users(20, 100, right=0.5))
    drop = check_of(report, "performance_drop")
    assert drop.status is Status.INSUFFICIENT
    assert "20 effective entities, at least 30 needed where rows share one" in drop.message


def test_units_of_one_row_each_are_rows() -> None:
    frame = answers(*coin(5000)).assign(unit=[f"u{number}" for number in range(5000)])
    drop = check_of(Scene(ACCURATE, spec=BY_ACCURACY).look(frame), "performance_drop")
    assert (drop.status, drop.n, drop.unit) == (Status.PASS, 5000, "rows")


def test_a_trend_without_an_interval_says_why() -> None:
    points = [Point(END + place * timedelta(days=1), 0.9, 100) for place in range(10)]
    few = MetricValue(name="accuracy", value=0.9, n=20, rows=700, reason="20 effective entities")
    made = performance_trend("accuracy", points, few, PerformanceBlock(), look=1)
    assert made.message == "accuracy has no interval on 1,000 labels: 20 effective entities"


def test_a_class_without_labels_leaves_a_mean_over_classes_unproved() -> None:
    truth = ["blue", "green"] * 500
    rows = answers(truth, truth, [None] * 1000).rename(columns={"outcome": "label"})
    found = realised_metrics(rows, COLORS, Scene(schema=COLORS).spec)
    balanced, accuracy = found.metric("balanced_accuracy"), found.metric("accuracy")
    assert balanced is not None
    assert accuracy is not None
    assert (balanced.interval, balanced.reason) == (None, "1 of 3 classes have no row here")
    assert accuracy.interval is not None


def test_an_estimates_reach_goes_by_rows_not_by_what_carries_the_value() -> None:
    """0.86 is within the reach of 12 rows and beyond that of 1,000."""
    chunks = ReferenceChunks(metric="recall", mean=0.9, sd=0.01, chunks=10, rows=1000)
    carried = MetricValue(name="recall", value=0.86, n=12, unit="positives", rows=1000)
    made = estimated_performance(carried, chunks, PerformanceBlock())
    assert (made.status, made.n) == (Status.FAIL, 1000)
    assert made == estimated_performance(
        MetricValue(name="recall", value=0.86, n=1000), chunks, PerformanceBlock()
    )


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("roc_auc", 0.95, Status.PASS),
        ("roc_auc", 0.80, Status.PASS),
        ("roc_auc", 0.65, Status.FAIL),
        ("rmse", 0.65, Status.PASS),
        ("rmse", 0.95, Status.FAIL),
    ],
)
def test_a_better_estimate_is_no_loss(name, value, status):
    chunks = ReferenceChunks(metric=name, mean=0.80, sd=0.01, chunks=10, rows=1_000)
    estimate = MetricValue(name=name, value=value, n=1_000)
    made = estimated_performance(estimate, chunks, PerformanceBlock())
    assert made.status is status
    assert ("which is no loss" in made.message) == (status is Status.PASS and value != 0.80)
    assert (made.limit > 0.8) == (name == "rmse")
