"""The last rows that a version answered, in this worker's memory: what a look at drift looks at."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter, length_hint
from typing import Any

from windsock.records import ColumnKind, InputSchema
from windsock.serving.field_values import Values
from windsock.serving.reader import PlainReader

MOST_ROWS = 10_000
TEXT_BYTES = 100
"""Bytes of a value that a row may have on average; a row with longer texts is not kept."""
TEXTS = (ColumnKind.CATEGORY, ColumnKind.BOOLEAN, ColumnKind.DATETIME)


Kept = Values | bytes
"""A row, or the body of a request for it."""


class RecentRows:
    """A ring of rows. Adding is one call for a request's rows, without a look at their values.

    A row that came alone is kept as the request's body, and read again when it is looked at: one object
    instead of one for each value, which all would have to be freed again at each answer.

    Long texts would let a client fill the memory: rows with more than 100 bytes a value on average are left
    out.

    :param schema: of the version that answers them.
    :param most: rows kept.
    """

    def __init__(self, schema: InputSchema, most: int = MOST_ROWS) -> None:
        self.left_out = 0
        self.schema = schema
        self._rows: deque[Kept] = deque(maxlen=most)
        names = sum(len(field.name.encode()) for field in schema.fields)
        self._most_text = TEXT_BYTES * len(schema.fields)
        self._most_bytes = names + self._most_text
        texts = [place for place, field in enumerate(schema.fields) if field.kind in TEXTS]
        # itemgetter of one place gives no tuple: the place is taken twice.
        self._texts = itemgetter(*(texts if len(texts) != 1 else texts * 2)) if texts else None

    def add(self, rows: Sequence[Values], body: bytes | None = None) -> None:
        """Keep rows.

        :param body: the usual request that they came with, where there is one: its size bounds their texts,
            so that they need no look.
        """
        bounded = body is not None and len(body) <= self._most_bytes * len(rows)
        if bounded and len(rows) == 1:
            self._rows.append(body)  # type: ignore[arg-type] # it is bounded, so it is there
            return
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
        """Return the last rows, the oldest first; see :meth:`kept` and :meth:`read`."""
        return self.read(self.kept(most))

    def kept(self, most: int) -> list[Kept]:
        """Return the last rows as they are kept. Call it where rows are added, in no other thread."""
        rows = list(self._rows)
        return rows[-most:] if most < len(rows) else rows

    def read(self, kept: Sequence[Kept]) -> list[Values]:
        """Return kept rows as rows, in any thread. What the schema no longer reads is left out."""
        reader = PlainReader(self.schema)
        rows: list[Values] = []
        for row in kept:
            if not isinstance(row, bytes):
                rows.append(row)
            elif (request := reader.read(row)) is not None and request.values is not None:
                rows += request.values
        return rows

    def __len__(self) -> int:
        return len(self._rows)
