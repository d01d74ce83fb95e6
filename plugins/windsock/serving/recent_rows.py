"""The last rows that a version answered, in this worker's memory: what a look at drift looks at."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter, length_hint
from typing import Any

from windsock.records import ColumnKind, InputSchema
from windsock.serving.field_values import Values

MOST_ROWS = 10_000
TEXT_BYTES = 100
"""Bytes of a value that a row may have on average; a row with longer texts is not kept."""
TEXTS = (ColumnKind.CATEGORY, ColumnKind.BOOLEAN, ColumnKind.DATETIME)


class RecentRows:
    """A ring of rows. Adding is one call for a request's rows, without a look at their values.

    Long texts would let a client fill the memory: rows with more than 100 bytes a value on average are left
    out.

    :param schema: of the version that answers them.
    :param most: rows kept.
    """

    def __init__(self, schema: InputSchema, most: int = MOST_ROWS) -> None:
        self.left_out = 0
        self._rows: deque[Values] = deque(maxlen=most)
        names = sum(len(field.name.encode()) for field in schema.fields)
        self._most_text = TEXT_BYTES * len(schema.fields)
        self._most_bytes = names + self._most_text
        texts = [place for place, field in enumerate(schema.fields) if field.kind in TEXTS]
        # itemgetter of one place gives no tuple: the place is taken twice.
        self._texts = itemgetter(*(texts if len(texts) != 1 else texts * 2)) if texts else None

    def add(self, rows: Sequence[Values], body_bytes: int | None = None) -> None:
        """Keep rows.

        :param body_bytes: size of the request that they came with, where it is known: it bounds their texts,
            so that they need no look.
        """
        bounded = body_bytes is not None and body_bytes <= self._most_bytes * len(rows)
        texts = self._texts
        if bounded or texts is None:
            self._rows.extend(rows)
        else:
            kept = self._short(rows, texts)
            self.left_out += len(rows) - len(kept)
            self._rows.extend(kept)

    def _short(self, rows: Sequence[Values], texts: itemgetter[Any]) -> list[Values]:
        most = self._most_text
        try:
            return [row for row in rows if sum(map(len, texts(row))) <= most]
        except TypeError:  # null, booleans and names that are numbers have no length: they count nothing
            return [row for row in rows if sum(map(length_hint, texts(row), repeat(0))) <= most]

    def last(self, most: int) -> list[Values]:
        """Return the last rows, the oldest first. Call it where rows are added, in no other thread."""
        rows = list(self._rows)
        return rows[-most:] if most < len(rows) else rows

    def __len__(self) -> int:
        return len(self._rows)
