"""A mean over classes has an interval only where each class of training has rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from windsock.statistics.metrics import Scored, make_scorer
from windsock.statistics.units import Units
from windsock.statistics.verdict_intervals import OVER_CLASSES, compare_models, measure, measure_by


def rows(*counts: int, trained: int) -> Scored:
    """Return rows of as many classes as there are counts, nearly all answered rightly."""
    truth = np.repeat(np.arange(len(counts)), counts)
    answered = truth.copy()
    answered[::9] = (answered[::9] + 1) % len(counts)
    answers = 0.1 / len(counts) + 0.9 * np.eye(len(counts))[answered]
    positive = 1 if len(counts) == 2 else None
    return Scored(truth=truth, answers=answers, classes=len(counts), positive=positive, trained=trained)


def outside(weights: np.ndarray | None) -> float:
    """Return what a metric of another package makes of 150 rows."""
    return float(np.average(np.arange(150) % 7, weights=weights))


@pytest.mark.parametrize("name", OVER_CLASSES)
@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((90, 60, 0), "1 of 3 classes have no row here"),
        ((0, 60, 80), "1 of 3 classes have no row here"),
        ((90, 60, 0, 0, 40), "2 of 5 classes have no row here"),
    ],
)
def test_a_mean_without_a_class_proves_nothing(name: str, counts: tuple[int, ...], said: str) -> None:
    scored, units = rows(*counts, trained=len(counts)), Units(rows=sum(counts))
    alone = measure(name, scored, units)
    compared = compare_models(name, "baseline", ours=scored, theirs=scored, units=units)
    assert (alone.interval, alone.reason) == (None, said)
    assert (compared.interval, compared.reason) == (None, said)


@pytest.mark.parametrize("name", ["log_loss", "brier", "profit"])
@pytest.mark.parametrize(
    ("scored", "said"),
    [
        (rows(90, 60, 0, trained=3), "1 of 3 classes have no row here"),
        (rows(150, 0, trained=2), "1 of 2 classes have no row here"),
        (rows(0, 150, trained=2), "1 of 2 classes have no row here"),
    ],
    ids=["one of three", "no positive", "no negative"],
)
def test_nor_does_a_mean_loss_or_a_metric_from_outside(name: str, scored: Scored, said: str) -> None:
    units = Units(rows=scored.truth.size)
    scorer = outside if name == "profit" else make_scorer(name, scored)
    alone = measure_by(name, scored, units, scorer)
    assert (alone.interval, alone.reason) == (None, said)
    assert alone.value is not None
    whole = rows(90, 60, trained=2)
    assert measure_by(name, whole, units, outside if name == "profit" else make_scorer(name, whole)).interval


def test_metrics_from_outside_on_numbers_have_no_classes() -> None:
    truth = np.arange(150.0)
    scored = Scored(truth=truth, answers=truth + 1)
    assert measure_by("profit", scored, Units(rows=150), outside).interval is not None


@pytest.mark.parametrize(
    ("name", "scored"),
    [
        ("accuracy", rows(90, 60, 0, trained=3)),
        ("balanced_accuracy", rows(90, 60, 50, trained=3)),
        ("balanced_accuracy", rows(90, 60, 50, 0, trained=3)),
        ("f1", rows(90, 60, trained=2)),
    ],
    ids=["accuracy", "all classes", "a class that only the champion knows", "two classes"],
)
def test_all_else_has_its_interval(name: str, scored: Scored) -> None:
    units = Units(rows=scored.truth.size)
    assert measure(name, scored, units).interval is not None
    assert measure(name, scored, units) == measure(name, dataclasses.replace(scored, trained=0), units)
