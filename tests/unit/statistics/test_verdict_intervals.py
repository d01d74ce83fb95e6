from __future__ import annotations

import numpy as np
import pytest

from windsock.spec.registries import METRICS
from windsock.statistics.metrics import Scored, make_scorer
from windsock.statistics.proportions import clopper_pearson
from windsock.statistics.units import Units
from windsock.statistics.verdict_intervals import METHODS, compare_models, measure, measure_all

SHARES = ["accuracy", "recall", "precision", "f1", "f1_macro", "f1_weighted", "balanced_accuracy"]


def binary(truth: np.ndarray, answered: np.ndarray) -> Scored:
    answered = answered.astype("int64")
    return Scored(truth=truth.astype("int64"), answers=np.eye(2)[answered], classes=2, positive=1)


def counted(hits: int, missed: int, false: int, rest: int) -> Scored:
    truth = np.repeat([1, 1, 0, 0], [hits, missed, false, rest])
    return binary(truth, np.repeat([1, 0, 1, 0], [hits, missed, false, rest]))


def rows_of(scored: Scored) -> Units:
    return Units(rows=scored.truth.size)


def ends(found) -> tuple[float, float]:
    return found.interval.low, found.interval.high


def test_every_metric_of_the_registry_has_a_method() -> None:
    assert set(METHODS) == set(METRICS)


def test_shares_are_on_the_rows_that_carry_them() -> None:
    scored = counted(15, 3, 5, 177)
    names = [name for name, facts in METRICS.items() if facts.tasks == ("classification",)]
    found = {one.name: one for one in measure_all(names, scored, rows_of(scored))}
    assert found["recall"].on() == "18 positives of 200 rows"
    assert ends(found["recall"]) == pytest.approx(ends_of(15, 18))
    assert found["precision"].on() == "20 rows answered as positive of 200 rows"
    assert ends(found["precision"]) == pytest.approx(ends_of(15, 20))
    assert found["accuracy"].on() == "200 rows"
    assert ends(found["accuracy"]) == pytest.approx(ends_of(192, 200))
    assert found["f1"].on() == "23 rows positive or answered so of 200 rows"
    assert ends(found["f1"]) == pytest.approx([2 * end / (1 + end) for end in ends_of(15, 23)])
    assert found["balanced_accuracy"].on() == "18 positives of 200 rows"
    assert found["roc_auc"].reason == "18 positives, at least 20 needed"


def ends_of(hits: int, rows: int) -> tuple[float, float]:
    found = clopper_pearson(hits, rows)
    return found.low, found.high


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("classes", [2, 3])
def test_all_right_has_width(name: str, classes: int) -> None:
    truth = np.arange(18) % classes
    scored = Scored(
        truth=truth, answers=np.eye(classes)[truth], classes=classes, positive=1 if classes == 2 else None
    )
    found = measure(name, scored, Units(rows=18))
    assert found.interval.high == 1.0
    assert found.interval.low < 0.9


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("classes", [2, 3])
def test_influence_is_the_derivative_by_a_rows_weight(name: str, classes: int) -> None:
    draw = np.random.default_rng(0)
    truth, answered = draw.integers(0, classes, 50), draw.integers(0, classes, 50)
    scored = Scored(
        truth=truth, answers=np.eye(classes)[answered], classes=classes, positive=1 if classes == 2 else None
    )
    scorer, influence = make_scorer(name, scored), METHODS[name].of(scored).influence()
    assert METHODS[name].of(scored).value == pytest.approx(scorer(None))
    for row in range(50):
        weights = np.ones(50)
        weights[row] += 1e-6
        assert (scorer(weights) - scorer(None)) / 1e-6 == pytest.approx(influence[row], abs=1e-5)


@pytest.mark.parametrize("name", ["f1", "f1_weighted", "recall", "precision", "balanced_accuracy"])
def test_a_mean_over_classes_at_its_limit_seldom_passes(name: str) -> None:
    def drawn(draw: np.random.Generator, rows: int) -> Scored:
        truth = draw.choice(3, rows, p=[0.6, 0.3, 0.1])
        answered = np.where(draw.random(rows) < 0.85, truth, (truth + draw.integers(1, 3, rows)) % 3)
        return Scored(truth=truth, answers=np.eye(3)[answered], classes=3, predicted=answered)

    draw = np.random.default_rng(1)
    limit = make_scorer(name, drawn(draw, 400_000))(None)
    wrong = sum(measure(name, drawn(draw, 60), Units(rows=60)).interval.low > limit for _ in range(200))
    assert wrong <= 9


def clustered(draw: np.random.Generator, entities: int = 50) -> tuple[Scored, Scored, Units]:
    codes = np.repeat(np.arange(entities), 10)
    signal, one, other = (draw.normal(size=entities)[codes] for _ in range(3))
    truth = signal + 0.3 * draw.normal(size=codes.size) > 0

    def answers(error: np.ndarray) -> Scored:
        chance = 1 / (1 + np.exp(-2 * (signal + 0.7 * error)))
        return Scored(
            truth=truth.astype("int64"), answers=np.column_stack([1 - chance, chance]), classes=2, positive=1
        )

    return answers(one), answers(other), Units(rows=codes.size, codes=codes)


def test_equal_models_on_entities_are_seldom_promoted() -> None:
    draw, runs = np.random.default_rng(2), 120
    names = ("accuracy", "recall", "f1", "roc_auc", "average_precision", "log_loss")
    better = dict.fromkeys(names, 0)
    by_rows = 0
    for _ in range(runs):
        one, other, units = clustered(draw)
        for name in names:
            found = compare_models(name, "champion", ours=one, theirs=other, units=units)
            better[name] += found.interval is not None and found.interval.low > 0
        alone = Units(rows=units.rows)
        by_rows += compare_models("roc_auc", "champion", ours=one, theirs=other, units=alone).interval.low > 0
    assert max(better.values()) <= 0.08 * runs  # 5 % and three standard errors
    assert by_rows > 0.15 * runs  # what it was


def test_rows_that_share_an_entity_count_together() -> None:
    truth = np.tile([True, True, False, False], 50)
    codes = np.repeat(np.arange(40), 5)
    found = measure("recall", binary(truth, truth), Units(rows=200, codes=codes))
    assert found.on() == "38 entities with positives of 200 rows"  # of 40, by sizes of 2 and 3
    assert found.interval.low == pytest.approx(0.025 ** (1 / 40), abs=0.02)
    few = measure("accuracy", binary(truth, truth), Units(rows=200, codes=codes // 2))
    assert few.interval is None
    assert few.reason == "20 effective entities, at least 30 needed where rows share one"


def test_equal_answers_have_width_around_nothing() -> None:
    scored = counted(150, 50, 40, 760)
    for name in ("accuracy", "recall", "precision", "f1", "balanced_accuracy"):
        found = compare_models(name, "champion", ours=scored, theirs=scored, units=rows_of(scored))
        assert found.value == 0
        assert -0.03 < found.interval.low < 0 < found.interval.high < 0.03
    accuracy = compare_models("accuracy", "champion", ours=scored, theirs=scored, units=rows_of(scored))
    assert accuracy.interval.low > -0.01


def test_a_metric_that_the_rows_do_not_define_is_an_error_and_never_a_number() -> None:
    scored = counted(0, 0, 3, 17)
    found = compare_models("roc_auc", "champion", ours=scored, theirs=scored, units=rows_of(scored))
    assert (found.value, found.interval, found.opponent_value) == (None, None, None)
    assert "not defined on the 20 held-out rows" in found.error
    assert measure("recall", scored, rows_of(scored)).value is None


SIZES = {
    "zipf": lambda draw: np.maximum(1, (400 / np.arange(1, 101) ** 1.2).astype(int)),
    "one heavy": lambda draw: np.r_[300, np.full(99, 3)],
    "pareto": lambda draw: np.minimum(3_000, np.ceil(draw.pareto(0.8, 100) + 0.5)).astype(int),
}


@pytest.mark.parametrize("law", SIZES)
def test_a_few_heavy_entities_are_not_a_hundred(law: str) -> None:
    draw = np.random.default_rng(3)
    codes = np.repeat(np.arange(100), SIZES[law](draw))
    truth = draw.random(codes.size) < 0.4
    found = measure("accuracy", binary(truth, truth), Units(rows=codes.size, codes=codes))
    assert found.interval is None
    assert "effective entities, at least 30 needed" in found.reason


@pytest.mark.parametrize("name", ["brier", "f1"])
def test_equal_models_on_entities_of_unequal_size_are_seldom_promoted(name: str) -> None:
    draw, won, judged = np.random.default_rng(8), 0, 0
    for _ in range(120):
        codes = np.repeat(np.arange(200), np.ceil(draw.lognormal(1.5, 1.0, 200)).astype(int))
        units = Units(rows=codes.size, codes=codes)
        truth = draw.random(codes.size) < 0.4

        def model(codes: np.ndarray = codes, truth: np.ndarray = truth) -> Scored:
            quality = draw.normal(1.2, 1.0, 200)[codes]
            chance = 1 / (1 + np.exp(-(quality * (2 * truth - 1) / 2 + draw.normal(0, 1, codes.size))))
            answers = np.c_[1 - chance, chance]
            return Scored(truth=truth.astype("int64"), answers=answers, classes=2, positive=1)

        found = compare_models(name, "champion", ours=model(), theirs=model(), units=units)
        judged += found.interval is not None
        won += found.interval is not None and found.interval.low > 0
    assert judged >= 100
    assert won <= 9  # of 120 at 2.5 %: more come once in 3,000
