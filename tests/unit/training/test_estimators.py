from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import SGDClassifier

from windsock.exceptions import SpecError, TrainingRefusedError
from windsock.records import InputField
from windsock.spec import CandidateBlock
from windsock.spec.registries import ESTIMATORS
from windsock.training import estimators
from windsock.training.estimators import (
    BUILT_IN,
    EstimatorKind,
    build_pipeline,
    estimator_kind,
    make_estimator,
)

PAIRS = [(name, task) for name, tasks in ESTIMATORS.items() for task in tasks]


def test_every_registered_name_has_something_behind_it():
    assert set(BUILT_IN) == set(ESTIMATORS)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_seed_is_fixed_and_there_is_one_job(name, task):
    params = make_estimator(CandidateBlock(estimator=name), task).get_params()
    assert params["random_state"] == 42
    assert params.get("n_jobs") in (None, 1)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_every_parameter_of_the_search_space_is_one_of_the_estimator(name, task):
    space = estimator_kind(name, task).space()
    allowed = set(make_estimator(CandidateBlock(estimator=name), task).get_params())
    assert space
    assert set(space) <= allowed


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_same_input_gives_the_same_model(name, task):
    fields = [InputField(name="x", kind="number"), InputField(name="c", kind="category")]
    generator = np.random.default_rng(0)
    features = pd.DataFrame(
        {"x": generator.normal(size=200), "c": generator.choice(["a", "b"], 200).astype(object)}
    )
    labels = (features["x"] + generator.normal(size=200) > 0).to_numpy()
    labels = labels if task == "classification" else labels.astype(float)
    answers = []
    for _ in range(2):
        pipeline = build_pipeline(features, fields, CandidateBlock(estimator=name), task).fit(
            features, labels
        )
        method = pipeline.predict_proba if task == "classification" else pipeline.predict
        answers.append(method(features))
    np.testing.assert_array_equal(*answers)


def test_parameters_are_those_of_the_spec_and_a_trial_goes_over_them():
    candidate = CandidateBlock(estimator="logistic_regression", params={"C": 0.5, "class_weight": "balanced"})
    params = make_estimator(candidate, "classification", {"C": 2.0}).get_params()
    assert (params["C"], params["class_weight"]) == (2.0, "balanced")


@pytest.mark.parametrize(
    "name", ["max_depht", "random_state", "n_jobs", "categorical_features", "warm_start"]
)
def test_an_unknown_or_fixed_parameter_is_refused_with_the_allowed_ones(name):
    candidate = CandidateBlock(estimator="hist_gradient_boosting", params={name: 1})
    with pytest.raises(
        TrainingRefusedError, match=f"no parameter {name}; allowed: .*max_depth.*max_iter"
    ) as caught:
        make_estimator(candidate, "classification")
    assert caught.value.code == "WS-TRAINING-022"
    assert "random_state" not in caught.value.message.partition("allowed:")[2]


def test_an_estimator_of_the_other_task_is_refused():
    with pytest.raises(
        TrainingRefusedError, match="ridge is for regression, not for classification"
    ) as caught:
        estimator_kind("ridge", "classification")
    assert caught.value.code == "WS-TRAINING-020"


def test_an_unknown_estimator_is_named():
    with pytest.raises(SpecError, match="no_such"):
        estimator_kind("no_such", "classification")


def test_an_installed_package_may_offer_an_estimator(monkeypatch):
    offered = EstimatorKind(make=lambda task, seed: SGDClassifier(loss="log_loss", random_state=seed))
    monkeypatch.setattr(estimators, "extension", lambda group, name: offered)
    candidate = CandidateBlock.model_construct(estimator="sgd", params={"alpha": 0.01}, search=None)
    estimator = make_estimator(candidate, "classification")
    assert (estimator.alpha, estimator.random_state) == (0.01, 42)
    assert estimator_kind("sgd", "classification").space() == {}


def test_an_extension_that_offers_something_else_is_refused(monkeypatch):
    monkeypatch.setattr(estimators, "extension", lambda group, name: SGDClassifier)
    with pytest.raises(TrainingRefusedError, match="offers a ABCMeta, not an EstimatorKind") as caught:
        estimator_kind("sgd", "classification")
    assert caught.value.code == "WS-TRAINING-021"
