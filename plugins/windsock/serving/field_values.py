"""Values of a request's features against the model's schema."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from windsock.records import ColumnKind, InputField, InputSchema
from windsock.serving.strict_json import LARGEST_INTEGER, Fault, is_plain, kind_of

MAX_TEXT = 10_000
Values = tuple[Any, ...]
"""A row: its values in the order of the schema's fields, each of its field's kind; ``None`` is unknown."""
NAMES_SHOWN = 20


class WrongKindError(ValueError):
    """The value is not of the field's kind; the message says what was expected."""


def _number(value: Any, field: InputField) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise WrongKindError("a number")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _integer(value: Any, field: InputField) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or abs(value) > LARGEST_INTEGER:
        raise WrongKindError("an integer")
    return int(value)


def _boolean(value: Any, field: InputField) -> bool | str:
    words = [word for word in (field.true_word, field.false_word) if word is not None]
    if isinstance(value, bool) or (isinstance(value, str) and value in words):
        return value
    raise WrongKindError("true or false" + "".join(f" or {word!r}" for word in words))


def _category(value: Any, field: InputField) -> str | int | float:
    if isinstance(value, str) and is_plain(value) and len(value) <= MAX_TEXT:
        return value
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if numeric and _is_finite(value) and abs(value) <= LARGEST_INTEGER:
        return value  # type: ignore[no-any-return]
    raise WrongKindError(f"text of at most {MAX_TEXT:,} characters, or a number that is a name")


def _datetime(value: Any, field: InputField) -> str:
    moment = read_moment(value)
    if moment is None:
        raise WrongKindError("a time in ISO 8601, such as 2026-05-01T12:00:00Z")
    return moment.isoformat()


CHECK: dict[ColumnKind, Callable[[Any, InputField], Any]] = {
    ColumnKind.NUMBER: _number,
    ColumnKind.INTEGER: _integer,
    ColumnKind.BOOLEAN: _boolean,
    ColumnKind.CATEGORY: _category,
    ColumnKind.DATETIME: _datetime,
}
EXPECTED = {
    ColumnKind.NUMBER: "a number",
    ColumnKind.INTEGER: "an integer",
    ColumnKind.BOOLEAN: "true or false",
    ColumnKind.CATEGORY: "text",
    ColumnKind.DATETIME: "a time in ISO 8601",
}


def read_moment(value: Any, *, zone_needed: bool = False) -> datetime | None:
    """Return an ISO 8601 time in UTC, or ``None`` if the value is none.

    :param zone_needed: whether a time without a zone is refused; else it is UTC already.
    """
    if not isinstance(value, str) or not value.isascii():
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return None if zone_needed else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def check_features(row: Mapping[str, Any], schema: InputSchema, place: str) -> tuple[Values, list[Fault]]:
    """Hold a feature object against the schema.

    :param row: what the client sent.
    :param place: how faults name the object: ``features`` or ``features[3]``.
    :returns: the values (numbers as floats, whole floats of integer fields as integers, times as text in
        UTC), and what is wrong.
    """
    faults: list[Fault] = []
    values: list[Any] = []
    for field in schema.fields:
        value = row.get(field.name)
        if field.name not in row and field.required:
            faults.append(Fault(f"{place}.{field.name}", "nothing", EXPECTED[field.kind]))
        elif value is not None or not (field.nullable or field.name not in row):
            try:
                value = CHECK[field.kind](value, field)
            except WrongKindError as wrong:
                faults.append(Fault(f"{place}.{field.name}", kind_of(value), str(wrong)))
        values.append(value)
    if unknown := len(row.keys() - {field.name for field in schema.fields}):
        faults.append(Fault(place, f"{unknown} unknown field{'s' * (unknown > 1)}", f"only {_names(schema)}"))
    return tuple(values), faults


def _names(schema: InputSchema) -> str:
    names = [field.name for field in schema.fields]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
