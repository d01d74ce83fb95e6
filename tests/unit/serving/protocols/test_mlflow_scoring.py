from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.hostile import HOSTILE
from support.serving import FIELDS, ROW
from windsock.records import Answer, InputSchema
from windsock.serving.protocols.mlflow_input import read_scoring_csv, read_scoring_json
from windsock.serving.strict_json import RequestRefusedError

SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.CLASS, classes=(False, True), positive=True)
ROWS = [{**ROW, "age": age} for age in (20.5, 50, 80)]
NAMES = list(ROW)
TABLE = [[row[name] for name in NAMES] for row in ROWS]
CSV_HEADERS = {"Content-Type": "text/csv"}

FORMS = {
    "records": {"dataframe_records": ROWS},
    "split": {"dataframe_split": {"columns": NAMES, "index": ["a", "b", "c"], "data": TABLE}},
    "split in another order": {
        "dataframe_split": {"columns": NAMES[::-1], "data": [row[::-1] for row in TABLE]}
    },
    "split without names": {"dataframe_split": {"data": TABLE}},
    "split with numbers as names": {"dataframe_split": {"columns": [0, 1, 2, 3, 4], "data": TABLE}},
    "instances": {"instances": ROWS},
    "instances as lists": {"instances": TABLE},
    "inputs": {"inputs": ROWS},
    "inputs as lists": {"inputs": TABLE},
    "inputs as columns": {"inputs": {name: [row[name] for row in ROWS] for name in NAMES}},
}


def read(said: Any) -> Any:
    return read_scoring_json(json.dumps(said).encode(), SCHEMA)


class TestForms:
    @pytest.mark.parametrize("form", FORMS)
    def test_every_form_says_the_same(self, form: str) -> None:
        assert read(FORMS[form]).rows == ROWS

    def test_one_row_as_an_object(self) -> None:
        assert read({"inputs": ROW}).rows == [ROW]

    def test_nan_and_nat_are_null(self) -> None:
        body = json.dumps(
            {"dataframe_records": [{**ROW, "age": float("nan"), "joined": "NaT", "plan": "NaT"}]}
        )
        assert "NaN" in body
        (row,) = read_scoring_json(body.encode(), SCHEMA).rows
        assert (row["age"], row["joined"], row["plan"]) == (None, None, "NaT")

    def test_units_and_ids_stand_in_params_and_the_rest_is_ignored(self) -> None:
        asked = read(
            {"inputs": ROWS, "params": {"unit": "u", "prediction_id": ["a", None, "c"], "temperature": 1}}
        )
        assert (asked.units, asked.ids) == (["u"] * 3, ["a", None, "c"])
        assert read({"inputs": ROWS, "params": None}).units is None

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({}, "body"),
            ({"features": ROW}, "body"),
            ({"inputs": ROWS, "instances": ROWS}, "body"),
            ({"dataframe_records": ROW}, "dataframe_records"),
            ({"dataframe_records": []}, "dataframe_records"),
            ({"dataframe_records": [ROW, 3]}, "dataframe_records[1]"),
            ({"dataframe_records": [ROW] * 1_001}, "dataframe_records"),
            ({"dataframe_split": TABLE}, "dataframe_split"),
            ({"dataframe_split": {"columns": NAMES}}, "dataframe_split.data"),
            ({"dataframe_split": {"columns": NAMES, "data": [[1]]}}, "dataframe_split.data[0]"),
            (
                {"dataframe_split": {"columns": [*NAMES[:4], NAMES[0]], "data": TABLE}},
                "dataframe_split.columns",
            ),
            ({"dataframe_split": {"columns": "age", "data": TABLE}}, "dataframe_split.columns"),
            ({"dataframe_split": {"columns": NAMES, "data": TABLE, "extra": 1}}, "dataframe_split"),
            ({"instances": [[1, 2]]}, "instances[0]"),
            ({"instances": "age"}, "instances"),
            ({"inputs": {"age": [1, 2], "visits": [1]}}, "inputs"),
            ({"inputs": {"age": [1, 2], "visits": 1}}, "inputs"),
            ({"inputs": {"age": [1] * 1_001}}, "inputs"),
            ({"inputs": 7}, "inputs"),
            ({"inputs": ROWS, "params": []}, "params"),
            ({"inputs": ROWS, "params": {"unit": ["u"]}}, "params.unit"),
            ({"inputs": ROWS, "params": {"unit": ["u", "", "v"]}}, "params.unit[1]"),
            ({"inputs": ROWS, "params": {"prediction_id": "a"}}, "params.prediction_id"),
            ({"inputs": ROWS, "params": {"prediction_id": ["a", "a", "b"]}}, "params.prediction_id"),
            ([ROW], "body"),
        ],
    )
    def test_what_is_refused(self, said: Any, field: str) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read(said)
        assert refused.value.faults[0].field == field
        assert refused.value.status == 400

    @pytest.mark.parametrize(
        "body", [b"", b"\xff", b"[" * 100_000, b'{"inputs": Infinity}', b'{"a": 1, "a": 2}']
    )
    def test_what_is_no_json(self, body: bytes) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read_scoring_json(body, SCHEMA)
        assert refused.value.code == "WS-SERVING-011"


class TestCsv:
    def test_a_cell_is_read_as_its_fields_kind(self) -> None:
        text = 'age,visits,member,plan,joined\n41.5,3.0,True,"a, ""b""",2026-03-01 10:00:00\n1e3,+2,Yes,3,\n'
        first, second = read_scoring_csv(text.encode(), SCHEMA).rows
        assert first == {
            "age": 41.5,
            "visits": 3.0,
            "member": True,
            "plan": 'a, "b"',
            "joined": "2026-03-01 10:00:00",
        }
        assert second == {"age": 1000.0, "visits": 2, "member": "Yes", "plan": "3", "joined": None}

    @pytest.mark.parametrize("text", ["", "NaN", "nan", "NaT"])
    def test_what_means_unknown(self, text: str) -> None:
        (row,) = read_scoring_csv(f"age,plan\r\n{text},{text}\r\n".encode(), SCHEMA).rows
        assert row == {"age": None, "plan": None}

    @pytest.mark.parametrize(
        "text", ["NA", "None", "null", "0x10", "1_000", "١", "inf", "9" * 5_000, "1e999999"]
    )
    def test_other_texts_are_left_for_the_schema_to_refuse(self, text: str) -> None:
        (row,) = read_scoring_csv(f"age,plan\n{text},NA\n".encode(), SCHEMA).rows
        assert row == {"age": text, "plan": "NA"}

    def test_a_byte_order_mark_and_blank_lines_are_nothing(self) -> None:
        assert len(read_scoring_csv(b"\xef\xbb\xbfage,plan\n\n1,a\n\n2,b\n", SCHEMA).rows) == 2

    def test_one_column_may_be_blank(self) -> None:
        assert read_scoring_csv(b"age\n\n1\n", SCHEMA).rows == [{"age": None}, {"age": 1}]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\n",
            b"age,age\n1,2\n",
            b"age,plan\n",
            b"age,plan\n1\n",
            b"age,plan\n1,2,3\n",
            b'age,plan\n1,"unfinished\n',
            b'age,plan\n1,"a"b\n',
            b"age\n" + b"1\n" * 1_001,
            b"plan\n" + b"x" * 200_000,
            b"age,plan\n1,Zo\xeb\n",
            b"\x00\x00",
        ],
    )
    def test_what_is_no_csv(self, body: bytes) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read_scoring_csv(body, SCHEMA)
        assert refused.value.status == 400


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["columns", "data", "index", "age", "unit", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    body=st.dictionaries(
        st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "params"]),
        JSON_VALUES,
        max_size=2,
    )
)
def test_no_json_is_more_than_refused(body: Any) -> None:
    try:
        asked = read(body)
    except RequestRefusedError:
        return
    assert 1 <= len(asked.rows) <= 1_000
    assert all(isinstance(row, dict) for row in asked.rows)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=60) | st.text("age,pln\n\r\"'1.eEN \x00;", max_size=60).map(str.encode))
def test_no_csv_is_more_than_refused(body: bytes) -> None:
    try:
        asked = read_scoring_csv(body, SCHEMA)
    except RequestRefusedError:
        return
    assert len({tuple(row) for row in asked.rows}) == 1


class TestInvocations:
    def test_predictions_are_those_of_our_own_protocol(self, serve: Any) -> None:
        client = serve("three").client
        own = client.post("/predict", json={"features": ROWS}).json()["predictions"]
        for path in ("/invocations", "/models/churn/invocations", "/endpoints/churn/invocations"):
            answer = client.post(path, json=FORMS["split"])
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"predictions": [row["prediction"] for row in own]}

    @pytest.mark.parametrize(("bundle", "kind"), [("first", bool), ("three", str), ("number", float)])
    def test_predictions_have_the_labels_kind(self, serve: Any, bundle: str, kind: type) -> None:
        said = serve(bundle).client.post("/invocations", json={"inputs": ROW}).json()
        assert [type(value) for value in said["predictions"]] == [kind]

    def test_csv_in_and_out(self, serve: Any) -> None:
        client = serve("three").client
        text = ",".join(NAMES) + "\n" + "\n".join(",".join(map(str, row)) for row in TABLE)
        headers = {"Content-Type": "text/csv; charset=UTF-8", "Accept": "text/csv"}
        answer = client.post("/invocations", content=text, headers=headers)
        assert answer.headers["content-type"].startswith("text/csv")
        said = client.post("/invocations", json=FORMS["records"]).json()["predictions"]
        assert answer.text == "".join(f"{label}\n" for label in said)

    @pytest.mark.parametrize("accept", ["*/*", "application/json, text/csv", "application/jsonlines", ""])
    def test_else_the_answer_is_json(self, serve: Any, accept: str) -> None:
        answer = serve("first").client.post("/invocations", json={"inputs": ROW}, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json"

    def test_units_and_ids_come_to_the_log(self, serve: Any) -> None:
        app = serve("first")
        params = {"unit": "u", "prediction_id": ["one"]}
        assert app.client.post("/invocations", json={"inputs": [ROW], "params": params}).status_code == 200
        app.service.prediction_log.stop()
        said = "".join(app.log_lines())
        assert '"one"' in said
        assert '"u"' in said

    def test_two_models_need_a_name(self, serve: Any) -> None:
        serve("first")
        app = serve("spend", model="spend")
        refused = app.client.post("/invocations", json={"inputs": ROW})
        assert (refused.status_code, refused.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        said = app.client.post("/invocations", json={"inputs": ROW}, headers={"X-Windsock-Model": "spend"})
        assert isinstance(said.json()["predictions"][0], float)

    def test_a_fault_names_the_field_and_no_value(self, serve: Any) -> None:
        bad = [ROW, {**ROW, "age": "s3cret", "visits": 1.5, "s3cret@x": 1}]
        answer = serve("first").client.post("/invocations", json={"dataframe_records": bad})
        said = answer.json()
        assert (answer.status_code, said["error_code"]) == (400, "BAD_REQUEST")
        assert "features[1].age: got text, expected a number" in said["message"]
        assert [fault["field"] for fault in said["detail"]] == [
            "features[1].age",
            "features[1].visits",
            "features[1]",
        ]
        assert "s3cret" not in answer.text

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Type": "application/vnd.apache.parquet"},
            {"Content-Type": "text/csv; charset=latin-1"},
            {"Content-Type": "application/json; header=present"},
            {"Content-Type": ""},
        ],
    )
    def test_other_media_types(self, serve: Any, headers: dict[str, str]) -> None:
        answer = serve("first").client.post("/invocations", content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "WS-SERVING-043")

    def test_an_encoding_is_refused(self, serve: Any) -> None:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        answer = serve("first").client.post("/invocations", content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "WS-SERVING-062")

    def test_refusals_are_counted(self, serve: Any) -> None:
        app = serve("first")
        app.client.post("/invocations", content=b"{}", headers=CSV_HEADERS)
        assert 'ml_requests_rejected_total{reason="invalid"} 1.0' in app.client.get("/metrics").text

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_bodies(self, lasting: Any, name: str) -> None:
        client = lasting.client
        for headers in ({"Content-Type": "application/json"}, CSV_HEADERS):
            answer = client.post("/invocations", content=HOSTILE[name], headers=headers)
            assert 400 <= answer.status_code < 500, answer.text

    def test_ping_and_version_while_nothing_is_served(self, app: Any) -> None:
        assert app.client.get("/ping").status_code == 503
        assert app.client.get("/version").text.count(".") >= 2

    def test_ping_when_ready(self, serve: Any) -> None:
        client = serve("first").client
        assert [client.get("/ping").status_code, client.post("/ping").status_code] == [200, 200]
