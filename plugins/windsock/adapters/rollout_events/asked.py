"""What the metrics ask of an outcome, as conditions of a statement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from windsock.spec import RolloutMetricBlock

POSITIVE_KINDS = ("conversion", "rate")
"""Kinds that count the positive outcomes."""


def positive(block: RolloutMetricBlock, connection: Any) -> str:
    """Return the condition under which an outcome is a positive one of a metric."""
    if block.outcome is None:
        return "coalesce(number > 0, false)"
    number, word = _wanted(block.outcome, connection)
    if number is not None:
        return f"coalesce(number = {number!r}, false)"
    return f"coalesce(word = {_literal(str(word))}, false)"


def names_word(blocks: Iterable[RolloutMetricBlock], connection: Any, *, classes: Iterable[str] = ()) -> str:
    """Return the condition under which an outcome is a word that a metric names, or the word of a class.

    :param classes: words of what the versions answer: labels, which come to the same place.
    """
    asked = [one.outcome for one in blocks if one.outcome is not None and one.kind in POSITIVE_KINDS]
    words = []
    for outcome in [*asked, *classes]:
        number, word = _wanted(outcome, connection)
        if number is None and word is not None:
            words.append(_literal(word))
    return f"coalesce(number IS NULL AND word IN ({', '.join(words)}), false)" if words else "false"


def _wanted(outcome: object, connection: Any) -> tuple[float | None, str | None]:
    """Return the number or the word that an outcome is, as one that is posted is read."""
    import msgspec

    asked = msgspec.json.encode(outcome).decode()
    number, word = connection.execute(
        "SELECT number_of(text_of($asked)), word_of(text_of($asked))", {"asked": asked}
    ).fetchone()
    return number, word


def _literal(text: str) -> str:
    """Return a text as a value of a statement; DuckDB reads no NUL within one."""
    parts = ("'" + part.replace("'", "''") + "'" for part in text.split("\0"))
    return f"({' || chr(0) || '.join(parts)})"
