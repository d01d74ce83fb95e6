"""Values of a request's features against the model's schema."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from windsock.records import ColumnKind, EarlierKind, InputField, InputSchema
from windsock.records.source_words import Reading
from windsock.serving.strict_json import LARGEST_INTEGER, Fault, is_plain, kind_of
from windsock.texts import first_of

MAX_TEXT = 10_000
Values = tuple[Any, ...]
"""A row: its values in the order of the schema's fields, each of its field's kind; ``None`` is unknown."""
NAMES_SHOWN = 20
UNKNOWN_SHOWN, UNKNOWN_LENGTH = 3, 40
"""How many keys that no version knows are named, and how much of each."""
A_NAME = re.compile(r"[^\W\d][\w .-]*")
Field = InputField | EarlierKind


class WrongKindError(ValueError):
    """The value is not of the field's kind; the message says what was expected."""


def _number(value: Any, field: Field) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise WrongKindError("a number")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _integer(value: Any, field: Field) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or abs(value) > LARGEST_INTEGER:
        raise WrongKindError("an integer")
    return int(value)


def _boolean(value: Any, field: Field) -> bool | str:
    words = [word for word in (field.true_word, field.false_word) if word is not None]
    if isinstance(value, bool) or (isinstance(value, str) and value in words):
        return value
    raise WrongKindError("true or false" + "".join(f" or {word!r}" for word in words))


def _category(value: Any, field: Field) -> str | int | float:
    if isinstance(value, str) and is_plain(value) and len(value) <= MAX_TEXT:
        return value
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if numeric and _is_finite(value) and abs(value) <= LARGEST_INTEGER:
        return value  # type: ignore[no-any-return]
    raise WrongKindError(f"text of at most {MAX_TEXT:,} characters, or a number that is a name")


def _datetime(value: Any, field: Field) -> str:
    moment = read_moment(value)
    if moment is None:
        raise WrongKindError("a time in ISO 8601, such as 2026-05-01T12:00:00Z")
    return moment.isoformat()


CHECK: dict[ColumnKind, Callable[[Any, Field], Any]] = {
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


def read_value(value: Any, field: InputField) -> Any:
    """Return a value as one of a field's kind.

    One of a kind that an earlier version took is read by its word; what that means nothing to is unknown.

    :raises WrongKindError: if it is of none of the field's kinds.
    """
    try:
        return CHECK[field.kind](value, field)
    except WrongKindError as wrong:
        for kind in field.earlier:
            try:
                own = CHECK[kind.kind](value, kind)
            except WrongKindError:
                continue
            return _by_word(own, kind, field)
        raise wrong from None


def _by_word(value: Any, kind: EarlierKind, field: InputField) -> Any:
    word = _reading(kind).word_of(value)
    if word is None:
        return None
    try:
        return CHECK[field.kind](_plain(_reading(field).read(word), field.kind), field)
    except ValueError:  # also WrongKindError
        return None


def _reading(field: Field) -> Reading:
    return Reading(kind=field.kind, true_word=field.true_word, false_word=field.false_word)


def _plain(value: Any, kind: ColumnKind) -> Any:
    return value.isoformat() if kind is ColumnKind.DATETIME and value is not None else value


def check_features(row: Mapping[str, Any], schema: InputSchema, place: str) -> tuple[Values, list[Fault]]:
    """Hold a feature object against the schema.

    :param row: what the client sent.
    :param place: how faults name the object: ``features`` or ``features[3]``.
    :returns: the values of the fields that the schema uses (numbers as floats, whole floats of integer
        fields as integers, times as text in UTC), and what is wrong.
    """
    faults: list[Fault] = []
    values: list[Any] = []
    fields = schema.request_fields
    for field in fields:
        value = row.get(field.name)
        if field.name not in row and field.required:
            faults.append(Fault(f"{place}.{field.name}", "nothing", EXPECTED[field.kind]))
        elif value is not None or not (field.nullable or field.name not in row):
            try:
                value = read_value(value, field)
            except WrongKindError as wrong:
                faults.append(Fault(f"{place}.{field.name}", kind_of(value), str(wrong)))
        values.append(value)
    if unknown := row.keys() - {field.name for field in fields}:
        faults.append(Fault(place, _unknown(unknown), f"only {_names(schema)}"))
    return tuple(values[: len(schema.fields)]), faults


def _unknown(names: Collection[str]) -> str:
    """Return keys that no version knows in a few words.

    Those that may be values, such as the first row of a table without a header, are counted and not named.
    """
    named = sorted(name for name in names if A_NAME.fullmatch(name))[:UNKNOWN_SHOWN]
    shown = ", ".join(repr(name[:UNKNOWN_LENGTH]) for name in named)
    said = f"{len(names)} unknown field{'s' * (len(names) > 1)}"
    return f"{said}: {shown}{' and others' if len(named) < len(names) else ''}" if named else said


def _names(schema: InputSchema) -> str:
    names = [field.name for field in schema.fields]
    return first_of(names, NAMES_SHOWN)
