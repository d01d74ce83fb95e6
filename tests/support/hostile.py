"""Bodies that a careless server answers with 500: predictions of ``support.serving``, and outcomes."""

from __future__ import annotations

import json
from typing import Any

from support.serving import ROW


def _row(**changed: Any) -> bytes:
    return json.dumps({"features": {**ROW, **changed}}).encode()


def _raw(text: str) -> bytes:
    """Return a request whose age is written like this."""
    return json.dumps({"features": {**ROW, "age": "@"}}).replace('"@"', text).encode()


def _body(**keys: Any) -> bytes:
    return json.dumps({"features": ROW, **keys}).encode()


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" \r\n\t",
    "null": b"null",
    "true": b"true",
    "number": b"17",
    "text": b'"features"',
    "empty list": b"[]",
    "empty object": b"{}",
    "unfinished": b'{"features": {"age": 1',
    "single quotes": b"{'features': {}}",
    "trailing comma": b'{"features": {},}',
    "two documents": b'{"features": {}} {"features": {}}',
    "comment": b'{"features": {}} // x',
    "byte order mark": b"\xef\xbb\xbf" + _row(),
    "utf-16": _row().decode().encode("utf-16"),
    "latin-1": b'{"features": {"plan": "Zo\xeb"}}',
    "null bytes": b"\x00" * 100,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "form": b"features=1&unit=2",
    "xml": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "deep features": b'{"features":' + b"[" * 900 + b"]" * 900 + b"}",
    "deep value": _raw("[" * 500 + "]" * 500),
    "duplicate key": b'{"features": {}, "features": {}}',
    "duplicate field": b'{"features": {"age": 1, "age": 2}}',
    "NaN": _raw("NaN"),
    "Infinity": _raw("Infinity"),
    "-Infinity": _raw("-Infinity"),
    "1e400": _raw("1e400"),
    "-1e400": _raw("-1e400"),
    "1e308": _raw("1e308"),
    "5e-324": _raw("5e-324"),
    "long integer": _raw("9" * 400),
    "longer integer": _raw("9" * 5_000),
    "2**63": _raw(str(2**63)),
    "long fraction": _raw("0." + "1" * 50_000),
    "minus zero": _raw("-0"),
    "plus sign": _raw("+1"),
    "hexadecimal": _raw("0x10"),
    "leading zero": _raw("007"),
    "lone surrogate": _raw('"\\ud800"'),
    "lone surrogate category": _raw('1, "plan": "\\udfff"'),
    "lone surrogate key": _raw('1, "\\ud800": 1'),
    "lone surrogate unit": b'{"features": {}, "unit": "\\ud800"}',
    "null character": _row(plan="a\x00b"),
    "right to left": _row(plan="\u202e\u2066x"),
    "long text": _row(plan="x" * 100_000),
    "emoji": _row(plan="\U0001f600" * 100),
    "number as text": _row(age="41.5"),
    "boolean as number": _row(age=True),
    "list as number": _row(age=[41.5]),
    "object as number": _row(age={"$gt": 0}),
    "fraction as integer": _row(visits=1.5),
    "huge integer": _row(visits=10**40),
    "number as boolean": _row(member=1),
    "list as category": _row(plan=["basic"]),
    "boolean as category": _row(plan=True),
    "bad date": _row(joined="31.12.2025"),
    "year 0": _row(joined="0000-01-01"),
    "year 1": _row(joined="0001-01-01T00:00:00+14:00"),
    "year 9999": _row(joined="9999-12-31T23:59:59-12:00"),
    "year 10000": _row(joined="10000-01-01"),
    "unix time": _row(joined=1_767_000_000),
    "week date": _row(joined="2026-W01-1"),
    "basic date": _row(joined="20260101T000000Z"),
    "arabic digits": _row(joined="٢٠٢٦-٠١-٠١"),
    "all null": json.dumps({"features": dict.fromkeys(ROW)}).encode(),
    "all missing": b'{"features": {}}',
    "unknown field": _row(salary=1),
    "many unknown fields": _row(**{f"f{number}": number for number in range(20_000)}),
    "prototype": _row(__proto__={"admin": True}, constructor=1, __class__="x"),
    "injection": _row(plan="'; DROP TABLE predictions; --"),
    "template": _row(plan="{{7*7}}${7*7}<%= 7*7 %>"),
    "header break": _body(unit="a\r\nSet-Cookie: x=1"),
    "unknown key": _body(debug=True),
    "features a list of lists": b'{"features": [[1, 2], [3]]}',
    "features an empty list": b'{"features": []}',
    "features a text": b'{"features": "age"}',
    "too many rows": json.dumps({"features": [{}] * 1_001}).encode(),
    "mixed rows": json.dumps({"features": [ROW, None, 3, "x"]}).encode(),
    "unit a number": _body(unit=7),
    "unit an object": _body(unit={}),
    "unit too long": _body(unit="u" * 100_000),
    "ids too few": json.dumps({"features": [ROW, ROW], "prediction_id": ["a"]}).encode(),
    "ids twice": json.dumps({"features": [ROW, ROW], "prediction_id": ["a", "a"]}).encode(),
    "event time without a zone": _body(event_time="2026-05-01T12:00:00"),
    "event time a list": _body(event_time=["2026-05-01T12:00:00Z"]),
    "outcome without an id": b'{"outcome": 1}',
    "outcome null": b'{"prediction_id": "p", "outcome": null}',
    "outcome a list": b'{"prediction_id": "p", "outcome": [1]}',
    "outcome NaN": b'{"prediction_id": "p", "outcome": NaN}',
    "outcome 1e400": b'{"prediction_id": "p", "outcome": 1e400}',
    "outcome too large": b'{"prediction_id": "p", "outcome": ' + b"9" * 300 + b"}",
    "outcome surrogate": b'{"prediction_id": "p", "outcome": "\\ud800"}',
    "outcome of nobody": b'{"model": "nobody", "prediction_id": "p", "outcome": 1}',
}
"""Bodies by name. Some are valid, if strange: what counts is that none is answered with 5xx."""
