from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance

from windsock.records.rows import held_out_mask
from windsock.training import importances as module
from windsock.training.importances import importance_shares, measure_importances
from windsock.training.preprocessing import to_features
from windsock.training.target import read_labels


@pytest.fixture
def parts(world, typed_rows, monkeypatch):
    monkeypatch.setattr(module, "MOST_SHUFFLES", 250)
    world = world(typed_rows(3000))
    trained = world.train()
    bundle = world.ports.bundles.load(trained.bundle_uri, trained.bundle_digest)
    rows = world.frame[held_out_mask(world.frame, world.spec)]
    features = to_features(rows, bundle.schema.fields)
    return bundle, features, read_labels(rows, world.snapshot, world.spec)


def measured(parts, metric="roc_auc"):
    bundle, features, labels = parts
    return measure_importances(bundle.pipeline, bundle.schema, features, labels, metric)


def test_they_are_those_of_scikit_learn_but_for_the_draw(parts):
    bundle, features, labels = parts
    theirs = permutation_importance(
        bundle.pipeline, features, labels, scoring="roc_auc", n_repeats=20, random_state=0
    )
    found = measured(parts)
    assert found["repeats"] == 3
    assert [name for name, _, _ in found["lost"]] == list(features.columns)
    assert [mean for _, mean, _ in found["lost"]] == pytest.approx(theirs.importances_mean, abs=0.03)


def test_a_loss_counts_the_other_way_round(parts):
    found = {name: mean for name, mean, _ in measured(parts, "log_loss")["lost"]}
    assert found["age"] > 0.02


def test_batches_change_nothing(parts, monkeypatch):
    whole = measured(parts)
    monkeypatch.setattr(module, "MOST_CELLS", 1)
    for ours, theirs in zip(whole["lost"], measured(parts)["lost"], strict=True):
        assert ours[0] == theirs[0]
        assert ours[1:] == pytest.approx(theirs[1:], abs=1e-12)


def test_rows_shuffles_and_calls_are_bounded(parts, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 30)
    monkeypatch.setattr(module, "MOST_SHUFFLES", 12)
    monkeypatch.setattr(module, "MOST_CELLS", 30 * 5 * 4)
    asked: list[int] = []
    real = module.answer
    monkeypatch.setattr(
        module, "answer", lambda pipeline, rows: asked.append(len(rows)) or real(pipeline, rows)
    )
    assert measured(parts)["repeats"] == 2  # twelve shuffles over five features
    assert asked == [30, 120, 120, 60]


def test_the_frame_that_is_answered_has_the_types_of_the_features(parts, monkeypatch):
    types: list[pd.Series] = []
    real = module.answer
    monkeypatch.setattr(
        module, "answer", lambda pipeline, rows: types.append(rows.dtypes) or real(pipeline, rows)
    )
    measured(parts)
    assert all(one.equals(types[0]) for one in types)


def test_rows_that_do_not_define_the_metric_have_none(parts):
    bundle, features, labels = parts
    assert measured((bundle, features[~labels], labels[~labels])) == {}
    assert importance_shares({}) == {}


def test_shares():
    found = {"lost": [["a", 0.3, 0.1], ["b", -0.2, 0.1], ["c", 0.1, 0.1]]}
    assert importance_shares(found) == pytest.approx({"a": 0.75, "b": 0.0, "c": 0.25})
    assert importance_shares({"lost": [["a", -0.1, 0.0], ["b", 0.0, 0.0]]}) == {"a": 0.0, "b": 0.0}
    tiny = importance_shares({"lost": [["a", np.nextafter(0, 1), 0.0]]})
    assert tiny == {"a": 1.0}
