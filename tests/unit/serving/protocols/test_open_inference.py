from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.hostile import HOSTILE
from support.serving import FIELDS, ROW
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.serving.protocols.inference_answer import describe_outputs
from windsock.serving.protocols.inference_request import read_inference
from windsock.serving.strict_json import RequestRefusedError

SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.CLASS, classes=(False, True), positive=True)
NUMBERS = InputSchema(
    model="churn",
    fields=(
        InputField(name="age", kind=ColumnKind.NUMBER),
        InputField(name="visits", kind=ColumnKind.INTEGER),
    ),
    answer=Answer.NUMBER,
)
OUTPUTS = ["prediction", "probabilities", "score", "prediction_id", "version"]
ROWS = [{**ROW, "age": age} for age in (20.5, 50.0)]
INFER = "/v2/models/churn/infer"


def tensor(name: str, data: list[Any], datatype: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data, **more}


def inputs(rows: list[dict[str, Any]] = ROWS) -> list[dict[str, Any]]:
    datatypes = {"age": "FP64", "visits": "INT64", "member": "BYTES", "plan": "BYTES", "joined": "BYTES"}
    return [tensor(name, [row[name] for row in rows], kind) for name, kind in datatypes.items()]


def read(said: Any, *, schema: InputSchema = SCHEMA, tail: bytes = b"", length: str | None = None) -> Any:
    return read_inference(json.dumps(said).encode() + tail, length, schema, OUTPUTS)


class TestRequest:
    def test_one_tensor_for_each_field(self) -> None:
        asked = read({"id": "r", "inputs": inputs(), "parameters": {"content_type": "pd"}})
        assert asked.asked.rows == ROWS
        assert asked.identifier == "r"
        assert asked.outputs == dict.fromkeys(OUTPUTS, False)

    def test_a_column_may_be_a_matrix_of_one(self) -> None:
        given_inputs = inputs()
        given_inputs[0] |= {"shape": [2, 1], "data": [[20.5], [50.0]]}
        assert read({"inputs": given_inputs}).asked.rows == ROWS

    def test_one_matrix_while_all_fields_are_numbers(self) -> None:
        matrix = {"name": "input-0", "shape": [2, 2], "datatype": "FP32", "data": [[1.5, 2], [None, 3]]}
        rows = read({"inputs": [matrix]}, schema=NUMBERS).asked.rows
        assert rows == [{"age": 1.5, "visits": 2}, {"age": None, "visits": 3}]
        for wrong in (matrix | {"shape": [4], "data": [1] * 4}, matrix | {"shape": [2, 1], "data": [1, 2]}):
            with pytest.raises(RequestRefusedError):
                read({"inputs": [wrong]}, schema=NUMBERS)

    def test_binary_data_follows_in_the_order_of_the_tensors(self) -> None:
        said = {
            "inputs": [
                {"name": "a", "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": 16}},
                tensor("b", ["x", None], "BYTES"),
                {"name": "c", "shape": [2], "datatype": "BOOL", "parameters": {"binary_data_size": 2}},
            ]
        }
        tail = struct.pack("<2d", 1.5, math.nan) + b"\x01\x00"
        length = str(len(json.dumps(said)))
        rows = read(said, tail=tail, length=length).asked.rows
        assert rows == [{"a": 1.5, "b": "x", "c": True}, {"a": None, "b": None, "c": False}]
        with pytest.raises(RequestRefusedError, match="more binary data"):
            read(said, tail=tail + b"\x00", length=length)
        with pytest.raises(RequestRefusedError):
            read(said, tail=tail[:-1], length=length)

    @pytest.mark.parametrize("length", ["", "-1", "1e3", "99999", "9" * 30, "٣", "0x10"])
    def test_the_length_of_the_json_part(self, length: str) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read({"inputs": inputs()}, length=length)
        assert refused.value.faults[0].field == "Inference-Header-Content-Length"

    def test_units_and_ids(self) -> None:
        extra = [tensor("unit", ["u", None], "BYTES"), tensor("prediction_id", ["a", "b"], "BYTES")]
        asked = read({"inputs": [*inputs(), *extra]}).asked
        assert (asked.units, asked.ids) == (["u", None], ["a", "b"])
        assert asked.rows == ROWS
        assert read({"inputs": inputs(), "parameters": {"unit": "u"}}).asked.units == ["u", "u"]

    def test_a_field_of_that_name_is_a_field(self) -> None:
        schema = NUMBERS.model_copy(
            update={"fields": (*NUMBERS.fields, InputField(name="unit", kind=ColumnKind.CATEGORY))}
        )
        asked = read({"inputs": [tensor("unit", ["a"], "BYTES")]}, schema=schema).asked
        assert (asked.rows, asked.units) == ([{"unit": "a"}], None)

    def test_outputs_by_name(self) -> None:
        wanted = [{"name": "score"}, {"name": "prediction", "parameters": {"binary_data": True}}]
        assert read({"inputs": inputs(), "outputs": wanted}).outputs == {"score": False, "prediction": True}
        said = {"inputs": inputs(), "outputs": [], "parameters": {"binary_data_output": True}}
        assert read(said).outputs == dict.fromkeys(OUTPUTS, True)

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"inputs": []},
            {"inputs": {}},
            {"inputs": [1]},
            {"inputs": [tensor(f"f{number}", [1], "FP64") for number in range(8)]},
            {"inputs": [tensor("age", [1], "FP64"), tensor("age", [1], "FP64")]},
            {"inputs": [tensor("age", [1], "FP64"), tensor("visits", [1, 2], "INT64")]},
            {"inputs": [tensor("unit", ["u"], "BYTES")]},
            {"inputs": [tensor("input", [1, 2], "FP64", shape=[1, 2])]},
            {"inputs": [tensor("age", [1], "FP64"), tensor("unit", [1], "INT64")]},
            {"inputs": [tensor("age", [1], "FP64"), tensor("unit", ["u", "v"], "BYTES")]},
            {"inputs": [tensor("age", [1, 2], "FP64"), tensor("prediction_id", ["a", "a"], "BYTES")]},
            {"inputs": inputs(), "id": 7},
            {"inputs": inputs(), "id": "x" * 201},
            {"inputs": inputs(), "id": "a\r\nb"},
            {"inputs": inputs(), "parameters": [1]},
            {"inputs": inputs(), "parameters": {"unit": 1}},
            {"inputs": inputs(), "outputs": {}},
            {"inputs": inputs(), "outputs": [1]},
            {"inputs": inputs(), "outputs": [{"name": "other"}]},
            {"inputs": inputs(), "outputs": [{"name": "score"}, {"name": "score"}]},
            {"inputs": inputs(), "outputs": [{"name": "score"}] * 6},
            {"inputs": inputs(), "outputs": [{"name": "score", "parameters": {"classification": 3}}]},
            {"inputs": inputs(), "outputs": [{"name": "score", "parameters": {"binary_data": 1}}]},
            {"inputs": inputs(), "outputs": [{"name": "score", "parameters": 1}]},
        ],
    )
    def test_what_is_refused(self, said: Any) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read(said)
        assert (refused.value.status, refused.value.code) == (400, "WS-SERVING-044")


@pytest.mark.parametrize(
    ("classes", "datatype"),
    [
        ((False, True), "BOOL"),
        (("a", "b"), "BYTES"),
        ((1, 2), "INT64"),
        ((1.5, 2.5), "FP64"),
        ((1, 2.5), "BYTES"),
        ((1, "a"), "BYTES"),
        ((1, True), "BYTES"),
        ((1, 2**63), "BYTES"),
    ],
)
def test_a_datatype_holds_the_labels_without_loss(classes: Any, datatype: str) -> None:
    schema = SCHEMA.model_copy(update={"classes": classes})
    assert describe_outputs(schema)[0]["datatype"] == datatype


@settings(max_examples=300, deadline=None)
@given(
    head=st.binary(max_size=30) | st.just(json.dumps({"inputs": inputs()}).encode()),
    tail=st.binary(max_size=30),
    length=st.none() | st.integers(-5, 700).map(str) | st.text(max_size=3),
)
def test_no_bytes_are_more_than_refused(head: bytes, tail: bytes, length: str | None) -> None:
    try:
        asked = read_inference(head + tail, length, SCHEMA, OUTPUTS)
    except RequestRefusedError:
        return
    assert asked.asked.rows == ROWS


@pytest.fixture
def serving(serve: Any) -> Any:
    return serve("first")


class TestInfer:
    def ask(self, app: Any, **more: Any) -> Any:
        return app.client.post(INFER, json={"inputs": inputs(), **more})

    @pytest.mark.parametrize(
        ("bundle", "datatype"), [("first", "BOOL"), ("three", "BYTES"), ("number", "FP64")]
    )
    def test_answers_are_those_of_our_own_protocol(self, serve: Any, bundle: str, datatype: str) -> None:
        app = serve(bundle)
        own = app.client.post("/predict", json={"features": ROWS}).json()["predictions"]
        answer = self.ask(app, id="r1")
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert (said["id"], said["model_name"], said["model_version"]) == ("r1", "churn", "1")
        outputs = {output["name"]: output for output in said["outputs"]}
        assert outputs["prediction"]["datatype"] == datatype
        assert outputs["prediction"]["data"] == [row["prediction"] for row in own]
        assert outputs["version"]["data"] == ["1", "1"]
        assert len(set(outputs["prediction_id"]["data"])) == 2
        if bundle != "number":
            flat = [value for row in own for value in row["probabilities"].values()]
            assert outputs["probabilities"]["data"] == flat
            assert outputs["probabilities"]["shape"] == [2, len(flat) // 2]
        assert ("score" in outputs) == (bundle != "three")

    def test_binary_answers(self, serve: Any) -> None:
        app = serve("first")
        wanted = [{"name": "score", "parameters": {"binary_data": True}}, {"name": "prediction"}]
        answer = self.ask(app, outputs=wanted)
        size = int(answer.headers["Inference-Header-Content-Length"])
        said = json.loads(answer.content[:size])
        assert said["outputs"][0]["parameters"] == {"binary_data_size": 16}
        scores = struct.unpack("<2d", answer.content[size:])
        own = app.client.post("/predict", json={"features": ROWS}).json()["predictions"]
        assert list(scores) == [row["score"] for row in own]

    def test_the_version_that_answers_may_be_named(self, serve: Any) -> None:
        app = serve("first", "second")
        path = "/v2/models/churn/versions/{}/infer"
        assert app.client.post(path.format(2), json={"inputs": inputs()}).status_code == 200
        for version in ("1", "9", "%20"):
            refused = app.client.post(path.format(version), json={"inputs": inputs()})
            assert (refused.status_code, refused.json()["code"]) == (404, "WS-SERVING-045")

    def test_no_version_answers_alone_while_two_share_the_traffic(
        self, serve: Any, stored: dict[str, Any]
    ) -> None:
        app = serve("first", "second", shares=(5_000, 5_000), champion=stored["first"].digest)
        answer = app.client.post("/v2/models/churn/versions/1/infer", json={"inputs": inputs()})
        assert answer.status_code == 404
        said = self.ask(app, parameters={"unit": "u"}).json()
        assert said["model_version"] in ("1", "2")
        assert app.client.get("/v2/models/churn").json()["versions"] == ["1", "2"]

    def test_a_fault_names_the_field_and_no_value(self, serve: Any) -> None:
        wrong = [*inputs()[1:], tensor("age", ["s3cret", "x"], "BYTES")]
        answer = serve("first").client.post(INFER, json={"inputs": wrong})
        assert answer.status_code == 400
        assert "features[0].age: got text, expected a number" in answer.json()["error"]
        assert "s3cret" not in answer.text

    def test_a_compressed_body(self, serve: Any) -> None:
        answer = serve("first").client.post(INFER, content=b"{}", headers={"Content-Encoding": "deflate"})
        assert answer.status_code == 415

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_bodies(self, lasting: Any, name: str) -> None:
        client = lasting.client
        for headers in ({}, {"Inference-Header-Content-Length": "10"}):
            answer = client.post(INFER, content=HOSTILE[name], headers=headers)
            assert 400 <= answer.status_code < 500, answer.text

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_no_tensors_are_more_than_refused(self, serving: Any, data: Any) -> None:
        values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        names = st.sampled_from([*ROW, "unit", "input", "other"])
        kinds = st.sampled_from(["FP64", "INT64", "BYTES", "BOOL", "FP16", "x"])
        columns = data.draw(st.lists(st.tuples(names, kinds, values), max_size=7))
        said = {"inputs": [tensor(name, [value], kind) for name, kind, value in columns]}
        answer = serving.client.post(INFER, content=json.dumps(said).encode())
        assert answer.status_code in (200, 400)


class TestDescriptions:
    def test_the_server(self, app: Any) -> None:
        said = app.client.get("/v2").json()
        assert (said["name"], said["extensions"]) == ("windsock", ["binary_tensor_data"])
        assert app.client.get("/v2/health/live").status_code == 200
        assert app.client.get("/v2/health/ready").status_code == 503
        assert app.client.get("/v2/models/churn/ready").status_code == 404
        assert "error" in app.client.get("/v2/models/churn").json()
        assert "error" in app.client.get("/v2/repository/index").json()

    def test_a_model(self, serve: Any) -> None:
        client = serve("three").client
        assert client.get("/v2/health/ready").json() == {"ready": True}
        said = client.get("/v2/models/churn").json()
        assert [(one["name"], one["datatype"]) for one in said["inputs"]] == [
            ("age", "FP64"),
            ("visits", "INT64"),
            ("member", "BOOL"),
            ("plan", "BYTES"),
            ("joined", "BYTES"),
        ]
        outputs = {one["name"]: one for one in said["outputs"]}
        assert json.loads(outputs["probabilities"]["parameters"]["labels"]) == ["high", "low", "mid"]
        assert "score" not in outputs
        for path, status in (
            ("/v2/models/churn/ready", 200),
            ("/v2/models/churn/versions/1", 200),
            ("/v2/models/churn/versions/1/ready", 200),
            ("/v2/models/churn/versions/2", 404),
            ("/v2/models/churn/versions/2/ready", 404),
            ("/v2/models/other", 404),
        ):
            assert client.get(path).status_code == status, path

    def test_a_model_without_a_promoted_version_is_not_ready(self, serve: Any) -> None:
        app = serve("first", shares=(0,))
        assert app.client.get("/v2/models/churn/ready").status_code == 503
        assert app.client.post(INFER, json={"inputs": inputs()}).status_code == 503
