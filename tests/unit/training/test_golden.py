from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from windsock.records import InputField
from windsock.training.golden import answers_to, golden_rows, make_golden, tolerance_of
from windsock.training.preprocessing import to_features

FIELDS = (
    InputField(name="n", kind="number"),
    InputField(name="i", kind="integer"),
    InputField(name="b", kind="boolean"),
    InputField(name="c", kind="category"),
    InputField(name="d", kind="datetime"),
    InputField(name="empty", kind="number"),
)


def features_of(rows: int = 500) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": generator.normal(1000, 100, rows),
            "i": generator.integers(0, 90, rows),
            "b": generator.random(rows) < 0.7,
            "c": generator.choice(["common", "second", "third", "fourth"], rows, p=[0.4, 0.3, 0.2, 0.1]),
            "d": pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 9999, rows), unit="m"),
            "empty": None,
        }
    )
    return to_features(frame, FIELDS)


def test_there_are_twenty_rows_that_survive_json_and_are_the_same_each_time():
    rows = golden_rows(features_of(), FIELDS)
    assert len(rows) == 20
    assert golden_rows(features_of(), FIELDS) == rows
    assert json.loads(json.dumps(rows)) == list(rows)


def test_the_first_rows_are_the_typical_one_nothing_low_and_high():
    typical, nothing, low, high = golden_rows(features_of(), FIELDS)[:4]
    assert typical["c"] == "common"
    assert typical["b"] is True
    assert typical["n"] == pytest.approx(1000, abs=20)
    assert isinstance(typical["i"], int)
    assert set(nothing.values()) == {None}
    assert low["n"] < 800 < 1200 < high["n"]
    assert low["b"] is False
    assert high["c"] == "windsock-unseen"
    assert low["d"] < typical["d"] < high["d"]
    assert typical["empty"] is None


def test_no_number_of_the_data_is_told():
    features = features_of()
    told = {row["n"] for row in golden_rows(features, FIELDS)} - {None}
    assert not told & set(features["n"])


def test_scores_are_the_pipelines_own():
    features = features_of()
    pipeline = make_pipeline(DummyRegressor(strategy="constant", constant=5e6)).fit(features, np.zeros(500))
    golden = make_golden(pipeline, features, FIELDS)
    assert golden.scores == ((5e6,),) * 20
    assert golden.tolerance == pytest.approx(5e-7)  # one answer has no spread: rounding alone is allowed
    assert answers_to(pipeline, golden.rows, FIELDS) == golden.scores


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_tolerance_has_the_scale_of_the_answers(scale):
    assert tolerance_of(2 * scale, 3 * scale, 1e-6, shares=False) == pytest.approx(1e-6 * scale, rel=1e-3)
    assert tolerance_of(0.0, 1e-9, 1e-6, shares=True) == 1e-6


def test_an_offset_loosens_it_by_what_rounding_does():
    assert tolerance_of(1e9, 1e9 + 1, 1e-6, shares=False) == pytest.approx(1e-6 + 1e-4)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_another_models_answers_are_seen_at_any_scale(scale):
    features = features_of()
    labels = scale * features["n"].fillna(0).to_numpy()
    numbers = features[["n"]].fillna(0)
    golden = [pipeline.fit(numbers, labels).predict(numbers) for pipeline in (Ridge(1e-9), Ridge(50.0))]
    apart = float(np.abs(golden[0] - golden[1]).max())
    assert apart > tolerance_of(float(golden[0].min()), float(golden[0].max()), 1e-6, shares=False)
