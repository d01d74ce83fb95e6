"""Every built-in estimator through the real bundle store: signed, verified, the same answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.fakes import fake_ports
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.signing import create_keys
from windsock.adapters.storage import Storage
from windsock.records import ColumnKind, ColumnRole
from windsock.spec.registries import ESTIMATORS
from windsock.training import train_model as module

PAIRS = [(name, task) for name, tasks in ESTIMATORS.items() for task in tasks]


@pytest.fixture
def ports(tmp_path: Any) -> Any:
    create_keys(tmp_path / "keys")
    return fake_ports(bundles=SignedBundleStore(Storage(str(tmp_path / "storage")), tmp_path / "keys"))


@pytest.mark.parametrize(("name", "task"), [*PAIRS, ("hist_gradient_boosting", "multiclass")])
def test_it_is_stored_found_and_judged(world, typed_rows, ports, name, task, monkeypatch):
    frame, how = typed_rows(), {}
    if task == "regression":
        frame = frame.assign(churned=10 * frame["age"].fillna(45) + np.arange(600) % 7)
        how = {"kinds": {"churned": ColumnKind.NUMBER}, "model": {"name": "churn", "task": "regression"}}
    if task == "multiclass":
        ages = pd.cut(frame["age"].fillna(45), [-np.inf, 38, 52, np.inf], labels=["young", "mid", "old"])
        frame, how = frame.assign(churned=ages.astype(str)), {"kinds": {"churned": ColumnKind.CATEGORY}}
    world = world(frame, ports=ports, **how)
    first = world.train(name, key="a" * 64)
    monkeypatch.setattr(module, "search", None)  # a second fit would fail
    second = world.train(name, key="a" * 64)
    assert first.model_dump(exclude={"fit_seconds"}) == second.model_dump(exclude={"fit_seconds"})
    assert world.evaluate(second).baseline.value > 0.2


def test_a_bundle_holds_the_profile_and_what_training_found_out(world, ports):
    trained = world(ports=ports).train(key="b" * 64)
    manifest = ports.bundles.load(trained.bundle_uri, trained.bundle_digest).manifest
    assert "profile.json" in manifest.files
    assert manifest.facts["cross_validation"]["folds"] == list(trained.cross_validation.folds)
    assert manifest.facts["params"] == trained.params


def test_dates_and_roles_survive(world, ports):
    trained = world(ports=ports, roles={"gender": ColumnRole.FEATURE}).train("random_forest", key="c" * 64)
    loaded = ports.bundles.load(trained.bundle_uri, trained.bundle_digest)
    assert "windsock.training.preprocessing.DateParts" in loaded.manifest.types
    assert "gender" not in [field.name for field in loaded.schema.fields]
