"""A mean over classes has an interval only where each class of training has rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from windsock.statistics.metrics import Scored
from windsock.statistics.units import Units
from windsock.statistics.verdict_intervals import OVER_CLASSES, compare_models, measure


def rows(*counts: int, trained: int) -> Scored:
    """Return rows of as many classes as there are counts, nearly all answered rightly."""
    truth = np.repeat(np.arange(len(counts)), counts)
    answered = truth.copy()
    answered[::9] = (answered[::9] + 1) % len(counts)
    answers = 0.1 / len(counts) + 0.9 * np.eye(len(counts))[answered]
    positive = 1 if len(counts) == 2 else None
    return Scored(truth=truth, answers=answers, classes=len(counts), positive=positive, trained=trained)


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
