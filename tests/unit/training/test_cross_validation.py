from __future__ import annotations

import statistics

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from support.builders import make_spec
from windsock.exceptions import TrainingRefusedError
from windsock.records import Answer, InputField, InputSchema
from windsock.spec import SearchBlock
from windsock.training.cross_validation import TrainingRows, best_of, cross_validate, score_on, search
from windsock.training.folds import Folds, make_folds

FIELD = InputField(name="x", kind="number")
SCHEMA = InputSchema(
    model="churn", fields=(FIELD,), answer=Answer.CLASS, classes=(False, True), positive=True
)


def make_rows(metric: str = "roc_auc", rows: int = 120) -> TrainingRows:
    generator = np.random.default_rng(0)
    features = pd.DataFrame({"x": generator.normal(size=rows)})
    labels = features["x"].to_numpy() + generator.normal(size=rows) > 0
    frame = pd.DataFrame({"customer_id": range(rows)})
    folds = make_folds(frame, labels, make_spec())
    return TrainingRows(features=features, labels=labels, schema=SCHEMA, folds=folds, metric=metric)


def logistic(params, rows):
    return make_pipeline(LogisticRegression(**params))


class Clock:
    """Moves by given seconds at each look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_folds_are_scored_by_a_model_that_never_saw_them():
    rows = make_rows()
    result = cross_validate(lambda part: logistic({}, part), rows)
    expected = []
    for inside, outside in rows.folds.pairs:
        model = LogisticRegression().fit(rows.features.iloc[inside], rows.labels[inside])
        expected.append(
            roc_auc_score(rows.labels[outside], model.predict_proba(rows.features.iloc[outside])[:, 1])
        )
    assert result.folds == pytest.approx(expected)
    assert result.mean == pytest.approx(statistics.fmean(expected))
    assert result.sd == pytest.approx(statistics.stdev(expected))


def test_the_pipeline_is_built_for_the_rows_of_each_fold():
    rows, seen = make_rows(), []
    cross_validate(lambda part: seen.append(len(part)) or logistic({}, part), rows)
    assert seen == [96] * 5


def test_a_fold_that_does_not_define_the_metric_is_refused():
    rows = make_rows()
    one_class = np.flatnonzero(rows.labels)[:10]
    pairs = ((np.arange(60), one_class),)
    bad = TrainingRows(
        features=rows.features,
        labels=rows.labels,
        schema=SCHEMA,
        folds=Folds(kind="own", pairs=pairs),
        metric="roc_auc",
    )
    with pytest.raises(TrainingRefusedError, match=r"roc_auc is not defined on fold 1 \(10 rows\)") as caught:
        cross_validate(lambda part: logistic({}, part), bad)
    assert caught.value.code == "WS-TRAINING-012"


def test_a_class_that_a_fold_did_not_fit_gets_no_probability():
    rows = make_rows()
    only_true = make_pipeline(DummyClassifier()).fit(rows.features, np.ones(120, dtype=bool))
    assert score_on(only_true, rows, rows.features, rows.labels) == 0.5


def test_numbers_are_scored_too():
    rows = make_rows()
    numbers = TrainingRows(
        features=rows.features,
        labels=rows.features["x"].to_numpy() * 2,
        schema=InputSchema(model="churn", fields=(FIELD,), answer=Answer.NUMBER),
        folds=rows.folds,
        metric="r2",
    )
    result = cross_validate(lambda part: make_pipeline(Ridge(alpha=1e-9)), numbers)
    assert result.mean == pytest.approx(1.0)


def test_without_a_search_there_is_one_trial():
    (trial,) = search(logistic, {"C": [1, 2]}, None, make_rows())
    assert (trial.number, trial.params) == (1, {})


def test_a_search_tries_the_candidate_first_and_then_draws_the_same_each_time():
    from scipy.stats import loguniform

    block = SearchBlock(trials=4, minutes=5)
    first, second = (search(logistic, {"C": loguniform(1e-3, 1e2)}, block, make_rows()) for _ in range(2))
    assert [trial.params for trial in first] == [trial.params for trial in second]
    assert first[0].params == {}
    assert len({trial.params["C"] for trial in first[1:]}) == 3
    assert all(type(trial.params["C"]) is float for trial in first[1:])
    assert [trial.number for trial in first] == [1, 2, 3, 4]


def test_one_trial_is_the_candidate_itself():
    assert len(search(logistic, {"C": [1, 2]}, SearchBlock(trials=1), make_rows())) == 1


@pytest.mark.parametrize(("seconds", "trials"), [(1, 20), (61, 1), (20, 3)])
def test_a_search_ends_when_its_minutes_are_over(seconds, trials):
    from scipy.stats import loguniform

    block = SearchBlock(trials=20, minutes=1)
    done = search(logistic, {"C": loguniform(1e-3, 1e2)}, block, make_rows(), clock=Clock(seconds))
    assert len(done) == trials


def test_a_failed_trial_is_listed_and_the_others_count():
    block = SearchBlock(trials=3)
    done = search(logistic, {"C": [-1.0, 2.0]}, block, make_rows())
    failed = [trial for trial in done if trial.result is None]
    assert len(failed) == 1
    assert failed[0].params == {"C": -1.0}
    assert "WS-TRAINING-010" in failed[0].error
    assert best_of(done)[0].result is not None


def test_trials_that_all_fail_are_refused_with_the_first_reason():
    def never(params, rows):
        return make_pipeline(LogisticRegression(C=-1))

    with pytest.raises(
        TrainingRefusedError, match="all 2 trials of the search failed; the first: WS-TRAINING-010"
    ) as caught:
        search(never, {"tol": [0.1]}, SearchBlock(trials=2), make_rows())
    assert caught.value.code == "WS-TRAINING-013"


@pytest.mark.parametrize(("metric", "best"), [("roc_auc", 2), ("log_loss", 1)])
def test_the_best_trial_follows_the_metrics_direction(metric, best):
    from windsock.records import CrossValidation
    from windsock.training.cross_validation import Trial

    trials = tuple(
        Trial(number=number, result=CrossValidation(metric=metric, mean=mean, sd=0.1, folds=(mean,)))
        for number, mean in ((1, 0.3), (2, 0.7), (3, 0.7))
    )
    assert best_of(trials)[0].number == best
