from __future__ import annotations

import json
import re
import traceback
import warnings

import numpy as np
import pandas as pd
import pytest
import structlog
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_info

from windsock.exceptions import TrainingRefusedError
from windsock.training.fitting import answer, counted_warnings, fit, limited_threads, share_of_threads

FEATURES = pd.DataFrame({"x": np.arange(20.0)})
LABELS = np.arange(20) % 2


@pytest.mark.parametrize(
    ("cpus", "variable", "candidates", "expected"),
    [
        (2, "", 2, 1),
        (2, "", 1, 2),
        (8, "", 2, 4),
        (8, "3", 1, 3),
        (1, "", 5, 1),
        (8, "0", 2, 4),
        (8, "x", 2, 4),
    ],
)
def test_candidates_that_train_beside_each_other_share_the_processors(
    monkeypatch, cpus, variable, candidates, expected
):
    import joblib

    monkeypatch.setattr(joblib, "cpu_count", lambda: cpus)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert share_of_threads(candidates) == expected


def test_threads_are_limited_inside_and_given_back():
    before = [pool["num_threads"] for pool in threadpool_info()]
    with limited_threads(1):
        assert {pool["num_threads"] for pool in threadpool_info()} <= {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.mark.parametrize("value", ["hunter2-Zq", "x Got hunter2-Zq", ["hunter2-Zq"], {"a": "hunter2-Zq"}])
def test_a_wrong_parameter_is_named_without_its_value(value):
    with pytest.raises(TrainingRefusedError) as refused:
        fit(lambda _: make_pipeline(LogisticRegression(solver=value)), FEATURES, LABELS)
    assert "'solver' parameter of LogisticRegression must be a str among" in refused.value.message
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_warnings_are_counted_and_stay_silent(recwarn):
    with counted_warnings() as counts:
        for _ in range(3):
            warnings.warn("again", UserWarning, stacklevel=1)
        LogisticRegression(max_iter=1).fit(FEATURES * 1e3, LABELS)
    assert counts == {"UserWarning": 3, "ConvergenceWarning": 1}
    assert not recwarn.list


class Failing(ClassifierMixin, BaseEstimator):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def fit(self, X, y):
        raise self.error


@pytest.mark.parametrize(
    "error", [ValueError("row 7 is secret"), ZeroDivisionError("secret"), IndexError("secret")]
)
def test_a_failing_estimator_is_a_refusal_that_shows_no_data(error):
    with pytest.raises(
        TrainingRefusedError, match="Failing could not be fitted on 20 rows and 1 feature"
    ) as caught:
        fit(lambda rows: make_pipeline(Failing(error)), FEATURES, LABELS)
    assert caught.value.code == "WS-TRAINING-010"
    assert re.search(r"at test_fitting\.py:\d+ < ", str(caught.value))
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_what_a_library_says_of_the_data_reaches_no_log():
    people = pd.DataFrame({"x": ["Smith, Jane"] * 20})
    with pytest.raises(TrainingRefusedError, match="ValueError at ") as caught:
        fit(lambda rows: make_pipeline(LogisticRegression()), people, LABELS)
    told = (type(caught.value), caught.value, caught.value.__traceback__)
    rendered = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)(told)  # as Airflow does
    assert [stack["exc_type"] for stack in rendered] == ["TrainingRefusedError"]
    for text in ("".join(traceback.format_exception(caught.value)), json.dumps(rendered)):
        assert "WS-TRAINING-010" in text
        assert "Smith" not in text


def test_a_wrong_parameter_is_said_in_full():
    with pytest.raises(TrainingRefusedError, match="The 'C' parameter of LogisticRegression must be a float"):
        fit(lambda rows: make_pipeline(LogisticRegression(C="much")), FEATURES, LABELS)


def test_memory_that_runs_out_is_no_refusal():
    with pytest.raises(MemoryError):
        fit(lambda rows: make_pipeline(Failing(MemoryError())), FEATURES, LABELS)


def test_answers_are_probabilities_or_numbers():
    assert answer(make_pipeline(LogisticRegression()).fit(FEATURES, LABELS), FEATURES).shape == (20, 2)
    assert answer(make_pipeline(Ridge()).fit(FEATURES, LABELS), FEATURES).shape == (20,)


def test_classes_without_probabilities_are_refused():
    with pytest.raises(
        TrainingRefusedError, match="RidgeClassifier gives classes without probabilities"
    ) as caught:
        answer(make_pipeline(RidgeClassifier()).fit(FEATURES, LABELS), FEATURES)
    assert caught.value.code == "WS-TRAINING-011"


def test_answers_that_are_not_finite_are_refused():
    pipeline = make_pipeline(Ridge()).fit(FEATURES, LABELS)
    pipeline[-1].coef_ = np.array([np.inf])
    with pytest.raises(TrainingRefusedError, match="not finite") as caught, np.errstate(all="ignore"):
        answer(pipeline, FEATURES)
    assert caught.value.code == "WS-TRAINING-011"
