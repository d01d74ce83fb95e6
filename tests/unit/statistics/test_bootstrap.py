from __future__ import annotations

import math
import time

import numpy as np
import pytest

from windsock.statistics.bootstrap import interval_of, paired_difference, resample
from windsock.statistics.metrics import Scored, make_scorer, weighted_auc


def binormal(rows: int, generator: np.random.Generator, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    truth = generator.random(rows) < 0.5
    return truth, generator.normal(size=rows) + shift * truth


def mean_scorer(values):
    return lambda weights: float(values.mean() if weights is None else weights @ values / weights.sum())


def test_every_scorer_sees_the_same_resamples_and_a_second_run_too():
    generator = np.random.default_rng(0)
    values = generator.normal(size=50)
    scorers = {"a": mean_scorer(values), "b": mean_scorer(values)}
    first, second = resample(scorers, 50), resample(scorers, 50)
    assert first["a"].shape == (1000,)
    np.testing.assert_array_equal(first["a"], first["b"])
    np.testing.assert_array_equal(first["a"], second["a"])
    assert len(set(first["a"])) > 900


def test_weights_are_multinomial_counts():
    seen = []
    resample({"sum": lambda weights: seen.append(weights) or float(weights.sum())}, 30, resamples=200)
    counts = np.array(seen)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.mean() == pytest.approx(1.0)
    assert counts.var() == pytest.approx(1 - 1 / 30, abs=0.1)


def test_interval_of_a_mean_is_that_of_the_normal_theory():
    values = np.random.default_rng(4).normal(5.0, 2.0, 2000)
    interval = interval_of(resample({"mean": mean_scorer(values)}, 2000)["mean"])
    half = 1.96 * values.std() / math.sqrt(2000)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.015)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.015)
    assert interval.level == 0.95


def test_undefined_resamples_are_left_out_until_they_are_too_many():
    values = np.arange(1000.0)
    few = values.copy()
    few[:100] = np.nan
    assert interval_of(few).low == pytest.approx(np.quantile(values[100:], 0.025))
    few[100] = np.nan
    assert interval_of(few) is None


def test_two_positives_give_no_interval_but_an_error():
    truth = np.array([True, True] + [False] * 98)
    ours = weighted_auc(truth, np.linspace(1, 0, 100))
    theirs = weighted_auc(truth, np.zeros(100))
    drawn = resample({"ours": ours, "theirs": theirs}, 100)
    difference = paired_difference(
        "roc_auc",
        "baseline",
        ours=ours,
        theirs=theirs,
        our_values=drawn["ours"],
        their_values=drawn["theirs"],
        rows=100,
    )
    assert difference.value == pytest.approx(0.5)
    assert difference.interval is None
    assert "tenth" in difference.error


def test_a_metric_that_the_rows_do_not_define_is_an_error_and_never_a_number():
    truth = np.zeros(20, dtype=bool)
    one = weighted_auc(truth, np.zeros(20))
    drawn = resample({"one": one}, 20)["one"]
    difference = paired_difference(
        "roc_auc", "champion", ours=one, theirs=one, our_values=drawn, their_values=drawn, rows=20
    )
    assert (difference.value, difference.interval, difference.opponent_value) == (None, None, None)
    assert "not defined" in difference.error


def test_the_same_model_twice_differs_by_exactly_zero():
    truth, scores = binormal(300, np.random.default_rng(5))
    one = weighted_auc(truth, scores)
    drawn = resample({"one": one}, 300)["one"]
    difference = paired_difference(
        "roc_auc", "champion", ours=one, theirs=one, our_values=drawn, their_values=drawn, rows=300
    )
    assert (difference.value, difference.interval.low, difference.interval.high) == (0.0, 0.0, 0.0)


def test_better_is_positive_also_where_less_is_better():
    truth = np.random.default_rng(6).normal(size=200)
    good = make_scorer("rmse", Scored(truth=truth, answers=truth + 0.1))
    bad = make_scorer("rmse", Scored(truth=truth, answers=truth + 0.5))
    drawn = resample({"good": good, "bad": bad}, 200)
    difference = paired_difference(
        "rmse",
        "baseline",
        ours=good,
        theirs=bad,
        our_values=drawn["good"],
        their_values=drawn["bad"],
        rows=200,
    )
    assert difference.value == pytest.approx(0.4)
    assert difference.interval.low > 0.39
    assert difference.opponent_value == pytest.approx(0.5)


def test_a_thousand_resamples_of_ten_thousand_rows_take_about_a_second():
    truth, scores = binormal(10_000, np.random.default_rng(7))
    started = time.process_time()
    resample({"auc": weighted_auc(truth, scores)}, 10_000)
    assert time.process_time() - started < 3.0  # about 0.5 on an idle core


@pytest.mark.slow
def test_intervals_of_auc_and_of_paired_differences_cover_the_truth():
    """Binormal scores: AUC = Phi(shift / sqrt 2). 200 samples; 95 % +- 3 binomial standard errors."""
    from scipy.stats import norm

    generator = np.random.default_rng(8)
    auc, better = norm.cdf(1.0 / math.sqrt(2)), norm.cdf(1.4 / math.sqrt(2))
    covered = covered_pair = 0
    for _ in range(200):
        truth, scores = binormal(300, generator)
        other = generator.normal(size=300) + 1.4 * truth
        ours, theirs = weighted_auc(truth, other), weighted_auc(truth, scores)
        drawn = resample({"ours": ours, "theirs": theirs}, 300, resamples=400)
        interval = interval_of(drawn["theirs"])
        covered += interval.low <= auc <= interval.high
        pair = paired_difference(
            "roc_auc",
            "champion",
            ours=ours,
            theirs=theirs,
            our_values=drawn["ours"],
            their_values=drawn["theirs"],
            rows=300,
        )
        covered_pair += pair.interval.low <= better - auc <= pair.interval.high
    assert 0.90 <= covered / 200 <= 0.99
    assert 0.90 <= covered_pair / 200 <= 0.99
