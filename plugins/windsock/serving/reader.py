"""The usual prediction request, read in one pass.

:class:`PlainReader` accepts only what it can prove to be right in one typed pass: everything else, right
or wrong, goes to the strict reader (``strict_json``, ``contract``, ``field_values``), which decides and
explains. So there is one contract, and the fast way is never the more lenient one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

from windsock.records import ColumnKind, InputField, InputSchema
from windsock.serving.contract import MAX_ROWS, PredictRequest, is_identifier
from windsock.serving.field_values import MAX_TEXT, Values, read_moment
from windsock.serving.identifiers import new_id
from windsock.serving.strict_json import LARGEST_INTEGER

_INTEGER = Annotated[int, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
_NAME = (
    Annotated[str, Meta(max_length=MAX_TEXT)]
    | _INTEGER
    | Annotated[float, Meta(ge=-float(LARGEST_INTEGER - 1024), le=float(LARGEST_INTEGER - 1024))]
)
TYPES: dict[ColumnKind, Any] = {
    ColumnKind.NUMBER: float,
    ColumnKind.INTEGER: _INTEGER,
    ColumnKind.CATEGORY: _NAME,
    ColumnKind.DATETIME: str,
}
NO_COLUMNS = (UNSET, UNSET, UNSET)
TEXTS = (ColumnKind.CATEGORY, ColumnKind.DATETIME, ColumnKind.BOOLEAN)
"""Kinds whose values may be text."""
ESCAPED = re.compile(r'["\\\x00-\x1f]')
"""Characters of a name that JSON writes with an escape; msgspec takes none of them."""


class PlainReader:
    """Reads requests for one schema.

    Fields that the schema ignores are read and dropped; a value of an earlier version's kind is for the
    strict reader. Where the name of a field needs an escape in JSON, such as a quotation mark, the strict
    reader reads all.

    :param schema: that of all versions that may answer.
    """

    def __init__(self, schema: InputSchema) -> None:
        fields = schema.request_fields
        self._decode: Callable[[bytes], Any] | None = None
        if not any(ESCAPED.search(field.name) for field in fields):
            self._decode = self._decoder(schema)
        self._width = len(schema.fields)
        self._ignores = bool(schema.ignored)
        self._all_required = all(field.required for field in fields)
        self._times = [place for place, field in enumerate(fields) if field.kind is ColumnKind.DATETIME]
        texts = [place for place, field in enumerate(fields) if field.kind in TEXTS]
        self._texts = _getter(texts)

    @staticmethod
    def _decoder(schema: InputSchema) -> Callable[[bytes], Any]:
        """Return what reads the JSON of a request into rows of the schema's fields."""
        fields = schema.request_fields
        row = msgspec.defstruct(
            "Row",
            [_definition(number, field) for number, field in enumerate(fields)],
            rename={f"f{number}": field.name for number, field in enumerate(fields)},
            forbid_unknown_fields=True,
            kw_only=_has_a_gap(fields),
            gc=False,
        )
        given = str | list[str | None] | None | msgspec.UnsetType
        body = msgspec.defstruct(
            "Body",
            [
                ("features", row | Annotated[list[row], Meta(min_length=1, max_length=MAX_ROWS)]),  # type: ignore[valid-type]
                *((key, given, UNSET) for key in ("unit", "prediction_id", "event_time")),
            ],
            forbid_unknown_fields=True,
        )
        decode: Callable[[bytes], Any] = msgspec.json.Decoder(body).decode
        return decode

    def read(self, body: bytes) -> PredictRequest | None:
        """Return the request, or ``None`` if the strict reader must look at it."""
        if self._decode is None or b"\\" in body:
            return None  # escapes: lone surrogates, and quotation marks that are no ends of a text
        try:
            said = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        single = not isinstance(said.features, list)
        rows = [said.features] if single else said.features
        values = [msgspec.structs.astuple(row) for row in rows]
        columns = (said.unit, said.prediction_id, said.event_time)
        if body.count(b'"') != 2 * (self._texts_in(values) + _texts_of(columns)):
            return None  # a key stands twice
        if not self._all_required:
            values = [tuple([None if value is UNSET else value for value in row]) for row in values]
        if self._times and not (values := self._with_times(values)):
            return None
        if self._ignores:
            values = [row[: self._width] for row in values]
        return _request(values, columns, single, body)

    def _texts_in(self, rows: Sequence[Values]) -> int:
        """Return how many texts, keys included, the rows were written with."""
        texts = self._texts
        found = sum([list(map(type, texts(row))).count(str) for row in rows]) if texts else 0
        if self._all_required:
            return found + self._width * len(rows)
        return found + sum(value is not UNSET for row in rows for value in row)

    def _with_times(self, rows: Sequence[Values]) -> list[Values]:
        """Return the rows with their times in UTC; nothing if one is no time."""
        changed: list[Values] = []
        for row in rows:
            values = list(row)
            for place in self._times:
                if values[place] is not None:
                    if (moment := read_moment(values[place])) is None:
                        return []
                    values[place] = moment.isoformat()
            changed.append(tuple(values))
        return changed


def _has_a_gap(fields: Sequence[InputField]) -> bool:
    """Return whether an optional field stands before a required one: that takes a little longer to read."""
    required = [field.required for field in fields]
    return required != sorted(required, reverse=True)


def _definition(number: int, field: InputField) -> tuple[Any, ...]:
    kind: Any = TYPES.get(field.kind)
    if field.kind is ColumnKind.BOOLEAN:
        words = tuple(word for word in (field.true_word, field.false_word) if word is not None)
        kind = bool | Literal[words] if words else bool
    if field.nullable:
        kind = kind | None
    return (f"f{number}", kind) if field.required else (f"f{number}", kind | msgspec.UnsetType, UNSET)


def _getter(places: Sequence[int]) -> Any:
    """Return a function row -> its values at these places, as a sequence."""
    if not places:
        return None
    if len(places) == 1:
        only = places[0]
        return lambda row: (row[only],)
    return itemgetter(*places)


def _texts_of(columns: Sequence[Any]) -> int:
    """Return how many texts, keys included, the body's own keys were written with; ``features`` is one."""
    found = 1
    for given in columns:
        if given is UNSET:
            continue
        found += 1
        if isinstance(given, str):
            found += 1
        elif given is not None:
            found += len(given) - given.count(None)
    return found


def _request(
    values: Sequence[Values], columns: Sequence[Any], single: bool, body: bytes
) -> PredictRequest | None:
    """Return the request, or ``None`` if something about units, ids or times is not as usual."""
    rows = len(values)
    if columns == NO_COLUMNS:
        return PredictRequest(
            None, values, [None] * rows, [new_id() for _ in values], [None] * rows, single, body
        )
    units, ids, times = (_column(given, rows, single) for given in columns)
    if units is None or ids is None or times is None:
        return None
    if not all(is_identifier(unit) for unit in units if unit is not None):
        return None
    named = [identifier for identifier in ids if identifier is not None]
    if named and (
        len(set(named)) != len(named)
        or not all(map(is_identifier, named))
        or (not single and isinstance(columns[1], str))
    ):
        return None
    moments: list[datetime | None] = [None] * rows
    if times.count(None) != rows:
        moments = [None if said is None else read_moment(said, zone_needed=True) for said in times]
        if moments.count(None) != times.count(None):
            return None
    return PredictRequest(
        features=None,
        values=values,
        units=units,
        ids=[identifier or new_id() for identifier in ids],
        times=moments,
        single=single,
        body=body,
    )


def _column(given: Any, rows: int, single: bool) -> list[str | None] | None:
    """Return a text for each row, or ``None`` if the column is not plainly right."""
    if given is UNSET or given is None or isinstance(given, str):
        return [None if given is UNSET else given] * rows
    return given if not single and len(given) == rows else None
