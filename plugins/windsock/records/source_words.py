"""A value's word in the source, and what a word means to a field of another kind.

This is what a champion is asked with where a column has changed its kind, and how a request is read that is
written as an earlier version took it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from windsock.records.base import Record
from windsock.records.data import ColumnKind
from windsock.records.values import MISSING_WORDS, category_text

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
ISO_DATE = re.compile(
    r"\d{4}([-/])\d{2}\1\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
NO_VALUE = MISSING_WORDS | {"", "\\n"}
"""Words that stand for no value, except in a category; in small letters."""
TRUE, FALSE = "true", "false"


class Reading(Record):
    """How a field reads words.

    :param true_word: for a boolean: the word that means true; ``None``: ``true``.
    :param false_word: for a boolean: the word that means false; ``None``: ``false``.
    """

    kind: ColumnKind
    true_word: str | None = None
    false_word: str | None = None

    @property
    def truths(self) -> tuple[str, str]:
        """The two words of a boolean in small letters, that for true first."""
        return (self.true_word or TRUE).lower(), (self.false_word or FALSE).lower()

    def read(self, word: str) -> float | bool | str | datetime | None:
        """Return what a word means; ``None`` where it stands for no value.

        :raises ValueError: if it means nothing to this field.
        """
        if self.kind is ColumnKind.CATEGORY:
            return word
        word = word.strip()
        if word.lower() in NO_VALUE:
            return None
        if self.kind is ColumnKind.BOOLEAN:
            return (True, False)[self.truths.index(word.lower())]
        if self.kind is ColumnKind.DATETIME:
            return _moment(word)
        if not NUMBER.fullmatch(word):
            raise ValueError("no number")
        return float(word)

    def word_of(self, value: Any) -> str | None:
        """Return the word by which a source writes a value; ``None`` where that is not known."""
        if isinstance(value, bool):
            return self.true_word if value else self.false_word
        return category_text(value)


def _moment(word: str) -> datetime:
    if not ISO_DATE.fullmatch(word):
        raise ValueError("no time")
    moment = datetime.fromisoformat(word.replace("/", "-"))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
