"""Values of a database as MessagePack and back: the same Python values, and nothing that could run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

PLAIN = frozenset({type(None), bool, float, str, bytes})
LEAST, MOST = -(2**63), 2**63 - 1
WRITERS: dict[type, tuple[str, Callable[[Any], str]]] = {
    int: ("int", str),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", lambda value: f"{value.days},{value.seconds},{value.microseconds}"),
}
"""Types that MessagePack does not know, or not whole: a pair of a word and a text stands for such a value."""
READERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "decimal": Decimal,
    "uuid": UUID,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda text: timedelta(*map(int, text.split(","))),
}
OTHER = "other"


class NotPlain:
    """A value of a type that no column of a model can hold: a list, a document, a range.

    :param name: the name of its type.
    """

    def __init__(self, name: str) -> None:
        self.name = name


def write_column(values: Sequence[Any]) -> list[Any]:
    """Return a column's values for MessagePack: whether some are pairs, and the values."""
    types = set(map(type, values))
    if types <= PLAIN or (types <= PLAIN | {int} and _fit(values)):
        return [False, values]
    return [True, [_written(value) for value in values]]


def read_column(written: Sequence[Any]) -> list[Any]:
    """Return the values that :func:`write_column` wrote."""
    pairs, values = written
    if not pairs:
        return list(values)
    return [_read(value) if isinstance(value, list) else value for value in values]


def _fit(values: Sequence[Any]) -> bool:
    return all(LEAST <= value <= MOST for value in values if type(value) is int)


def _written(value: Any) -> Any:
    kind = type(value)
    if kind in PLAIN or (kind is int and LEAST <= value <= MOST):
        return value
    if kind in WRITERS:
        word, write = WRITERS[kind]
        return [word, write(value)]
    for base, (word, write) in WRITERS.items():  # a driver's own kind of one of them
        if isinstance(value, base):
            return [word, write(value)]
    if isinstance(value, str):
        return str(value)
    return [OTHER, kind.__name__]


def _read(pair: Sequence[Any]) -> Any:
    word, text = pair
    return NotPlain(str(text)) if word == OTHER else READERS[word](text)
