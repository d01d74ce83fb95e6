"""Values one by one: those that are encrypted, of several kinds, or of another kind than the profile's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from windsock.adapters.column_cipher import PREFIX, UNAVAILABLE, ColumnCipher
from windsock.adapters.log_leaves import Leaf
from windsock.adapters.window_counts.plan import no_rows
from windsock.exceptions import SettingsError
from windsock.records import ColumnKind, ColumnProfile
from windsock.records.values import LARGEST, category_text
from windsock.statistics.counting import NUMERIC, ColumnCounts, count_categories, count_ordered
from windsock.statistics.ties import cuts_of


class UnreadableError(ValueError):
    """The value cannot be read as the profile's kind."""


def count_values(
    column: ColumnProfile, pairs: Iterable[tuple[Any, int]], leaf: Leaf, cipher: ColumnCipher | None
) -> ColumnCounts:
    """Count logged values as the profile's kind.

    :param pairs: different values of a leaf, each with its rows; ``None`` is no value.
    :param leaf: what the values are.
    :param cipher: reads encrypted ones; ``None``: they are unreadable.
    """
    found: dict[Any, int] = {}
    unreadable = 0
    for value, count in pairs:
        try:
            read = _read(column, value, leaf, cipher)
        except UnreadableError:
            unreadable += count
        else:
            found[read] = found.get(read, 0) + count
    nulls = found.pop(None, 0)
    if column.kind in NUMERIC:
        counted = _numbers(column, found, nulls)
    elif column.kind is ColumnKind.DATETIME:
        counted = ColumnCounts(rows=sum(found.values()), nulls=nulls)
    else:
        counted = count_categories(column, found, nulls)
    return counted + no_rows(column, unreadable=unreadable)


def _numbers(column: ColumnProfile, found: dict[Any, int], nulls: int) -> ColumnCounts:
    import numpy as np

    values = np.array(list(found), dtype="float64")
    ordered = np.sort(np.repeat(values, np.array(list(found.values()), dtype=np.int64)))
    return count_ordered(cuts_of(column), ordered, nulls)


def _read(column: ColumnProfile, value: Any, leaf: Leaf, cipher: ColumnCipher | None) -> Any:
    if value is not None and leaf is Leaf.JSON:
        value = json.loads(value)
    if isinstance(value, str) and value.startswith(PREFIX):
        value = _decrypted(value, cipher)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if column.kind in NUMERIC:
        return _number(value)
    if column.kind is ColumnKind.BOOLEAN:
        return _boolean(value, column.true_word)
    if column.kind is ColumnKind.CATEGORY:
        return category_text(value)
    if isinstance(value, str):
        return value
    raise UnreadableError


def _decrypted(text: str, cipher: ColumnCipher | None) -> Any:
    if cipher is None or text == UNAVAILABLE:
        raise UnreadableError
    try:
        return cipher.decrypt(text)
    except (SettingsError, ValueError) as error:
        raise UnreadableError from error


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError
    return float(value) if abs(value) <= LARGEST else None


def _boolean(value: Any, true_word: str | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and true_word is not None:
        return "true" if value == true_word else "false"
    raise UnreadableError


def class_names(pairs: Iterable[tuple[str, int]], *, has_classes: bool | None) -> Iterator[tuple[str, int]]:
    """Yield the class that each predicted JSON text is, with its rows; nothing where predictions are numbers.

    :param has_classes: whether they are classes; ``None``: numbers with a fraction are none.
    """
    for text, count in pairs if has_classes is not False else ():
        value = json.loads(text)
        if isinstance(value, bool):
            yield text, count
        elif has_classes or not isinstance(value, float):
            yield category_text(value), count
