"""Rows of one content from two sources: card, evidence and log say the one that was read in the run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from support.builders import make_spec
from support.fakes import fake_ports
from support.pipeline import retrain
from windsock.adapters.snapshot_store import ParquetSnapshotStore
from windsock.adapters.sources import SourceReaders
from windsock.adapters.storage import Storage
from windsock.ports import Ports

ROWS = 400
FILE, TABLE = "file: d.csv", "sql: shop/customers"


def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    age, calls = random.integers(20, 80, ROWS), random.poisson(2, ROWS)
    odds = 1 / (1 + np.exp(-(0.08 * (age - 50) + 1.2 * (calls - 2))))
    churned = np.where(random.random(ROWS) < odds, "yes", "no")
    return pd.DataFrame({"age": age, "calls": calls, "churned": churned})


@pytest.fixture
def ports(tmp_path: Path) -> Ports:
    frame().to_csv(tmp_path / "d.csv", index=False)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    frame().to_sql("customers", engine, index=False)
    engine.dispose()
    return replace(
        fake_ports(sources=SourceReaders((tmp_path,), {"shop": f"sqlite:///{tmp_path}/shop.db"}.__getitem__)),
        snapshots=ParquetSnapshotStore(Storage(str(tmp_path / "storage"))),
    )


def run(ports: Ports, source: Any) -> dict[str, Any]:
    spec = make_spec(
        data={"source": source, "entity": None},
        training={"candidates": [{"estimator": "logistic_regression"}]},
        gate={"latency_ms": 1000},
    )
    return {name: result.record for name, result in retrain(ports, spec, nonce=str(source)).items()}


@pytest.mark.parametrize("first", ["d.csv", "sql://shop/customers"])
def test_the_source_that_was_read_in_the_run_is_the_one_that_is_told(ports: Ports, first: str) -> None:
    second = "sql://shop/customers" if first == "d.csv" else "d.csv"
    names = {"d.csv": FILE, "sql://shop/customers": TABLE}
    runs = {source: run(ports, source) for source in (first, second)}
    one, other = (runs[source]["take_snapshot"] for source in (first, second))
    assert (one.digest, one.uri, one.taken_at) == (other.digest, other.uri, other.taken_at)
    for source, records in runs.items():
        wrong = (set(names.values()) - {names[source]}).pop()
        card = records["evaluate_model"].card.training_data_description
        assert names[source] in card
        assert wrong not in card
        if "register_model" in records:
            pack = ports.bundles.documents[records["register_model"].evidence_uri]
            told = json.loads(pack)["model_card"]["training_data_description"]
            assert names[source] in told
            assert wrong not in told
    stored = ports.snapshots.find(one.model, one.digest)
    assert stored is not None
    assert stored.source == names[first]
