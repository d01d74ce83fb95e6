from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.builders import NOON
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.serving.contract import read_outcome, read_predict, read_rows
from windsock.serving.strict_json import RequestRefusedError

FIELD = InputField(name="age", kind=ColumnKind.NUMBER)
SCHEMA = InputSchema(model="m", fields=(FIELD,), answer=Answer.NUMBER)


def refusal(body: Any) -> dict[str, tuple[str, str]]:
    with pytest.raises(RequestRefusedError) as refused:
        read_predict(body)
    assert refused.value.status == 422
    return {fault.field: (fault.got, fault.expected) for fault in refused.value.faults}


def test_one_row() -> None:
    asked = read_predict({"features": {"age": 1}})
    assert asked.single
    assert (asked.features, asked.units, asked.times) == ([{"age": 1}], [None], [None])
    assert asked.place(0) == "features"
    assert len(asked.ids[0]) == 32


def test_many_rows_with_one_unit_for_all() -> None:
    asked = read_predict({"features": [{}, {}], "unit": "u", "event_time": "2026-05-01T12:00:00Z"})
    assert not asked.single
    assert (asked.units, asked.times) == (["u", "u"], [NOON, NOON])
    assert asked.place(1) == "features[1]"
    assert asked.ids[0] != asked.ids[1]


def test_many_rows_with_their_own() -> None:
    asked = read_predict({"features": [{}, {}], "unit": ["a", None], "prediction_id": [None, "mine"]})
    assert asked.units == ["a", None]
    assert asked.ids[1] == "mine"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        (None, "body"),
        ("text", "body"),
        ({}, "features"),
        ({"features": None}, "features"),
        ({"features": "x"}, "features"),
        ({"features": []}, "features"),
        ({"features": [{}] * 1_001}, "features"),
        ({"features": [{}, 3]}, "features[1]"),
        ({"features": {}, "colour": 1}, "body"),
        ({"features": {}, "unit": 3}, "unit"),
        ({"features": {}, "unit": ""}, "unit"),
        ({"features": {}, "unit": "x" * 201}, "unit"),
        ({"features": {}, "unit": "a\nb"}, "unit"),
        ({"features": {}, "unit": "\ud800"}, "unit"),
        ({"features": {}, "unit": ["a"]}, "unit"),
        ({"features": [{}, {}], "unit": ["a"]}, "unit"),
        ({"features": [{}, {}], "unit": ["a", 3]}, "unit[1]"),
        ({"features": [{}, {}], "prediction_id": "one"}, "prediction_id"),
        ({"features": [{}, {}], "prediction_id": ["one", "one"]}, "prediction_id"),
        ({"features": {}, "prediction_id": ["one"]}, "prediction_id"),
        ({"features": {}, "event_time": "2026-05-01T12:00:00"}, "event_time"),
        ({"features": {}, "event_time": 3}, "event_time"),
        ({"features": [{}], "event_time": ["then"]}, "event_time[0]"),
    ],
)
def test_requests_that_are_refused(body: Any, field: str) -> None:
    assert list(refusal(body)) == [field]


def test_refusals_hold_no_value() -> None:
    said = refusal({"features": 3, "planted-key": 1})
    assert "planted" not in str(said)
    said = refusal({"features": [{}, "planted"], "unit": ["planted\n", None], "planted": 1})
    assert "planted" not in str(said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["features", "unit", "prediction_id", "event_time", "outcome", "model", "event_id", "x"]
)


@hypothesis_settings(deadline=None)
@given(JSON | st.dictionaries(KEYS, JSON))
def test_any_json_is_read_or_refused(body: Any) -> None:
    as_rows = partial(read_rows, schema=SCHEMA)
    as_outcome = partial(read_outcome, receive_time=NOON, served=["m"])
    for read in (read_predict, as_rows, as_outcome):
        status = 422
        try:
            read(body)
        except RequestRefusedError as error:
            status = error.status
        assert status == 422


class TestOutcome:
    def read(self, **body: Any) -> Any:
        return read_outcome(body, receive_time=NOON, served=["churn", "spend"])

    def test_by_prediction_id(self) -> None:
        event = self.read(
            model="churn", prediction_id="p", outcome=True, event_time="2026-05-01T14:00:00+02:00"
        )
        assert (event.outcome, event.event_time) == (True, datetime(2026, 5, 1, 12, tzinfo=UTC))
        assert event.outcome is True

    def test_by_unit_and_event_id(self) -> None:
        assert self.read(model="churn", unit="u", event_id="e", outcome="yes").unit == "u"

    def test_the_only_model_need_not_be_named(self) -> None:
        event = read_outcome({"prediction_id": "p", "outcome": 3.5}, receive_time=NOON, served=["churn"])
        assert event.model == "churn"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"prediction_id": "p", "outcome": 1}, "model"),
            ({"model": "other", "prediction_id": "p", "outcome": 1}, "model"),
            ({"model": ["churn"], "prediction_id": "p", "outcome": 1}, "model"),
            ({"model": "churn", "outcome": 1}, "prediction_id"),
            ({"model": "churn", "unit": "u", "outcome": 1}, "prediction_id"),
            ({"model": "churn", "event_id": "u", "outcome": 1}, "prediction_id"),
            ({"model": "churn", "prediction_id": "p"}, "outcome"),
            ({"model": "churn", "prediction_id": "p", "outcome": None}, "outcome"),
            ({"model": "churn", "prediction_id": "p", "outcome": [1]}, "outcome"),
            ({"model": "churn", "prediction_id": "p", "outcome": "\ud800"}, "outcome"),
            ({"model": "churn", "prediction_id": "p", "outcome": float("inf")}, "outcome"),
            ({"model": "churn", "prediction_id": "p", "outcome": 10**30}, "outcome"),
            ({"model": "churn", "prediction_id": "p", "outcome": "x" * 1_001}, "outcome"),
            ({"model": "churn", "prediction_id": "p", "outcome": 1, "extra": 2}, "body"),
            ({"model": "churn", "prediction_id": "p", "outcome": 1, "event_time": "now"}, "event_time"),
        ],
    )
    def test_what_is_refused(self, body: dict[str, Any], field: str) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            self.read(**body)
        assert [fault.field for fault in refused.value.faults] == [field]
