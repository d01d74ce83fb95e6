"""What a label that came from outside means to a model: one of its classes, a number, or nothing it knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from windsock.records import Answer, InputSchema
from windsock.records.values import LARGEST

Label = str | int | float | bool
TRUE_WORDS, FALSE_WORDS = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")
"""What two classes that are true and false, or 1 and 0, are called elsewhere; in any case."""


def read_outcomes(outcomes: Iterable[Any], schema: InputSchema) -> tuple[list[Label | None], int]:
    """Turn labels as they came into a model's classes or numbers.

    A class is meant by itself or by its text as JSON writes it: ``1``, ``1.0`` and ``"1"`` mean the class 1,
    ``"yes"`` the class ``yes`` and no other spelling does. Two classes that are true and false, or 1 and 0,
    are also meant by :data:`TRUE_WORDS` and :data:`FALSE_WORDS`. A number is meant by itself or its text.

    :param outcomes: JSON scalars, or values of a table or a file; ``None`` and NaN where there is none.
    :returns: for each the class or number, ``None`` where there is none; and how many labels are neither.
    """
    meant = _number if schema.answer is Answer.NUMBER else _class_of(_texts(schema))
    known: dict[tuple[type, Any], Label | None] = {}
    read: list[Label | None] = []
    foreign = 0
    for outcome in outcomes:
        plain = _plain(outcome)
        if plain is None:
            read.append(None)
            continue
        key = (type(plain), plain)
        if key not in known:
            known[key] = meant(plain)
        label = known[key]
        foreign += label is None
        read.append(label)
    return read, foreign


def _plain(value: Any) -> Any:
    """Return a Python scalar; ``None`` for what is missing."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or type(value).__name__ == "NAType" or value != value:
        return None
    return value if isinstance(value, bool | int | float | str) else _foreign(value)


def _foreign(value: Any) -> Any:
    """Return a decimal number as a float and anything else as text."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)


def _number(value: Label) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= LARGEST else None


def _texts(schema: InputSchema) -> Mapping[str, Label]:
    classes = {_text(label): label for label in schema.classes}
    for truths in ((False, True), (0, 1)):
        if len(schema.classes) == 2 and all(_is(label, truths) for label in schema.classes):
            no, yes = sorted(schema.classes)
            classes |= dict.fromkeys(TRUE_WORDS, yes) | dict.fromkeys(FALSE_WORDS, no)
    return classes


def _is(label: Label, truths: tuple[int, int]) -> bool:
    return label in truths and isinstance(label, bool) is isinstance(truths[0], bool)


def _class_of(classes: Mapping[str, Label]) -> Callable[[Label], Label | None]:
    has_words = set(TRUE_WORDS) <= classes.keys()

    def meant(value: Label) -> Label | None:
        text = _text(value)
        return classes.get(text, classes.get(text.lower()) if has_words else None)

    return meant


def _text(value: Label) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    return str(value).strip()
