"""The server asked by clients that were written for other servers: MLflow's own two, and Triton's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pandas as pd
import pytest

from support.serving import (
    ROW,
    Server,
    make_bundle,
    make_plan,
    make_settings,
    running,
    store_bundle,
)

pytestmark = pytest.mark.slow

ROWS = [{**ROW, "age": age, "plan": plan} for age, plan in ((20.5, "basic"), (50.0, "pro"), (80.0, "Zoë"))]
FRAME = pd.DataFrame(ROWS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one model with text labels."""
    settings = make_settings(tmp_path_factory.mktemp("home"))
    stored = store_bundle(settings, make_bundle(answer="three"))
    with running(settings) as made:
        put(made, make_plan(stored))
        yield made


def put(server: Server, plan: Any) -> None:
    answer = httpx.put(
        f"{server.address}/admin/routes/{plan.model}",
        content=plan.model_dump_json(),
        headers={"Authorization": f"Bearer {server.settings.read_admin_token()}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def own(server: Server) -> list[dict[str, Any]]:
    """The answers of our own protocol."""
    answer = httpx.post(f"{server.address}/predict", json={"features": ROWS})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["predictions"])


@pytest.fixture(scope="module")
def labels(own: list[dict[str, Any]]) -> list[str]:
    found = [row["prediction"] for row in own]
    assert len(set(found)) > 1, "the rows must tell the labels apart"
    return found


class TestMlflow:
    @pytest.fixture
    def scoring(self, server: Server) -> Any:
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient

        parts = urlsplit(server.address)
        return ScoringServerClient(parts.hostname, parts.port)

    def test_the_scoring_client(self, scoring: Any, labels: list[str]) -> None:
        import mlflow

        scoring.ping()
        scoring.wait_server_ready(timeout=5)
        assert scoring.get_version() == mlflow.__version__
        assert scoring.invoke(FRAME).get_predictions("ndarray").tolist() == labels
        assert scoring.invoke(ROWS).get_predictions()[0].tolist() == labels
        assert scoring.invoke(FRAME.to_numpy(), params={"unit": "u"})["predictions"] == labels

    def test_what_pandas_writes_for_what_is_missing(self, scoring: Any, server: Server) -> None:
        frame = pd.DataFrame({**FRAME, "joined": pd.to_datetime(FRAME["joined"]).dt.tz_localize(None)})
        frame.loc[0, ["age", "plan", "joined"]] = None
        rows = [{**ROWS[0], "age": None, "plan": None, "joined": None}, *ROWS[1:]]
        said = httpx.post(f"{server.address}/predict", json={"features": rows}).json()["predictions"]
        assert scoring.invoke(frame)["predictions"] == [row["prediction"] for row in said]

    def test_a_fault(self, scoring: Any) -> None:
        with pytest.raises(Exception, match=r"error code 400.*BAD_REQUEST.*features\[0\].age: got text"):
            scoring.invoke([{**ROW, "age": "s3cret"}])

    def test_the_deployments_client(self, server: Server, labels: list[str]) -> None:
        from mlflow.deployments import get_deploy_client
        from mlflow.exceptions import MlflowException
        from requests import HTTPError

        client = get_deploy_client(server.address)
        said = client.predict(endpoint="churn", inputs={"dataframe_split": FRAME.to_dict(orient="split")})
        assert said == {"predictions": labels}
        with pytest.raises((HTTPError, MlflowException), match="404"):
            client.predict(endpoint="other", inputs={"inputs": ROWS})

    def test_csv_as_pandas_writes_it(self, server: Server, labels: list[str]) -> None:
        answer = httpx.post(
            f"{server.address}/invocations",
            content=FRAME.to_csv(index=False),
            headers={"Content-Type": "text/csv", "Accept": "text/csv"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.text.splitlines() == labels


class TestTriton:
    @pytest.fixture
    def client(self, server: Server) -> Iterator[Any]:
        from tritonclient.http import InferenceServerClient

        made = InferenceServerClient(urlsplit(server.address).netloc)
        yield made
        made.close()

    def columns(self, *, binary: bool) -> list[Any]:
        from tritonclient.http import InferInput
        from tritonclient.utils import np_to_triton_dtype

        made = []
        for name, column in FRAME.items():
            kind = object if pd.api.types.is_string_dtype(column) else column.dtype
            values = column.to_numpy(dtype=kind)
            tensor = InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
            tensor.set_data_from_numpy(values, binary_data=binary)
            made.append(tensor)
        return made

    def test_health_and_metadata(self, client: Any) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("churn")
        assert client.is_model_ready("churn", "1")
        assert not client.is_model_ready("churn", "2")
        assert not client.is_model_ready("other")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        said = client.get_model_metadata("churn")
        assert [one["name"] for one in said["inputs"]] == list(ROW)
        assert said["versions"] == ["1"]

    @pytest.mark.parametrize("binary_in", [True, False])
    @pytest.mark.parametrize("binary_out", [True, False])
    def test_predictions(
        self, client: Any, own: list[dict[str, Any]], *, binary_in: bool, binary_out: bool
    ) -> None:
        from tritonclient.http import InferRequestedOutput

        names = ("prediction", "probabilities", "prediction_id", "version")
        wanted = [InferRequestedOutput(name, binary_data=binary_out) for name in names]
        result = client.infer("churn", self.columns(binary=binary_in), outputs=wanted, request_id="r-1")
        assert result.get_response()["id"] == "r-1"
        texts = {
            name: [
                text.decode() if isinstance(text, bytes) else text for text in result.as_numpy(name).tolist()
            ]
            for name in ("prediction", "prediction_id", "version")
        }
        assert texts["prediction"] == [row["prediction"] for row in own]
        assert len(set(texts["prediction_id"])) == 3
        assert texts["version"] == ["1", "1", "1"]
        expected = np.array([list(row["probabilities"].values()) for row in own])
        np.testing.assert_array_equal(result.as_numpy("probabilities"), expected)

    def test_without_a_word_on_outputs_all_come_as_binary_data(self, client: Any) -> None:
        result = client.infer("churn", self.columns(binary=True), model_version="1", parameters={"unit": "u"})
        outputs = result.get_response()["outputs"]
        assert all("binary_data_size" in output["parameters"] for output in outputs)
        assert result.as_numpy("prediction").shape == (3,)

    def test_faults(self, client: Any) -> None:
        from tritonclient.utils import InferenceServerException

        with pytest.raises(InferenceServerException, match=r"\[404\]"):
            client.infer("churn", self.columns(binary=True), model_version="7")
        with pytest.raises(InferenceServerException, match=r"\[400\] features\[0\].age: got nothing"):
            client.infer("churn", self.columns(binary=True)[1:])
        with pytest.raises(InferenceServerException, match=r"\[415\]"):
            client.infer("churn", self.columns(binary=True), request_compression_algorithm="gzip")

    def test_many_at_once(self, server: Server, labels: list[str]) -> None:
        from tritonclient.http import InferenceServerClient

        asking = InferenceServerClient(urlsplit(server.address).netloc, concurrency=4)
        waiting = [asking.async_infer("churn", self.columns(binary=True)) for _ in range(20)]
        for one in waiting:
            said = one.get_result().as_numpy("prediction").tolist()
            assert [text.decode() for text in said] == labels
        asking.close()


def test_every_answer_stands_in_the_log_whatever_the_protocol(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    stored = store_bundle(settings, make_bundle())
    with running(settings) as server:
        put(server, make_plan(stored))
        httpx.post(f"{server.address}/predict", json={"features": ROWS, "unit": "own-u"}).raise_for_status()
        httpx.post(
            f"{server.address}/invocations", json={"inputs": ROWS, "params": {"unit": "mlflow-u"}}
        ).raise_for_status()
        tensors = [
            {"name": name, "shape": [3], "datatype": kind, "data": [row[name] for row in ROWS]}
            for name, kind in zip(ROW, ("FP64", "INT64", "BYTES", "BYTES", "BYTES"), strict=True)
        ]
        httpx.post(
            f"{server.address}/v2/models/churn/infer",
            json={"inputs": tensors, "parameters": {"unit": "triton-u"}},
        ).raise_for_status()
        counted = httpx.get(f"{server.address}/metrics").text
        assert server.stop() == 0
    (total,) = (line for line in counted.splitlines() if line.startswith("ml_predictions_total{"))
    assert float(total.rpartition(" ")[2]) == 9
    said = "".join(file.read_text() for file in (settings.serving_dir / "log").rglob("*.ndjson"))
    assert [said.count(json.dumps(unit)) for unit in ("own-u", "mlflow-u", "triton-u")] == [3, 3, 3]
