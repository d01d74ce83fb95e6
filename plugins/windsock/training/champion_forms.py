"""The form of a column's words, then and now: whether the same words are other values to a champion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from windsock.exceptions import DataRefusedError
from windsock.ports import LoadedBundle
from windsock.records import ColumnKind, ColumnSchema, InputField, ValueForm
from windsock.records.source_words import Reading
from windsock.training.champion_rows import seen_words

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = (ColumnKind.NUMBER, ColumnKind.INTEGER)
FEATURE_CODE = "WS-EVALUATION-004"
OR_ASK = "or let a person decide with `gate.on_insufficient: ask`"
KEYS = {
    ColumnKind.NUMBER: ("decimal", "unit", "currency", "dates"),
    ColumnKind.INTEGER: ("decimal", "unit", "currency", "dates"),
    ColumnKind.DATETIME: ("dates",),
}
"""What makes other values of the same words. The mark of thousands does not: with the same decimal sign a
word has one value or none."""


def require_same_form(field: InputField, column: ColumnSchema, champion: LoadedBundle) -> None:
    """Refuse a column whose words would be other values to the champion than they are now.

    A champion from before forms were kept is not held to one.

    :raises DataRefusedError: the message names the column and both forms, the next action the keys.
    """
    if field.form is None:
        return
    keys = [key for key in KEYS.get(field.kind, ()) if getattr(field.form, key) != getattr(column.form, key)]
    if field.form.unit == column.form.unit and not (field.form.currency and column.form.currency):
        keys = [key for key in keys if key != "currency"]  # of forms from before currencies none is known
    if keys:
        theirs, ours = (_shown(form, keys) for form in (field.form, column.form))
        raise DataRefusedError(
            f"column {field.name!r} is written with {theirs} for the champion and with {ours} in the "
            "snapshot: the same words would be other values to it",
            code=FEATURE_CODE,
            next_action=f"Write `data.columns.{field.name}: {{{theirs}}}` if the form of before is right; if "
            "the champion learned from wrong values, let a person decide with `gate.on_insufficient: ask`.",
        )
    lost = [word for word in column.form.nulls if word not in field.form.nulls]
    if count := sum(_was_value(word, field, champion) for word in lost):
        raise DataRefusedError(
            f"column {field.name!r}: {count} word(s) that mean a missing value in the snapshot (`nulls`) "
            f"were values of kind {field.kind.value} to the champion; it has {len(field.form.nulls)} such "
            f"word(s), the snapshot {len(column.form.nulls)}",
            code=FEATURE_CODE,
            next_action=f"Take the words out of `data.columns.{field.name}.nulls` (or `data.source.nulls`) "
            f"if they are values, {OR_ASK}.",
        )


def without_null_words(values: pd.Series[Any], field: InputField, column: ColumnSchema) -> pd.Series[Any]:
    """Return a column without what stood for no value when the champion was trained, and does no more."""
    words = [word for word in field.form.nulls if word not in column.form.nulls] if field.form else []
    if not words or column.kind not in (*NUMBERS, ColumnKind.CATEGORY):
        return values
    gone: list[Any] = words
    if column.kind in NUMBERS:
        numbers = [number_of(word, column.form) for word in words]
        gone = [number for number in numbers if number is not None]
    return values.mask(values.isin(gone))


def number_of(word: str, form: ValueForm) -> float | None:
    """Return the number that a word is in a form; ``None`` if it is none."""
    plain = word.strip().removesuffix("%").strip()
    if form.thousands:
        plain = plain.replace(form.thousands, "")
    try:
        value = Reading(kind=ColumnKind.NUMBER).read(plain.replace(form.decimal, "."))
    except ValueError:
        return None
    return value if isinstance(value, float) else None


def _was_value(word: str, field: InputField, champion: LoadedBundle) -> bool:
    """Return whether a word was a value to the champion, and one that it saw where that is known."""
    form = field.form or ValueForm()
    if field.kind is ColumnKind.CATEGORY:
        return word in (seen_words(champion, field.name) or ())
    if field.kind is ColumnKind.BOOLEAN:
        truths = Reading(kind=field.kind, true_word=field.true_word, false_word=field.false_word).truths
        return word.lower() in truths
    if field.kind is ColumnKind.DATETIME:
        return re.search("[1-9]", word) is not None
    number = number_of(word, form)
    profile = champion.profile.column(field.name) if champion.profile is not None else None
    if number is None or profile is None or not profile.edges:
        return number is not None
    return number in profile.edges  # a number in 1 of 256 rows or more is an edge


def _shown(form: ValueForm, keys: list[str]) -> str:
    return ", ".join(f'{key}: "{getattr(form, key)}"' for key in keys)
