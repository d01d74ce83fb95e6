from __future__ import annotations

import math

import numpy as np
import pytest

from windsock.statistics.areas import (
    Areas,
    areas_compared,
    areas_found,
    logit_ends,
    newcombe,
    precision_area,
    precision_areas,
    roc_area,
    roc_areas,
)
from windsock.statistics.metrics import Scored, weighted_auc, weighted_average_precision
from windsock.statistics.units import Units, standard_error

NORMAL, ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
"""Ratings 1 to 5 of 109 images (Hanley and McNeil 1982, Radiology 143:29, table I)."""


def ratings() -> tuple[np.ndarray, np.ndarray]:
    truth = np.r_[np.zeros(58, dtype=bool), np.ones(51, dtype=bool)]
    return truth, np.r_[np.repeat(np.arange(5.0), NORMAL), np.repeat(np.arange(5.0), ABNORMAL)]


def drawn(positives: int, negatives: int, apart: float, draw: np.random.Generator):
    truth = np.r_[np.ones(positives, dtype=bool), np.zeros(negatives, dtype=bool)]
    return truth, draw.normal(size=truth.size) + apart * truth


def roc(truth: np.ndarray, scores: np.ndarray) -> Areas:
    return Areas((roc_area(truth, scores),), True, True)


def test_delong_as_published() -> None:
    area = roc_area(*ratings())
    truth = area.is_positive
    parts = [area.influence[rows] * rows.sum() for rows in (truth, ~truth)]
    error = math.sqrt(sum(part.var(ddof=1) / part.size for part in parts))
    # Stata's manual, roctab, with the same ratings: 0.8932, standard error 0.0307, 0.83295 to 0.95339
    assert area.value == pytest.approx(0.8932, abs=5e-5)
    assert error == pytest.approx(0.0307, abs=5e-5)
    assert area.value - 1.959964 * error == pytest.approx(0.83295, abs=5e-6)
    assert area.value + 1.959964 * error == pytest.approx(0.95339, abs=5e-6)
    assert standard_error(area.influence, Units(rows=109)) == pytest.approx(error, rel=0.01)


def test_newcombes_ends_have_their_own_variance() -> None:
    for value, positives, negatives in ((0.8932, 51, 58), (1.0, 20, 20), (0.7, 20, 2000)):
        for end in newcombe(value, positives, negatives):
            if end in (0.0, 1.0):
                continue
            both = (positives + negatives) / 2 - 1
            variance = end * (1 - end) * (1 + both * (1 - end) / (2 - end) + both * end / (1 + end))
            assert abs(value - end) == pytest.approx(
                1.959964 * math.sqrt(variance / positives / negatives), rel=1e-5
            )


@pytest.mark.parametrize(
    ("area", "weighted"), [(roc_area, weighted_auc), (precision_area, weighted_average_precision)]
)
def test_components_are_derivatives_by_a_rows_weight(area, weighted) -> None:
    draw = np.random.default_rng(0)
    truth = draw.random(60) < 0.3
    scores = np.round(draw.normal(size=60) + truth, 1)  # with ties
    found, scorer = area(truth, scores), weighted(truth, scores)
    assert found.value == pytest.approx(scorer(None))
    for row in range(60):
        weights = np.ones(60)
        weights[row] += 1e-6
        assert (scorer(weights) - found.value) / 1e-6 == pytest.approx(found.influence[row], abs=1e-6)


def test_a_perfect_ranking_has_width() -> None:
    truth = np.arange(40) >= 20
    for area in (roc_area, precision_area):
        found = areas_found(Areas((area(truth, np.arange(40.0)),), area is roc_area, True), Units(rows=40))
        assert found.interval.high == 1.0
        assert 0.65 < found.interval.low < 0.9


def test_nineteen_of_a_class_are_too_few_and_named() -> None:
    truth = np.arange(200) >= 181
    found = areas_found(roc(truth, np.arange(200.0)), Units(rows=200))
    assert found == (None, 19, "positives", "19 positives, at least 20 needed")
    found = areas_found(roc(~truth, -np.arange(200.0)), Units(rows=200))
    assert (found.n, found.unit) == (19, "negatives")


def test_entities_count_once() -> None:
    draw = np.random.default_rng(1)
    truth, scores = drawn(60, 60, 1.0, draw)
    alone = areas_found(roc(truth, scores), Units(rows=120))
    codes = np.repeat(np.arange(120), 5)
    five = areas_found(roc(np.repeat(truth, 5), np.repeat(scores, 5)), Units(rows=600, codes=codes))
    assert five.interval.low == pytest.approx(alone.interval.low, abs=0.01)
    assert (five.n, five.unit) == (60, "entities with positives")
    naive = areas_found(roc(np.repeat(truth, 5), np.repeat(scores, 5)), Units(rows=600))
    assert naive.interval.low > alone.interval.low + 0.03
    few = areas_found(roc(np.repeat(truth, 5), np.repeat(scores, 5)), Units(rows=600, codes=codes // 5))
    assert few.interval is None
    assert "at least 30 needed" in few.reason or "at least 20 needed" in few.reason


def test_the_same_ranking_twice_is_not_proved_equal_by_few_rows() -> None:
    for rows, margin, proved in ((100, 0.01, False), (3000, 0.01, True)):
        truth, scores = drawn(rows // 2, rows // 2, 1.5, np.random.default_rng(2))
        found = areas_compared(roc(truth, scores), roc(truth, scores), Units(rows=rows))
        assert found.interval.low < 0 < found.interval.high
        assert (found.interval.low > -margin) is proved


def test_at_the_limit_few_pass() -> None:
    draw, limit = np.random.default_rng(3), 0.921350  # Phi(2 / sqrt 2)
    wrong = 0
    for _ in range(300):
        found = areas_found(roc(*drawn(20, 60, 2.0, draw)), Units(rows=80))
        wrong += found.interval.low > limit
    assert wrong <= 12


def test_equal_models_are_seldom_better() -> None:
    draw, wrong = np.random.default_rng(4), 0
    for _ in range(300):
        truth, one = drawn(30, 60, 1.5, draw)
        other = draw.normal(size=90) + 1.5 * truth
        wrong += areas_compared(roc(truth, one), roc(truth, other), Units(rows=90)).interval.low > 0
    assert wrong <= 15


def test_the_logit_interval_is_that_of_boyd_eng_and_page() -> None:
    area, positives = 0.6, 40
    error = math.sqrt(area * (1 - area) / positives)
    low, high = logit_ends(area, error, 10**9)
    eta, width = math.log(area / (1 - area)), 1.959964 / math.sqrt(positives * area * (1 - area))
    assert low == pytest.approx(math.exp(eta - width) / (1 + math.exp(eta - width)), abs=1e-6)
    assert high == pytest.approx(math.exp(eta + width) / (1 + math.exp(eta + width)), abs=1e-6)
    assert logit_ends(1.0, 0.1, 5) == (1.0, 1.0)


@pytest.mark.parametrize("rows", [200, 1000])
def test_of_three_classes_the_ends_are_wrong_as_seldom_as_they_say(rows: int) -> None:
    """Small; 36 populations of 1,000 draws each were wrong in at most 1.7 % on one side."""

    def drawn(random: np.random.Generator, count: int) -> Scored:
        truth = random.choice(3, count, p=[0.5, 0.3, 0.2])
        apart = random.standard_t(3, (count, 3)) + 2.0 * np.eye(3)[truth]
        answers = np.exp(apart) / np.exp(apart).sum(axis=1, keepdims=True)
        return Scored(truth=truth, answers=answers, classes=3, trained=3)

    whole, random, draws = drawn(np.random.default_rng(1), 100_000), np.random.default_rng(2), 80
    for of in (roc_areas, precision_areas):
        true, too_high, too_low = of(whole).value, 0, 0
        for _ in range(draws):
            interval = areas_found(of(drawn(random, rows)), Units(rows=rows)).interval
            too_high += interval.low > true
            too_low += interval.high < true
        assert max(too_high, too_low) <= 0.05 * draws
