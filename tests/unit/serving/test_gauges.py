from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from support.serving import make_plan
from support.serving_app import App
from windsock.exceptions import StorageError
from windsock.records import INSTALLATION, StoredBundle
from windsock.serving import files
from windsock.serving.gauge_files import FOLDER, gauges_text, keep_gauges
from windsock.serving.gauges import REQUEST, put_gauges, read_gauges
from windsock.serving.known_gauges import KNOWN, MOST_GAUGES, TIMESTAMP, UNREADABLE
from windsock.serving.strict_json import RequestRefusedError

PLUGINS = Path(__file__).parents[3] / "plugins"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SAID = {
    "gauges": [
        {"name": "data_drift_score", "labels": {"feature": "age"}, "value": 0.1},
        {"name": "data_drift_score", "labels": {"feature": "plan", "model": "churn"}, "value": 1},
        {"name": "ml_drift_ratio", "labels": {}, "value": 0.5},
        {"name": "ml_model_accuracy", "labels": {"model_version": "3"}, "value": 0.875},
        {"name": "ml_estimated_performance", "labels": {"metric": "roc_auc"}, "value": 0.8},
        {"name": "ml_realised_performance", "labels": {"metric": "roc_auc"}, "value": 0.75},
        {"name": "recommendation_ctr", "labels": {"variant": "champion"}, "value": -0.0},
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


def keep(folder: Path, said: Any, model: str = "churn", at: datetime = NOON) -> None:
    keep_gauges(folder, model, read_gauges(said, model), at)


def features(count: int) -> list[dict[str, Any]]:
    return [
        {"name": "data_drift_score", "labels": {"feature": f"f{number}"}, "value": 0.5}
        for number in range(count)
    ]


class TestInstallation:
    SAID: ClassVar = {
        "gauges": [
            {"name": "windsock_watchdog_last_look_timestamp_seconds", "value": 1.5e9},
            {"name": "windsock_alerts_firing", "labels": {"severity": "high"}, "value": 2},
        ]
    }

    def test_its_gauges_name_no_model_and_no_time_of_monitoring(self, tmp_path: Path) -> None:
        keep(tmp_path, self.SAID, INSTALLATION)
        assert samples(gauges_text(tmp_path)) == {
            ("windsock_watchdog_last_look_timestamp_seconds",): 1.5e9,
            ("windsock_alerts_firing", "high"): 2.0,
        }

    def test_a_model_and_the_installation_have_gauges_of_their_own(self) -> None:
        for said, model in ((SAID, INSTALLATION), (self.SAID, "churn")):
            with pytest.raises(RequestRefusedError, match="another name") as refused:
                read_gauges(said, model)
            assert refused.value.status == 422

    def test_a_file_that_names_another_models_gauges_counts_as_damaged(self, tmp_path: Path) -> None:
        keep(tmp_path, self.SAID, INSTALLATION)
        path = tmp_path / FOLDER / f"{INSTALLATION}.json"
        text = path.read_text()
        path.unlink()
        (tmp_path / FOLDER / "churn.json").write_text(text.replace(INSTALLATION, "churn"))
        assert samples(gauges_text(tmp_path)) == {(UNREADABLE,): 1.0}


class TestRead:
    def test_every_known_gauge(self) -> None:
        update = read_gauges(SAID, "churn")
        assert {gauge.name for gauge in update.gauges} == set(KNOWN) == update.names
        assert update.gauges[1].labels == {"feature": "plan"}

    def test_the_names_that_are_replaced(self) -> None:
        update = read_gauges(one() | {"names": ["ml_drift_ratio", "data_drift_score"]}, "churn")
        assert update.names == {"ml_drift_ratio", "data_drift_score"}
        assert [gauge.name for gauge in update.gauges] == ["ml_drift_ratio"]

    def test_the_example_of_the_documentation(self) -> None:
        content = REQUEST["requestBody"]["content"]["application/json"]
        update = read_gauges(content["example"], "churn")
        assert update.names == {"data_drift_score", "ml_drift_ratio"}
        assert content["schema"]["properties"].keys() == content["example"].keys()

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            (None, "body"),
            ([], "body"),
            ({}, "body"),
            ({"gauges": {}}, "gauges"),
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
            ({"names": ["ml_drift_ratio"]}, "body"),
            ({"gauges": [], "names": ["ml_drift_ratio"], "more": 1}, "body"),
            (one() | {"names": None}, "names"),
            (one() | {"names": "ml_drift_ratio"}, "names"),
            (one() | {"names": {"ml_drift_ratio": 1}}, "names"),
            (one() | {"names": []}, "names"),
            (one() | {"names": ["ml_drift_ratio"] * 2}, "names"),
            (one() | {"names": ["ml_drift_ratio"] * 1_000}, "names"),
            (one() | {"names": ["ml_drift_ratio", "ml_predictions_total"]}, "names[1]"),
            (one() | {"names": ["ml_drift_ratio", TIMESTAMP]}, "names[1]"),
            (one() | {"names": [["ml_drift_ratio"]]}, "names[0]"),
            (one() | {"names": [1]}, "names[0]"),
            (one() | {"names": ["\ud800"]}, "names[0]"),
            (one() | {"names": ["data_drift_score"]}, "gauges[0].name"),
            (SAID | {"names": ["data_drift_score"]}, "gauges[2].name"),
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

    def test_what_was_found_of_a_version_without_traffic_is_gone(self, tmp_path: Path) -> None:
        keep_gauges(tmp_path, "churn", read_gauges(SAID, "churn"), NOON)
        found = samples(gauges_text(tmp_path, {("churn", "4"), ("spend", "3")}))
        assert ("ml_model_accuracy", "churn", "3") not in found
        assert found["ml_realised_performance", "roc_auc", "churn"] == 0.75
        assert samples(gauges_text(tmp_path, {("churn", "3")}))["ml_model_accuracy", "churn", "3"] == 0.875

    def test_nothing_where_nothing_was_told(self, tmp_path: Path) -> None:
        assert gauges_text(tmp_path) == b""

    def test_a_set_replaces_the_one_before(self, tmp_path: Path) -> None:
        keep_gauges(tmp_path, "churn", read_gauges(SAID, "churn"), NOON)
        keep_gauges(tmp_path, "churn", read_gauges(one(value=0.25), "churn"), NOON)
        assert samples(gauges_text(tmp_path)) == {
            ("ml_drift_ratio", "churn"): 0.25,
            (TIMESTAMP, "churn"): NOON.timestamp(),
        }

    def test_gauges_of_other_names_stay(self, tmp_path: Path) -> None:
        keep(tmp_path, SAID)
        keep(tmp_path, one(), model="spend")
        before = samples(gauges_text(tmp_path))
        said = {"gauges": features(1), "names": ["data_drift_score", "recommendation_ctr"]}
        keep(tmp_path, said, at=NOON + timedelta(hours=1))
        gone = {
            ("data_drift_score", "age", "churn"),
            ("data_drift_score", "plan", "churn"),
            ("recommendation_ctr", "churn", "champion"),
        }
        assert gone <= before.keys()
        assert samples(gauges_text(tmp_path)) == {
            **{key: value for key, value in before.items() if key not in gone},
            ("data_drift_score", "f0", "churn"): 0.5,
            (TIMESTAMP, "churn"): NOON.timestamp() + 3600,
        }

    def test_a_name_without_gauges_is_cleared(self, tmp_path: Path) -> None:
        keep(tmp_path, one())
        keep(tmp_path, {"gauges": [], "names": ["ml_drift_ratio"]})
        assert samples(gauges_text(tmp_path)) == {(TIMESTAMP, "churn"): NOON.timestamp()}

    def test_those_that_stay_count_for_the_limit(self, tmp_path: Path) -> None:
        names = {"names": ["data_drift_score"]}
        keep(tmp_path, one())
        keep(tmp_path, {"gauges": features(MOST_GAUGES - 1), **names})
        before = gauges_text(tmp_path)
        with pytest.raises(RequestRefusedError, match="1,001 with those that stay") as refused:
            keep(tmp_path, {"gauges": features(MOST_GAUGES), **names})
        assert (refused.value.status, refused.value.code) == (422, "WS-SERVING-049")
        assert gauges_text(tmp_path) == before

    def test_names_told_by_several_processes_at_once_are_all_kept(self, tmp_path: Path) -> None:
        """Each tells its own name again and again, and nobody takes away what it has told."""
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from datetime import UTC, datetime; from pathlib import Path\n"
            "from windsock.serving.gauge_files import FOLDER, keep_gauges, read_files\n"
            "from windsock.serving.gauges import read_gauges\n"
            "folder, name, lost = Path(sys.argv[2]), sys.argv[3], 0\n"
            "print('here', flush=True); sys.stdin.readline()\n"
            "for number in range(50):\n"
            "    labels = {'variant': 'champion'} if name == 'recommendation_ctr' else {}\n"
            "    one = {'name': name, 'labels': labels, 'value': number}\n"
            "    said = {'names': [name], 'gauges': [one]}\n"
            "    keep_gauges(folder, 'churn', read_gauges(said, 'churn'), datetime.now(UTC))\n"
            "    (file,), _ = read_files(folder / FOLDER)\n"
            "    lost += [gauge.value for gauge in file.gauges if gauge.name == name] != [number]\n"
            "print(lost)"
        )
        told = ("ml_drift_ratio", "recommendation_ctr")
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(PLUGINS), str(tmp_path), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in told
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "here\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        assert [worker.communicate(timeout=60)[0] for worker in workers] == ["0\n", "0\n"]
        found = samples(gauges_text(tmp_path))
        assert found["ml_drift_ratio", "churn"] == found["recommendation_ctr", "churn", "champion"] == 49

    def test_an_update_mends_a_damaged_file(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / FOLDER).mkdir()
        (tmp_path / FOLDER / "churn.json").write_bytes(b"{")
        keep(tmp_path, one() | {"names": ["ml_drift_ratio"]})
        assert samples(gauges_text(tmp_path)).keys() == {("ml_drift_ratio", "churn"), (TIMESTAMP, "churn")}
        assert "churn.json is damaged" in caplog.text

    def test_a_file_that_cannot_be_read_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / FOLDER / "churn.json").mkdir(parents=True)
        with pytest.raises(StorageError, match="cannot read"):
            keep(tmp_path, one() | {"names": ["ml_drift_ratio"]})
        assert (tmp_path / FOLDER / "churn.json").is_dir()

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
        assert sorted(os.listdir(tmp_path / FOLDER)) == ["churn.json", "churn.lock"]


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

    def test_calls_at_the_same_time_lose_nothing(self, app: App, stored: dict[str, StoredBundle]) -> None:
        assert app.put(make_plan(stored["first"])).status_code == 200

        async def tell(name: str) -> None:
            gauge = {"name": name, "labels": dict.fromkeys(KNOWN[name].labels, "x"), "value": 1}
            body = json.dumps({"names": [name], "gauges": [gauge]}).encode()
            await put_gauges(app.service, "churn", body)

        async def tell_all() -> None:
            await asyncio.gather(*[tell(name) for name in KNOWN])

        asyncio.run(tell_all())
        found = samples(gauges_text(app.settings.serving_dir))
        assert {key[0] for key in found} == {*KNOWN, TIMESTAMP}

    def test_the_admin_call_takes_names_and_refuses_others(
        self, app: App, stored: dict[str, StoredBundle]
    ) -> None:
        assert app.put(make_plan(stored["first"])).status_code == 200
        for body in (SAID, one(value=0.25) | {"names": ["ml_drift_ratio"]}):
            answer = app.client.put("/admin/gauges/churn", json=body, headers=app.admin)
            assert answer.status_code == 200
        refused = one(value=0.75) | {"names": ["data_drift_score"]}
        answer = app.client.put("/admin/gauges/churn", json=refused, headers=app.admin)
        assert (answer.status_code, answer.json()["code"]) == (422, "WS-SERVING-049")
        found = samples(gauges_text(app.settings.serving_dir))
        assert (found["ml_drift_ratio", "churn"], len(found)) == (0.25, 7 + 1)
