from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from support.builders import make_spec
from windsock.exceptions import SpecError
from windsock.spec import Metric
from windsock.spec.registries import METRICS
from windsock.statistics import metrics
from windsock.statistics.metrics import Scored, direction, make_scorer, metric_names, score


def binary_case(rows: int = 400, seed: int = 0) -> tuple[Scored, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = (generator.random(rows) < 0.3).astype(int)
    positive = np.round(
        np.clip(generator.normal(0.3 + 0.3 * truth, 0.2), 0.01, 0.99), 2
    )  # rounded: many ties
    answers = np.column_stack([1 - positive, positive])
    weights = np.bincount(generator.integers(0, rows, rows), minlength=rows).astype(float)
    return Scored(truth=truth, answers=answers, classes=2, positive=1), weights


def many_case(rows: int = 500, classes: int = 4, seed: int = 1) -> tuple[Scored, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, rows)
    raw = generator.random((rows, classes)) + 0.7 * np.eye(classes)[truth]
    weights = generator.integers(0, 4, rows).astype(float)
    return Scored(truth=truth, answers=raw / raw.sum(axis=1, keepdims=True), classes=classes), weights


def reference_binary(name: str, case: Scored, weights: np.ndarray) -> float:
    truth, positive = case.truth, case.answers[:, 1]
    answered = case.answers.argmax(axis=1)
    functions = {
        "roc_auc": lambda: reference.roc_auc_score(truth, positive, sample_weight=weights),
        "average_precision": lambda: reference.average_precision_score(
            truth, positive, sample_weight=weights
        ),
        "accuracy": lambda: reference.accuracy_score(truth, answered, sample_weight=weights),
        "balanced_accuracy": lambda: reference.balanced_accuracy_score(
            truth, answered, sample_weight=weights
        ),
        "f1": lambda: reference.f1_score(truth, answered, sample_weight=weights),
        "f1_macro": lambda: reference.f1_score(truth, answered, average="macro", sample_weight=weights),
        "f1_weighted": lambda: reference.f1_score(truth, answered, average="weighted", sample_weight=weights),
        "precision": lambda: reference.precision_score(truth, answered, sample_weight=weights),
        "recall": lambda: reference.recall_score(truth, answered, sample_weight=weights),
        "log_loss": lambda: reference.log_loss(truth, case.answers, sample_weight=weights),
        "brier": lambda: reference.brier_score_loss(truth, positive, sample_weight=weights),
    }
    return float(functions[name]())


CLASSIFICATION = [name for name, facts in METRICS.items() if "classification" in facts.tasks]
REGRESSION = [name for name, facts in METRICS.items() if "regression" in facts.tasks]


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_binary_metrics_equal_scikit_learn_with_and_without_weights(name, seed):
    case, weights = binary_case(seed=seed)
    scorer = make_scorer(name, case)
    assert scorer(weights) == pytest.approx(reference_binary(name, case, weights), abs=1e-12)
    assert scorer(None) == pytest.approx(reference_binary(name, case, np.ones(weights.size)), abs=1e-12)
    assert score(name, case) == scorer(None)


@given(
    hnp.arrays(np.int64, st.shared(st.integers(2, 60), key="rows"), elements=st.integers(0, 5)),
    hnp.arrays(np.int64, st.shared(st.integers(2, 60), key="rows"), elements=st.integers(0, 1)),
    hnp.arrays(np.int64, st.shared(st.integers(2, 60), key="rows"), elements=st.integers(0, 3)),
)
@settings(max_examples=200, deadline=None)
def test_weighted_auc_equals_scikit_learn_to_1e_12_on_any_ties_and_weights(scores, truth, weights):
    value = metrics.weighted_auc(truth == 1, scores.astype(float))(weights.astype(float))
    if weights[truth == 1].sum() == 0 or weights[truth == 0].sum() == 0:
        assert math.isnan(value)
    else:
        assert abs(value - reference.roc_auc_score(truth, scores, sample_weight=weights)) < 1e-12


def test_many_classes_equal_scikit_learn():
    case, weights = many_case()
    answered = case.answers.argmax(axis=1)
    one_hot = np.eye(4)[case.truth]
    expected = {
        "roc_auc": reference.roc_auc_score(one_hot, case.answers, average="macro", sample_weight=weights),
        "average_precision": reference.average_precision_score(one_hot, case.answers, sample_weight=weights),
        "accuracy": reference.accuracy_score(case.truth, answered, sample_weight=weights),
        "balanced_accuracy": reference.balanced_accuracy_score(case.truth, answered, sample_weight=weights),
        "f1": reference.f1_score(case.truth, answered, average="macro", sample_weight=weights),
        "f1_macro": reference.f1_score(case.truth, answered, average="macro", sample_weight=weights),
        "f1_weighted": reference.f1_score(case.truth, answered, average="weighted", sample_weight=weights),
        "precision": reference.precision_score(case.truth, answered, average="macro", sample_weight=weights),
        "recall": reference.recall_score(case.truth, answered, average="macro", sample_weight=weights),
        "log_loss": reference.log_loss(case.truth, case.answers, sample_weight=weights),
        "brier": np.average(((case.answers - one_hot) ** 2).sum(axis=1), weights=weights),
    }
    assert set(expected) == set(CLASSIFICATION)
    for name, value in expected.items():
        assert make_scorer(name, case)(weights) == pytest.approx(float(value), abs=1e-12), name


def test_regression_metrics_equal_scikit_learn():
    generator = np.random.default_rng(3)
    truth = generator.normal(1e6, 3, 300)
    answers = truth + generator.normal(size=300)
    weights = generator.integers(0, 4, 300).astype(float)
    case = Scored(truth=truth, answers=answers)
    assert make_scorer("r2", case)(weights) == pytest.approx(
        reference.r2_score(truth, answers, sample_weight=weights), abs=1e-9
    )
    assert make_scorer("rmse", case)(weights) == pytest.approx(
        reference.root_mean_squared_error(truth, answers, sample_weight=weights), abs=1e-9
    )
    assert make_scorer("mae", case)(weights) == pytest.approx(
        reference.mean_absolute_error(truth, answers, sample_weight=weights), abs=1e-9
    )
    assert set(REGRESSION) == {"r2", "rmse", "mae"}


@pytest.mark.parametrize(
    "name",
    [
        "roc_auc",
        "average_precision",
        "balanced_accuracy",
        "f1",
        "f1_macro",
        "f1_weighted",
        "precision",
        "recall",
    ],
)
def test_rows_of_one_class_define_no_metric_of_two(name):
    only = Scored(truth=np.ones(5, dtype=int), answers=np.full((5, 2), 0.5), classes=2, positive=1)
    assert math.isnan(score(name, only))


def test_a_class_that_does_not_occur_is_left_out_of_the_mean():
    case, _ = many_case()
    rows = case.truth != 3
    part = Scored(truth=case.truth[rows], answers=case.answers[rows], classes=4)
    each = [reference.roc_auc_score(part.truth == code, part.answers[:, code]) for code in range(3)]
    assert score("roc_auc", part) == pytest.approx(sum(each) / 3)


def test_a_constant_target_has_no_r2():
    constant = Scored(truth=np.full(5, 7.0), answers=np.arange(5.0))
    assert math.isnan(score("r2", constant))
    assert score("mae", constant) == pytest.approx(5.0)


def test_certain_and_wrong_answers_have_a_finite_log_loss():
    case = Scored(truth=np.array([0, 1]), answers=np.array([[0.0, 1.0], [1.0, 0.0]]), classes=2, positive=1)
    assert math.isfinite(score("log_loss", case))
    assert score("log_loss", case) > 30


def test_precision_is_zero_where_the_class_is_never_answered():
    case = Scored(truth=np.array([0, 1]), answers=np.array([[0.9, 0.1], [0.8, 0.2]]), classes=2, positive=1)
    assert score("precision", case) == 0.0
    assert score("f1", case) == 0.0


def test_the_first_class_may_be_the_positive_one():
    case, _ = binary_case()
    turned = Scored(truth=case.truth, answers=case.answers, classes=2, positive=0)
    answered = case.answers.argmax(axis=1)
    assert score("recall", turned) == pytest.approx(reference.recall_score(case.truth, answered, pos_label=0))
    assert score("roc_auc", turned) == pytest.approx(score("roc_auc", case), abs=1e-12)


def test_directions_and_names():
    assert direction("roc_auc") == 1.0
    assert direction("rmse") == -1.0
    assert set(metric_names(make_spec())) == set(CLASSIFICATION)
    numbers = make_spec(model={"name": "price", "task": "regression"})
    assert set(metric_names(numbers)) == set(REGRESSION)


def test_an_extension_metric_is_called_with_truth_answers_and_weights(monkeypatch):
    def hits(truth, answers, weights):
        return 0.25 if weights is None else float(weights.sum())

    hits.facts = Metric(("classification",), True)
    monkeypatch.setattr(metrics, "extension", lambda group, name: {("metrics", "hits"): hits}[(group, name)])
    case, weights = binary_case()
    scorer = make_scorer("hits", case)
    assert scorer(None) == 0.25
    assert scorer(weights) == weights.sum()


def test_an_unknown_metric_is_named():
    case, _ = binary_case()
    with pytest.raises(SpecError, match="no_such"):
        make_scorer("no_such", case)


def test_confusion_matrix_has_the_truth_in_its_rows():
    case = Scored(
        truth=np.array([0, 0, 1]), answers=np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]), classes=2
    )
    assert metrics.confusion_matrix(case).tolist() == [[1, 1], [0, 1]]
