from __future__ import annotations

import numpy as np
import pytest

from windsock.records import Interval, MetricValue
from windsock.statistics.gate_planning import Mix, needed_for_difference, needed_for_limit
from windsock.statistics.metrics import Scored
from windsock.statistics.proportions import proof_power
from windsock.statistics.units import Units
from windsock.statistics.verdict_intervals import measure

CHURN = Mix(0.3, True)


def test_accuracy_is_exact() -> None:
    needed = needed_for_limit("accuracy", 0.85, 0.8, rising=True, mix=CHURN, known=None)
    assert needed is not None
    assert needed.unit == "rows"
    assert proof_power(0.85, 0.8, needed.n) >= 0.8


def test_recall_is_on_positives() -> None:
    needed = needed_for_limit("recall", 0.85, 0.8, rising=True, mix=CHURN, known=None)
    rows = needed_for_limit("accuracy", 0.85, 0.8, rising=True, mix=CHURN, known=None)
    assert needed is not None
    assert rows is not None
    assert (needed.n, needed.unit) == (rows.n, "positives")
    assert needed.rows == pytest.approx(rows.n / 0.3, abs=1)


def test_the_planned_rows_pass_as_often_as_planned() -> None:
    needed = needed_for_limit("roc_auc", 0.85, 0.8, rising=True, mix=CHURN, known=None)
    assert needed is not None
    assert needed.unit == "positives"
    draw, passed = np.random.default_rng(0), 0
    for _ in range(200):
        truth = (draw.random(needed.rows) < 0.3).astype("int64")
        score = draw.normal(1.4657 * truth)  # Phi(1.4657 / sqrt 2) = 0.85
        scored = Scored(truth=truth, answers=np.column_stack([-score, score]), classes=2, positive=1)
        passed += measure("roc_auc", scored, Units(rows=needed.rows)).interval.low >= 0.8
    assert 0.68 <= passed / 200 <= 0.92


def test_what_was_measured_is_planned_with() -> None:
    known = MetricValue(name="mae", value=1.0, n=100, rows=100, interval=Interval(low=0.9, high=1.1))
    needed = needed_for_limit("mae", 1.0, 1.05, rising=False, mix=Mix(None, False), known=known, power=0.8)
    assert needed is not None
    assert needed.n == pytest.approx(100 * (2.8016 / 1.96 * 2) ** 2, rel=0.01)
    assert needed_for_limit("mae", 1.0, 1.05, rising=False, mix=Mix(None, False), known=None) is None
    assert needed_for_limit("mae", 1.1, 1.05, rising=False, mix=Mix(None, False), known=known) is None


def test_never_less_than_an_interval_needs() -> None:
    easy = needed_for_limit("roc_auc", 0.99, 0.5, rising=True, mix=CHURN, known=None)
    assert easy is not None
    assert (easy.n, easy.unit) == (20, "positives")
    known = MetricValue(name="accuracy", value=0.9, n=50, unit="entities", rows=500, interval=None)
    entities = needed_for_difference("accuracy", 0.01, known, 0.5, mix=Mix(0.3, True, 10.0))
    assert (entities.n, entities.unit) == (30, "entities")
    assert entities.rows >= 300
