"""What a label that came from outside means to a model: one of its classes, a number, or nothing it knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from windsock.records import Answer, InputSchema
from windsock.records.values import LARGEST

Label = str | int | float | bool
Meant = Callable[[Any], Label | None]
TRUE_WORDS, FALSE_WORDS = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")
"""What two classes that are true and false, or 1 and 0, are called elsewhere; in any case."""
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")
EXACT = 2**53
"""From here on a floating point number stands for several whole ones."""


def read_outcomes(outcomes: Iterable[Any], schema: InputSchema) -> tuple[list[Label | None], int]:
    """Turn labels as they came into a model's classes or numbers.

    What a label means goes by what the model answers with. A class that is a number is meant by that number,
    however it is written: ``1``, ``1.0``, ``"1"``, ``" 1e0 "``. Two classes that are true and false, or 1 and
    0, are also meant by :data:`TRUE_WORDS`, :data:`FALSE_WORDS` and the words of the training rows. A class
    that is text is meant by that text without blanks around it, and by the whole number or truth that JSON
    writes so. A number is meant by itself or its text.

    :param outcomes: JSON scalars, or values of a table or a file; ``None``, NaN and blank text where there is
        none.
    :returns: for each the class or number, ``None`` where there is none; and how many labels are neither.
    """
    meant = reader_of(schema)
    known: dict[Hashable, Label | None] = {}
    read: list[Label | None] = []
    foreign = 0
    for outcome in outcomes:
        plain = plain_label(outcome)
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


def meanings(outcomes: Iterable[Any], schema: InputSchema) -> list[Hashable]:
    """Return what each label means, so that two are equal if they mean the same.

    Labels that mean nothing to the model mean what they say: a label that it knows contradicts them.
    """
    meant = reader_of(schema)
    plain = [plain_label(outcome) for outcome in outcomes]
    read = [None if one is None else meant(one) for one in plain]
    return [
        (True, label) if label is not None else (False, None if one is None else _text(one))
        for one, label in zip(plain, read, strict=True)
    ]


def reader_of(schema: InputSchema) -> Meant:
    """Return what turns a plain label into the class or number that it means."""
    return _number if schema.answer is Answer.NUMBER else _class_of(schema)


def plain_label(value: Any) -> Any:
    """Return a truth, a number or text without blanks around it; ``None`` for what is missing."""
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        value = str(value)  # as an item it would be a number of nanoseconds
    elif hasattr(value, "item"):
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Decimal):
        return _undecimal(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, bool | int | float):
        return None if value != value else value
    return str(value).strip() or None


def _undecimal(value: Decimal) -> int | float | str | None:
    """Return a decimal number as a whole one where it is, and as text beyond what a model's numbers are."""
    if value.is_nan():
        return None
    if not value.is_finite() or value.adjusted() > MOST_DIGITS:
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


MOST_DIGITS = Decimal(LARGEST).adjusted()


def _written(text: str) -> int | float | None:
    """Return the number that text is, as programs write numbers; ``None``: it is none."""
    if NUMBER.fullmatch(text) is None:
        return None
    number = _undecimal(Decimal(text))
    return None if isinstance(number, str) else number


def _number(value: Any) -> float | None:
    number = _written(value) if isinstance(value, str) else value
    if number is None or isinstance(number, bool) or not abs(number) <= LARGEST:
        return None
    return float(number)


def _class_of(schema: InputSchema) -> Meant:
    words = {_text(label): label for label in schema.classes}
    numbers: Mapping[int | float, Label] = {
        label: label for label in schema.classes if not isinstance(label, bool | str)
    }
    truths = _truths(schema)
    if truths is not None:
        no, yes = truths
        words |= dict.fromkeys(TRUE_WORDS, yes) | dict.fromkeys(FALSE_WORDS, no)
        for word, label in zip(schema.label_words or (), (yes, no), strict=False):
            words[word.strip().lower()] = label
        numbers = {0: no, 1: yes}

    def meant(value: Any) -> Label | None:
        if isinstance(value, bool):
            return words.get(_text(value))
        if isinstance(value, str):
            found = words.get(value, words.get(value.lower()) if truths else None)
            if found is not None or not numbers:
                return found
            value = _written(value)
        if value is None or not abs(value) <= LARGEST:
            return None
        label = numbers.get(value) if numbers else words.get(_text(value))
        unsure = isinstance(value, float) and abs(value) >= EXACT and not isinstance(label, float)
        return None if unsure else label

    return meant


def _truths(schema: InputSchema) -> tuple[Label, Label] | None:
    """Return the classes that are false and true, or 0 and 1, where there are only these."""
    for truths in ((False, True), (0, 1)):
        if len(schema.classes) == 2 and all(_is(label, truths) for label in schema.classes):
            no, yes = sorted(schema.classes)
            return no, yes
    return None


def _is(label: Label, truths: tuple[int, int]) -> bool:
    return label in truths and isinstance(label, bool) is isinstance(truths[0], bool)


def _text(value: Label) -> str:
    """Return a label as JSON writes it; a whole number has no point."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value.strip()
    if not abs(value) <= LARGEST:
        return "a number beyond all"
    return str(int(value)) if value == int(value) else str(value)
