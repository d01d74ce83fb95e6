"""Bodies of MLflow's scoring protocol read into feature objects: four forms of JSON, and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from windsock.records import ColumnKind, EarlierKind, InputField, InputSchema
from windsock.serving.contract import MAX_ROWS
from windsock.serving.field_values import read_moment
from windsock.serving.protocols.common import (
    AskedRows,
    ProtocolError,
    read_identifiers,
    read_object,
    require_different,
    require_rows,
    shortest_row,
)
from windsock.serving.strict_json import kind_of

CODE = "WS-SERVING-043"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
MISSING = frozenset({"", "NaN", "nan", "NaT"})
"""Texts of a CSV cell that mean that the value is unknown."""
WHOLE = re.compile(r"[+-]?[0-9]{1,25}", re.ASCII)
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?", re.ASCII)
LONGEST_NUMBER = 400

Row = dict[str, Any]


def refused(field: str, got: str, expected: str) -> ProtocolError:
    """Return the refusal of a body that is not as the protocol says."""
    return ProtocolError(field, got, expected, code=CODE)


def read_scoring_json(body: bytes, schema: InputSchema) -> AskedRows:
    """Read a JSON body: exactly one of the four forms, and ``params``.

    Of ``params`` only ``unit`` and ``prediction_id`` mean something; the others are ignored, as MLflow
    ignores those that a model does not know.

    :raises RequestRefusedError: if it is not as the protocol says.
    """
    said = read_object(body)
    forms = [form for form in FORMS if form in said]
    if len(forms) != 1:
        raise refused("body", f"{len(forms)} of the forms", "exactly one of " + ", ".join(FORMS))
    form = forms[0]
    rows = READERS[form](said[form], _Order(schema), form)
    require_rows(len(rows), form, CODE)
    _unknown_times(rows, schema)
    params = said.get("params")
    if params is not None and not isinstance(params, dict):
        raise refused("params", kind_of(params), "an object")
    units, ids = ((params or {}).get(key) for key in ("unit", "prediction_id"))
    units = [units] * len(rows) if isinstance(units, str) else units
    ids = [ids] if isinstance(ids, str) else ids
    identifiers = read_identifiers(ids, len(rows), "params.prediction_id", CODE)
    require_different(identifiers, "params.prediction_id", CODE)
    return AskedRows(
        rows=rows, units=read_identifiers(units, len(rows), "params.unit", CODE), ids=identifiers
    )


def _unknown_times(rows: Sequence[Row], schema: InputSchema) -> None:
    """Let pandas' text for a missing time be null."""
    for name in [field.name for field in schema.request_fields if field.kind is ColumnKind.DATETIME]:
        for row in rows:
            if row.get(name) == "NaT":
                row[name] = None


class _Order:
    """The names of values that come without one; a row may be as short as an earlier version's."""

    def __init__(self, schema: InputSchema) -> None:
        self.names = [field.name for field in schema.in_order]
        self.shortest = shortest_row(schema)

    def of_width(self, width: int) -> list[str]:
        """Return the names of a row of so many values; all names if no row has as many."""
        return self.names[:width] if self.shortest <= width <= len(self.names) else self.names

    def of_rows(self, rows: Any) -> list[str]:
        """Return the names of the values of rows, by the first of them."""
        first = rows[0] if isinstance(rows, list) and rows else None
        return self.of_width(len(first)) if isinstance(first, list) else self.names


def _split(given: Any, order: _Order, form: str) -> list[Row]:
    if not isinstance(given, dict):
        raise refused(form, kind_of(given), "an object with columns and data")
    if unknown := len(given.keys() - {"columns", "data", "index"}):
        raise refused(form, f"{unknown} unknown keys", "only columns, data and index")
    data = given.get("data")
    return _lists(data, _columns(given.get("columns"), order, data, form), f"{form}.data")


def _columns(given: Any, order: _Order, data: Any, form: str) -> list[str]:
    if given is None:
        return order.of_rows(data)
    if not isinstance(given, list):
        raise refused(f"{form}.columns", kind_of(given), "a list of names")
    if given and given == list(range(len(given))):  # a frame that was made without names
        return order.of_width(len(given))
    if not all(isinstance(name, str) for name in given) or len(set(given)) != len(given):
        raise refused(f"{form}.columns", "something else", "a list of different names")
    return given


def _lists(given: Any, names: Sequence[str], place: str) -> list[Row]:
    if not isinstance(given, list):
        raise refused(place, kind_of(given), "a list of rows")
    require_rows(len(given), place, CODE)
    for number, row in enumerate(given):
        if not isinstance(row, list) or len(row) != len(names):
            got = f"a list of {len(row):,}" if isinstance(row, list) else kind_of(row)
            raise refused(f"{place}[{number}]", got, f"a list of {len(names):,} values, one for each column")
    return [dict(zip(names, row, strict=True)) for row in given]


def _records(given: Any, order: _Order, place: str) -> list[Row]:
    if not isinstance(given, list):
        raise refused(place, kind_of(given), "a list of objects")
    for number, row in enumerate(given):
        if not isinstance(row, dict):
            raise refused(f"{place}[{number}]", kind_of(row), "an object")
    return given


def _instances(given: Any, order: _Order, place: str) -> list[Row]:
    """Read a list of objects, or of lists in the order of the schema."""
    if isinstance(given, list) and given and isinstance(given[0], list):
        return _lists(given, order.of_rows(given), place)
    return _records(given, order, place)


def _inputs(given: Any, order: _Order, place: str) -> list[Row]:
    """Read what ``instances`` takes, or an object of columns, or one row as an object."""
    if not isinstance(given, dict):
        return _instances(given, order, place)
    if not any(isinstance(column, list) for column in given.values()):
        return [given]
    lengths = {len(column) if isinstance(column, list) else -1 for column in given.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise refused(place, "columns of different lengths", "a list of values for each column, equally long")
    require_rows(lengths.pop(), place, CODE)
    return [dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)]


READERS = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def read_scoring_csv(body: bytes, schema: InputSchema) -> AskedRows:
    """Read CSV in UTF-8 with a header, as ``DataFrame.to_csv(index=False)`` writes it.

    A cell is text: it is read as its field's kind. What cannot be is left as text, for the schema to refuse.

    :raises RequestRefusedError: if it is none.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refused("body", "bytes that are not UTF-8", "CSV in UTF-8") from None
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, None)
        if not header or len(set(header)) != len(header):
            raise refused("header", "no header, or a name twice", "the names of the columns")
        fields = {field.name: field for field in schema.request_fields}
        kinds = [fields.get(name) for name in header]
        rows: list[Row] = []
        for cells in reader:
            if not cells and len(header) > 1:
                continue  # a blank line
            rows.append(_row(cells or [""], header, kinds, len(rows)))
            require_rows(len(rows) if len(rows) > MAX_ROWS else 1, "body", CODE)
    except csv.Error:
        raise refused("body", "text that is no CSV", "CSV with commas and double quotes") from None
    require_rows(len(rows), "body", CODE)
    return AskedRows(rows=rows)


def _row(cells: list[str], header: list[str], kinds: list[InputField | None], number: int) -> Row:
    if len(cells) != len(header):
        raise refused(f"row {number + 1}", f"{len(cells):,} cells", f"{len(header):,}, as the header has")
    return {name: _cell(cell, kind) for name, cell, kind in zip(header, cells, kinds, strict=True)}


def _cell(text: str, field: InputField | None) -> Any:
    if field is None or text in MISSING:
        return None
    kinds: list[InputField | EarlierKind] = [field, *field.earlier]
    read = (_as_kind(text, kind) for kind in kinds)
    return next((value for value in read if value is not None), text)


def _as_kind(text: str, kind: InputField | EarlierKind) -> int | float | str | bool | None:
    """Return a cell as one of a kind; ``None`` where it is none."""
    if kind.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        number = _number(text.strip(" "))
        return None if isinstance(number, str) else number
    if kind.kind is ColumnKind.BOOLEAN and text not in (kind.true_word, kind.false_word):
        return {"true": True, "false": False}.get(text.strip(" ").lower())
    return None if kind.kind is ColumnKind.DATETIME and read_moment(text) is None else text


def _number(text: str) -> int | float | str:
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if len(text) <= LONGEST_NUMBER and DECIMAL.fullmatch(text) else text
