from __future__ import annotations

import numpy as np
import pytest

from windsock.statistics.losses import loss_found
from windsock.statistics.metrics import Scored, make_scorer
from windsock.statistics.units import Units, skewed_reach
from windsock.statistics.verdict_intervals import METHODS, compare_models, measure

REGRESSION = ("mae", "rmse", "r2")
LOSSES = ("log_loss", "brier")


def numbers(rows: int, seed: int = 0, error: float = 0.5) -> Scored:
    draw = np.random.default_rng(seed)
    truth = draw.normal(size=rows)
    return Scored(truth=truth, answers=truth + draw.normal(0, error, rows))


def classes(rows: int, seed: int = 0) -> Scored:
    draw = np.random.default_rng(seed)
    chance = draw.beta(1, 2, rows)
    truth = (draw.random(rows) < chance).astype("int64")
    return Scored(truth=truth, answers=np.column_stack([1 - chance, chance]), classes=2, positive=1)


@pytest.mark.parametrize("name", [*REGRESSION, *LOSSES])
def test_influence_is_the_derivative_by_a_rows_weight(name: str) -> None:
    scored = numbers(40) if name in REGRESSION else classes(40)
    loss, scorer = METHODS[name].of(scored), make_scorer(name, scored)
    value = scorer(None)
    assert loss.curve(loss.mean) == pytest.approx(value)
    for row in range(40):
        weights = np.ones(40)
        weights[row] += 1e-6
        assert (scorer(weights) - value) / 1e-6 == pytest.approx(
            loss.slope * loss.influence[row], abs=1e-5, rel=1e-3
        )


@pytest.mark.parametrize("name", REGRESSION)
def test_a_model_without_errors_has_width(name: str) -> None:
    truth = np.random.default_rng(1).normal(size=200)
    found = measure(name, Scored(truth=truth, answers=truth.copy()), Units(rows=200))
    assert found.interval.low <= found.value <= found.interval.high
    assert found.interval.high - found.interval.low > 0.005
    if name == "r2":
        assert 0.97 < found.interval.low < 0.99  # 3.62 of 200 rows may err, and know nothing then


def test_a_sure_model_without_errors_may_lose_much() -> None:
    truth = np.arange(100) % 2
    answers = np.eye(2)[truth] * 0.998 + 0.001
    found = measure("log_loss", Scored(truth=truth, answers=answers, classes=2, positive=1), Units(rows=100))
    assert found.value == pytest.approx(-np.log(0.999))
    assert found.interval.high == pytest.approx(0.036 * 6.9, rel=0.05)


def test_a_constant_target_that_is_met_has_no_interval_but_a_reason() -> None:
    found = measure("mae", Scored(truth=np.ones(50), answers=np.ones(50)), Units(rows=50))
    assert found.interval is None
    assert "the target is constant" in found.reason


def test_few_rows_have_no_interval() -> None:
    found = measure("mae", numbers(19), Units(rows=19))
    assert (found.interval, found.reason) == (None, "19 rows, at least 20 needed")


def test_skewness_is_taken_out() -> None:
    draw, wrong, plain = np.random.default_rng(2), 0, 0
    for _ in range(400):
        losses = draw.exponential(size=30)
        influence = (losses - losses.mean()) / 30
        wrong += losses.mean() + skewed_reach(influence, Units(rows=30), freedom=29, level=0.95).up < 1
        plain += losses.mean() + 2.045 * losses.std(ddof=1) / 30**0.5 < 1
    assert wrong <= 0.75 * plain


def test_clustered_losses_are_on_entities() -> None:
    scored, codes = numbers(60), np.repeat(np.arange(60), 5)
    five = Scored(truth=np.repeat(scored.truth, 5), answers=np.repeat(scored.answers, 5))
    alone = loss_found(METHODS["mae"].of(scored), Units(rows=60))
    found = loss_found(METHODS["mae"].of(five), Units(rows=300, codes=codes))
    assert found.interval.low == pytest.approx(alone.interval.low, abs=1e-9)
    assert (found.n, found.unit) == (60, "entities")


@pytest.mark.parametrize("name", [*REGRESSION, *LOSSES])
def test_the_same_answers_twice_have_width_and_are_proved_alike_by_many(name: str) -> None:
    scored = numbers(5000) if name in REGRESSION else classes(5000)
    found = compare_models(name, "champion", ours=scored, theirs=scored, units=Units(rows=5000))
    assert found.value == 0
    assert -0.01 < found.interval.low < 0 < found.interval.high < 0.01


def test_less_is_better_for_errors() -> None:
    good, bad = numbers(200, error=0.1), numbers(200, error=0.5)
    found = compare_models("rmse", "baseline", ours=good, theirs=bad, units=Units(rows=200))
    assert found.interval.low > 0.3
    assert found.opponent_value == pytest.approx(0.5, abs=0.1)
