from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from support.serving import make_plan
from support.serving_app import App
from windsock.exceptions import StorageError
from windsock.records import StoredBundle
from windsock.serving import files
from windsock.serving.gauges import (
    FOLDER,
    KNOWN,
    TIMESTAMP,
    UNREADABLE,
    gauges_text,
    keep_gauges,
    put_gauges,
    read_gauges,
)
from windsock.serving.strict_json import RequestRefusedError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SAID = {
    "gauges": [
        {"name": "data_drift_score", "labels": {"feature": "age"}, "value": 0.1},
        {"name": "data_drift_score", "labels": {"feature": "plan", "model": "churn"}, "value": 1},
        {"name": "ml_drift_ratio", "labels": {}, "value": 0.5},
        {"name": "ml_model_accuracy", "labels": {"model_version": "3"}, "value": 0.875},
        {"name": "ml_estimated_performance", "labels": {"metric": "roc_auc"}, "value": 0.8},
        {"name": "ml_realised_performance", "labels": {"metric": "roc_auc"}, "value": 0.75},
        {"name": "recommendation_ctr", "value": -0.0},
    ]
}


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    """Return samples by name and label values, as Prometheus reads them."""
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def one(**changed: Any) -> dict[str, Any]:
    return {"gauges": [{"name": "ml_drift_ratio", "labels": {}, "value": 1, **changed}]}


class TestRead:
    def test_every_known_gauge(self) -> None:
        gauges = read_gauges(SAID, "churn")
        assert {gauge.name for gauge in gauges} == set(KNOWN)
        assert gauges[1].labels == {"feature": "plan"}

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            (None, "body"),
            ([], "body"),
            ({}, "body"),
            ({"gauges": {}}, "body"),
            ({"gauges": [], "more": 1}, "body"),
            ({"gauges": [3]}, "gauges[0]"),
            ({"gauges": [{"name": "ml_drift_ratio"}]}, "gauges[0]"),
            (one(more=1), "gauges[0]"),
            (one(name="ml_predictions_total"), "gauges[0].name"),
            (one(name=["ml_drift_ratio"]), "gauges[0].name"),
            (one(labels=[]), "gauges[0].labels"),
            (one(labels={"feature": "age"}), "gauges[0].labels"),
            (one(name="data_drift_score"), "gauges[0].labels"),
            (one(name="data_drift_score", labels={"feature": 1}), "gauges[0].labels.feature"),
            (one(name="data_drift_score", labels={"feature": ""}), "gauges[0].labels.feature"),
            (one(name="data_drift_score", labels={"feature": "x" * 201}), "gauges[0].labels.feature"),
            (one(name="data_drift_score", labels={"feature": "\ud800"}), "gauges[0].labels.feature"),
            (one(labels={"model": "spend"}), "gauges[0].labels.model"),
            (one(value=None), "gauges[0].value"),
            (one(value="1"), "gauges[0].value"),
            (one(value=True), "gauges[0].value"),
            (one(value=float("inf")), "gauges[0].value"),
            (one(value=float("nan")), "gauges[0].value"),
            (one(value=10**400), "gauges[0].value"),
            ({"gauges": [*one()["gauges"], *one()["gauges"]]}, "gauges"),
            ({"gauges": [{}] * 1_001}, "gauges"),
        ],
    )
    def test_what_is_refused(self, said: Any, field: str) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read_gauges(said, "churn")
        assert refused.value.faults[0].field == field
        assert (refused.value.status, refused.value.code) == (422, "WS-SERVING-049")


class TestText:
    def test_gauges_of_all_models(self, tmp_path: Path) -> None:
        keep_gauges(tmp_path, "churn", read_gauges(SAID, "churn"), NOON)
        keep_gauges(tmp_path, "spend", read_gauges(one(), "spend"), NOON)
        found = samples(gauges_text(tmp_path))
        assert found[TIMESTAMP, "churn"] == NOON.timestamp()
        assert found["data_drift_score", "age", "churn"] == 0.1
        assert found["ml_model_accuracy", "churn", "3"] == 0.875
        assert found["ml_realised_performance", "roc_auc", "churn"] == 0.75
        assert found["ml_drift_ratio", "spend"] == 1
        assert len(found) == 7 + 1 + 2

    def test_nothing_where_nothing_was_told(self, tmp_path: Path) -> None:
        assert gauges_text(tmp_path) == b""

    def test_a_set_replaces_the_one_before(self, tmp_path: Path) -> None:
        keep_gauges(tmp_path, "churn", read_gauges(SAID, "churn"), NOON)
        keep_gauges(tmp_path, "churn", read_gauges(one(value=0.25), "churn"), NOON)
        assert samples(gauges_text(tmp_path)) == {
            ("ml_drift_ratio", "churn"): 0.25,
            (TIMESTAMP, "churn"): NOON.timestamp(),
        }

    @given(st.text(min_size=1, max_size=20), st.floats(allow_nan=False, allow_infinity=False))
    def test_labels_and_values_come_back_as_they_were(
        self, tmp_path_factory: pytest.TempPathFactory, text: str, value: float
    ) -> None:
        folder = tmp_path_factory.mktemp("state")
        said = one(name="data_drift_score", labels={"feature": text}, value=value)
        try:
            gauges = read_gauges(said, "churn")
        except RequestRefusedError:
            assert not text.isprintable()
            return
        keep_gauges(folder, "churn", gauges, NOON)
        seen = gauges_text(folder)
        assert samples(seen)["data_drift_score", text, "churn"] == value
        assert seen.count(b"\n") == 6

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"\xff",
            b'{"model": "other", "at": 1, "gauges": []}',
            b'{"model": "bad", "at": 1, "gauges": [{"name": "evil 1\\n", "labels": {}, "value": 1}]}',
            (
                b'{"model": "bad", "at": 1, "gauges": [{"name": "ml_drift_ratio", "labels": {"x": ""}, '
                b'"value": 1}]}'
            ),
            b'{"model": "bad", "at": 1, "gauges": ['
            + b'{"name": "ml_drift_ratio", "labels": {}, "value": 1},' * 2
            + b'{"name": "ml_drift_ratio", "labels": {}, "value": 1}]}',
            b" " * (5 * 1024 * 1024),
        ],
    )
    def test_a_damaged_file_is_left_out_and_counted(self, tmp_path: Path, content: bytes) -> None:
        keep_gauges(tmp_path, "churn", read_gauges(one(), "churn"), NOON)
        (tmp_path / FOLDER / "bad.json").write_bytes(content)
        found = samples(gauges_text(tmp_path))
        assert found[(UNREADABLE,)] == 1
        assert found["ml_drift_ratio", "churn"] == 1
        assert len(found) == 3

    def test_a_write_that_fails_leaves_what_was_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep_gauges(tmp_path, "churn", read_gauges(SAID, "churn"), NOON)
        before = gauges_text(tmp_path)

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(files.os, "replace", full)
        with pytest.raises(StorageError):
            keep_gauges(tmp_path, "churn", read_gauges(one(), "churn"), NOON)
        monkeypatch.undo()
        assert gauges_text(tmp_path) == before
        assert os.listdir(tmp_path / FOLDER) == ["churn.json"]


class TestPut:
    def test_a_served_models_gauges_are_kept(self, app: App, stored: dict[str, StoredBundle]) -> None:
        assert app.put(make_plan(stored["first"])).status_code == 200
        said = asyncio.run(put_gauges(app.service, "churn", json.dumps(SAID).encode()))
        assert said == {"model": "churn", "gauges": 7}
        assert samples(gauges_text(app.settings.serving_dir))["ml_drift_ratio", "churn"] == 0.5

    @pytest.mark.parametrize("name", ["other", "../churn", "churn/..", ""])
    def test_a_name_that_is_not_served_writes_nothing(
        self, app: App, stored: dict[str, StoredBundle], name: str
    ) -> None:
        assert app.put(make_plan(stored["first"])).status_code == 200
        with pytest.raises(RequestRefusedError) as refused:
            asyncio.run(put_gauges(app.service, name, json.dumps(SAID).encode()))
        assert refused.value.status == 404
        assert not (app.settings.serving_dir / FOLDER).exists()
