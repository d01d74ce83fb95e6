"""The plain reader is a short cut: what it reads, the strict reader reads the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.serving import FIELDS, ROW
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.serving.contract import MAX_ROWS, PredictRequest, read_predict
from windsock.serving.field_values import check_features
from windsock.serving.reader import PlainReader
from windsock.serving.strict_json import RequestRefusedError, read_json

SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)
READER = PlainReader(SCHEMA)


def body_of(**body: Any) -> bytes:
    return json.dumps(body).encode()


def strictly(body: bytes, schema: InputSchema = SCHEMA) -> tuple[PredictRequest, list[Any]] | None:
    """Return what the strict reader makes of a body; ``None`` if it refuses it."""
    try:
        request = read_predict(read_json(body))
    except RequestRefusedError:
        return None
    checked = [check_features(row, schema, "features") for row in request.features or ()]
    return None if any(faults for _, faults in checked) else (request, [values for values, _ in checked])


def require_same(body: bytes, reader: PlainReader = READER, schema: InputSchema = SCHEMA) -> bool:
    """See that what the plain reader accepts means the same to the strict one; return whether it does."""
    plain = reader.read(body)
    if plain is None:
        return False
    strict = strictly(body, schema)
    assert strict is not None, "the plain reader accepts what the strict one refuses"
    request, values = strict
    assert plain.values == values
    kinds = [[type(value) for value in row] for row in plain.values or ()]
    assert kinds == [[type(value) for value in row] for row in values]
    assert (plain.units, plain.times, plain.single) == (request.units, request.times, request.single)
    assert len(plain.ids) == len(request.ids)
    said = json.loads(body).get("prediction_id")
    if said is not None:
        assert [known for known in plain.ids if known in ([said] if isinstance(said, str) else said)] == [
            known for known in request.ids if known in ([said] if isinstance(said, str) else said)
        ]
    return True


@pytest.mark.parametrize(
    "body",
    [
        {"features": ROW},
        {"features": [ROW, {**ROW, "age": None, "plan": None}]},
        {"features": ROW, "unit": "u", "prediction_id": "p", "event_time": "2026-05-01T12:00:00Z"},
        {"features": [ROW, ROW], "unit": ["u", None], "prediction_id": ["p", "q"]},
        {"features": [ROW, ROW], "unit": "u", "event_time": ["2026-05-01T12:00:00+02:00", None]},
        {"features": {name: value for name, value in ROW.items() if name != "joined"}},
        {"features": {**ROW, "joined": None}},
        {"features": {**ROW, "joined": "2026-03-01"}},
        {"features": {**ROW, "plan": 3, "age": 41, "member": True}},
        {"features": ROW, "unit": None},
    ],
)
def test_the_usual_forms_take_the_short_cut(body: dict[str, Any]) -> None:
    assert require_same(body_of(**body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"features": {}}',
        b'{"features": []}',
        b"\xff",
        b'{"features": NaN}',
        body_of(features=[ROW] * (MAX_ROWS + 1)),
        body_of(features=ROW, other=1),
        body_of(features={**ROW, "other": 1}),
        body_of(features={**ROW, "age": True}),
        body_of(features={**ROW, "age": "41"}),
        body_of(features={**ROW, "visits": None}),
        body_of(features={**ROW, "visits": 2.5}),
        body_of(features={**ROW, "visits": 2**63}),
        body_of(features={**ROW, "plan": "x" * 10_001}),
        body_of(features={**ROW, "plan": 1e300}),
        body_of(features={**ROW, "plan": 2**63}),
        body_of(features={**ROW, "member": "Maybe"}),
        body_of(features={**ROW, "joined": "yesterday"}),
        body_of(features=ROW, unit=""),
        body_of(features=ROW, unit="x" * 201),
        body_of(features=ROW, unit=["u"]),
        body_of(features=[ROW, ROW], unit=["u"]),
        body_of(features=[ROW, ROW], prediction_id="p"),
        body_of(features=[ROW, ROW], prediction_id=["p", "p"]),
        body_of(features=ROW, event_time="2026-05-01T12:00:00"),
        body_of(features=ROW).replace(b'"age": 41.5', b'"age": 1e400'),
        body_of(features=ROW).replace(b'"age": 41.5', b'"age": 41.5, "age": 41.5'),
        body_of(features=ROW).replace(b'{"features"', b'{"unit": null, "unit": null, "features"'),
        body_of(features={name: value for name, value in ROW.items() if name != "joined"}).replace(
            b'"visits": 3', b'"visits": 3, "visits": 3'
        ),
        body_of(features=ROW).replace(b"basic", b"bas\\u0069c"),
        body_of(features=ROW).replace(b"basic", b"\\ud800"),
        body_of(features=ROW).replace(b"basic", b"bas\x00ic"),
        body_of(features=ROW) + b" x",
    ],
)
def test_all_else_is_left_to_the_strict_reader(body: bytes) -> None:
    assert READER.read(body) is None


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["Yes", "No", "basic", "2026-03-01T10:00:00Z", "2026-03-01", "20260301T10", "", " 3"]),
    st.just([]),
)
PAIRS = st.lists(st.tuples(st.sampled_from([*ROW, "other"]), VALUES), max_size=7)


def text_of(pairs: list[tuple[str, Any]]) -> str:
    """Write an object; a key may stand in it twice."""
    inner = ", ".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in pairs)
    return f"{{{inner}}}"


@hypothesis_settings(deadline=None, max_examples=500)
@given(
    st.lists(PAIRS, min_size=1, max_size=3),
    st.booleans(),
    st.dictionaries(
        st.sampled_from(["unit", "prediction_id", "event_time"]), VALUES | st.lists(VALUES, max_size=3)
    ),
    st.data(),
)
def test_whatever_it_reads_the_strict_reader_reads_the_same(
    changes: list[list[tuple[str, Any]]], as_list: bool, more: dict[str, Any], data: st.DataObject
) -> None:
    rows = []
    for change in changes:
        row = data.draw(st.sampled_from([dict(change), {**ROW, **dict(change)}]))
        twice = data.draw(st.lists(st.tuples(st.sampled_from(list(ROW)), VALUES), max_size=1))
        rows.append(text_of([*row.items(), *twice]))
    features = f"[{', '.join(rows)}]" if as_list else rows[0]
    keys = "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in more.items())
    require_same(f'{{"features": {features}{keys}}}'.encode(errors="replace"))


@hypothesis_settings(deadline=None, max_examples=300)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17), min_size=1)
)
def test_numbers_are_read_to_the_last_bit(numbers: list[float]) -> None:
    schema = InputSchema(
        model="m", fields=(InputField(name="x", kind=ColumnKind.NUMBER),), answer=Answer.NUMBER
    )
    body = body_of(features=[{"x": number} for number in numbers])
    assert require_same(body, PlainReader(schema), schema)


@pytest.mark.parametrize("name", ["f0", "a b", "class", "größe", "a.b", "{}", "__init__", "f1"])
def test_any_name_may_be_a_field(name: str) -> None:
    fields = (InputField(name=name, kind=ColumnKind.NUMBER), InputField(name="f1x", kind=ColumnKind.CATEGORY))
    schema = InputSchema(model="m", fields=fields, answer=Answer.NUMBER)
    body = json.dumps({"features": {name: 1, "f1x": "b"}}, ensure_ascii=False).encode()
    assert require_same(body, PlainReader(schema), schema)


@pytest.mark.parametrize("name", ['a "quoted" name', "back\\slash", "two\nlines", "tab\t", "nul\x00"])
def test_a_name_that_needs_an_escape_is_read_by_the_strict_reader(name):
    schema = InputSchema(
        model="churn", fields=(InputField(name=name, kind=ColumnKind.NUMBER),), answer=Answer.NUMBER
    )
    body = body_of(features={name: 1.5})
    assert PlainReader(schema).read(body) is None
    assert strictly(body, schema) is not None


IGNORING = SCHEMA.replace(
    fields=(InputField(name="new", kind=ColumnKind.NUMBER, required=False), *SCHEMA.fields),
    ignored=(
        InputField(name="region", kind=ColumnKind.CATEGORY, required=False),
        InputField(name="seen", kind=ColumnKind.DATETIME, required=False),
    ),
)


@pytest.mark.parametrize(
    ("more", "plainly"),
    [
        ({}, True),
        ({"region": "north"}, True),
        ({"region": "north", "seen": "2026-03-01", "new": 2}, True),
        ({"seen": None}, True),
        ({"seen": "yesterday"}, False),
        ({"region": ["north"]}, False),
        ({"regoin": "north"}, False),
    ],
)
def test_fields_that_are_ignored_are_read_and_dropped(more: dict[str, Any], plainly: bool) -> None:
    reader = PlainReader(IGNORING)
    body = body_of(features=[{**ROW, **more}, ROW])
    assert require_same(body, reader, IGNORING) == plainly
    if plainly:
        read = reader.read(body)
        assert read is not None
        assert read.values is not None
        assert [len(row) for row in read.values] == [6, 6]


def test_a_key_that_stands_twice_is_seen_among_ignored_ones() -> None:
    body = body_of(features={**ROW, "region": "north"}).replace(b'"region"', b'"region": "x", "region"')
    assert PlainReader(IGNORING).read(body) is None
