from __future__ import annotations

import json

from support.serving import FIELDS, ROW
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.serving.field_values import check_features
from windsock.serving.reader import PlainReader
from windsock.serving.recent_rows import RecentRows

SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)
VALUES, _ = check_features(ROW, SCHEMA, "features")


def numbered(*numbers: float) -> list[tuple]:
    return [(number, *VALUES[1:]) for number in numbers]


def test_the_last_rows_are_kept_in_their_order():
    recent = RecentRows(SCHEMA, most=4)
    recent.add(numbered(1, 2, 3))
    recent.add(numbered(4, 5), b"x" * 500)
    assert [row[0] for row in recent.last(9)] == [2, 3, 4, 5]
    assert [row[0] for row in recent.last(2)] == [4, 5]
    assert len(recent) == 4


def test_a_row_that_came_alone_is_kept_as_it_was_sent():
    body = json.dumps({"features": ROW, "unit": "u"}).encode()
    request = PlainReader(SCHEMA).read(body)
    recent = RecentRows(SCHEMA)
    recent.add(request.values, request.body)
    recent.add(numbered(7))
    assert recent.kept(2)[0] is body
    assert recent.last(2) == [VALUES, *numbered(7)]


def test_rows_with_long_texts_are_left_out():
    recent = RecentRows(SCHEMA)
    long = (*VALUES[:3], "x" * 10_000, VALUES[4])
    recent.add([VALUES, long, VALUES])
    recent.add([long], b"x" * 10_100)
    assert len(recent) == 2
    assert recent.left_out == 2


def test_a_small_request_needs_no_look_at_its_texts():
    recent = RecentRows(SCHEMA)
    recent.add([VALUES] * 10, b"x" * 1_500)
    assert (len(recent), recent.left_out) == (10, 0)


def test_null_and_numbers_have_no_length():
    recent = RecentRows(SCHEMA)
    recent.add([(None,) * 5, (1.0, 2, True, 3, None)])
    assert len(recent) == 2


def test_schemas_with_one_text_and_with_none():
    one = SCHEMA.model_copy(update={"fields": (InputField(name="plan", kind=ColumnKind.CATEGORY),)})
    recent = RecentRows(one)
    recent.add([("a",), (None,), ("x" * 101,)])
    assert recent.last(9) == [("a",), (None,)]
    none = SCHEMA.model_copy(update={"fields": (InputField(name="age", kind=ColumnKind.NUMBER),)})
    recent = RecentRows(none)
    recent.add([(1.0,)], b"x" * 10**6)
    assert len(recent) == 1
