from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from windsock.serving.strict_json import MAX_FAULTS, Fault, RequestRefusedError, kind_of, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@hypothesis_settings(deadline=None)
@given(VALUES)
def test_whatever_is_json_is_read_as_it_is(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=200))
def test_whatever_else_is_refused_with_400(body: bytes) -> None:
    seen = (400, "WS-SERVING-011")
    try:
        read_json(body)
    except RequestRefusedError as error:
        seen = (error.status, error.code)
    assert seen == (400, "WS-SERVING-011")


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"", "nothing"),
        (b"  \n", "nothing"),
        (b"\xff\xfe{}", "bytes that are not UTF-8"),
        (b'{"a": NaN}', "NaN or Infinity"),
        (b'{"a": -Infinity}', "NaN or Infinity"),
        (b'{"a": 1, "a": 2}', "an object with a duplicate key"),
        (b'{"b": {"a": 1, "a": 1}}', "an object with a duplicate key"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (b'{"a":' * 100_000, "JSON nested too deeply"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "text that is no JSON"),
        (b"{'a': 1}", "text that is no JSON (line 1)"),
        (b"\xef\xbb\xbf{}", "text that is no JSON (line 1)"),
        (b"{} {}", "text that is no JSON (line 1)"),
    ],
)
def test_bodies_that_are_no_strict_json(body: bytes, got: str) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        read_json(body)
    assert refused.value.faults[0] == Fault("body", got, "a JSON object in UTF-8")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        ("text", "text"),
        ("\ud800", "text with a lone surrogate"),
        (3, "an integer"),
        (10**30, "an integer out of range"),
        (1.5, "a number"),
        (float("inf"), "a number out of range"),
        ([], "a list"),
        ({}, "an object"),
    ],
)
def test_kinds(value: object, kind: str) -> None:
    assert kind_of(value) == kind


def test_only_the_first_faults_are_told() -> None:
    faults = [Fault(str(number), "text", "a number") for number in range(30)]
    assert RequestRefusedError(422, "invalid", *faults).faults == tuple(faults[:MAX_FAULTS])
