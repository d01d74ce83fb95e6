"""Values tuples into what the estimator was fitted on, by looking up tables."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.batches import sort_keys
from windsock.adapters.compiled.form import PARTS, Cells, CompiledForm, Table
from windsock.records import ColumnKind, InputField, InputSchema
from windsock.records.values import LARGEST, category_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

Values = Sequence[Any]
BYTE_VALUES = 256
NUMBERS = -1
"""Stands for the numbers where the tables have their order."""


class Lookup(dict[Any, int]):
    """A table as a dict: from a value to the number of the columns that it becomes.

    Unseen values find the columns of all others. A category may be sent as a number: the numbers whose text
    is known are keys too, so that no text has to be made of a number when it is looked up.

    :param table: the table.
    """

    def __init__(self, table: Table) -> None:
        super().__init__()
        numbered: dict[Cells, int] = {}
        for text, cells in table.known.items():
            found = numbered.setdefault(cells, len(numbered))
            for key in _keys(text, category=table.part is None):
                self[key] = found
        self.other = numbered.setdefault(table.other, len(numbered))
        self.missing = self[None] = numbered.setdefault(table.missing, len(numbered))
        self.entries = tuple(numbered)
        """The columns, by their number."""

    def places(self, keys: Sequence[Any]) -> NDArray[Any]:
        """Return the numbers of many keys' columns."""
        import numpy as np

        found = map(self.__getitem__, keys)
        if len(self.entries) <= BYTE_VALUES:  # faster than a list of numbers
            return np.frombuffer(bytes(found), dtype="uint8")
        return np.fromiter(found, dtype="int64", count=len(keys))

    def __missing__(self, key: Any) -> int:
        return self.other if key == key else self.missing  # NaN is missing


def _keys(text: str, *, category: bool) -> Iterable[Any]:
    if not category:
        return (int(text),)
    keys: list[Any] = [text]
    for read in (int, float):
        try:
            number = read(text)
        except ValueError:
            continue
        if category_text(number) == text:
            keys.append(number)
    return keys


class Columns:
    """Reads the parts of a values tuple that numbers and tables need.

    :param form: the compiled form.
    :param schema: what the rows look like.
    """

    def __init__(self, form: CompiledForm, schema: InputSchema) -> None:
        kinds = [field.kind for field in schema.fields]
        self.numbers = _getter([number.field for number in form.numbers])
        self.words = [
            (order, _words(schema.fields[number.field]))
            for order, number in enumerate(form.numbers)
            if kinds[number.field] is ColumnKind.BOOLEAN and _has_words(schema.fields[number.field])
        ]
        self.categories = _getter([table.field for table in form.tables if table.part is None])
        dates: dict[int, list[int]] = {}
        for table in form.tables:
            if table.part is not None:
                dates.setdefault(table.field, []).append(PARTS.index(table.part))
        self.dates = list(dates.items())
        order = [table for table in form.tables if table.part is None]
        order += [table for field in dates for table in form.tables if table.field == field]
        self.tables = tuple(order)
        """The tables in the order of :meth:`keys`."""
        self.pack = struct.Struct(f"{len(form.numbers)}d").pack

    def given(self, values: Values) -> Values:
        """Return the numbers of a row as they were sent, words of booleans as numbers."""
        found = self.numbers(values)
        if self.words:
            found = list(found)
            for order, words in self.words:
                found[order] = words[found[order]]
        return found

    def keys(self, values: Values) -> Values:
        """Return what is looked up in the tables for a row."""
        found = self.categories(values)
        if self.dates:
            found = list(found)
            for field, parts in self.dates:
                found += _moment_keys(values[field], parts)
        return found

    def number_matrix(self, rows: Sequence[Values]) -> NDArray[Any]:
        """Return the numbers of rows, shape (rows, numbers); what is missing or infinite is NaN."""
        import numpy as np

        given = [self.given(values) for values in rows]
        try:
            packed = b"".join([self.pack(*numbers) for numbers in given])
            matrix = np.frombuffer(packed, dtype="float64").reshape(len(rows), -1).copy()
        except struct.error:  # a null is among them
            matrix = np.array(given, dtype="float64")
        matrix[~(np.abs(matrix) <= LARGEST)] = math.nan
        return matrix


def _getter(positions: Sequence[int]) -> Callable[[Values], Values]:
    """Return what picks positions of a tuple, as a tuple."""
    if not positions:
        return lambda values: ()
    if list(positions) == list(range(positions[0], positions[0] + len(positions))):
        part = slice(positions[0], positions[-1] + 1)
        return lambda values: values[part]
    return itemgetter(*positions)


def _has_words(field: InputField) -> bool:
    return field.true_word is not None or field.false_word is not None


def _words(field: InputField) -> dict[Any, float | None]:
    words: dict[Any, float | None] = {True: 1.0, False: 0.0, None: None}
    named = {field.true_word: 1.0, field.false_word: 0.0}
    return {**words, **{word: number for word, number in named.items() if word is not None}}


def _moment_keys(text: str | None, parts: Sequence[int]) -> list[int | None]:
    if text is None:
        return [None] * len(parts)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None and moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    read = (moment.weekday(), moment.month, moment.day, moment.hour)
    return [read[part] for part in parts]


class MatrixEncoder:
    """Encodes rows as the columns that trees are asked with.

    :param form: the compiled form.
    :param schema: what the rows look like.
    """

    def __init__(self, form: CompiledForm, schema: InputSchema) -> None:
        import numpy as np

        self.columns = Columns(form, schema)
        self.lookups = [Lookup(table) for table in self.columns.tables]
        self.rounded, self.numbers = form.rounded, slice(form.numbers_at, form.numbers_at + len(form.numbers))
        self.missing = [number.missing for number in form.numbers]
        base = np.zeros(form.width)
        for number in form.numbers:
            for column, value in number.present:
                base[column] = value
        self.base = self._rounded(base)
        blocks = [_block(lookup.entries) for lookup in self.lookups]
        self.blocks = [(columns, self._rounded(block)) for columns, block in blocks]
        own = range(self.numbers.start, self.numbers.stop)
        alone = np.ones(form.width, dtype=bool)
        for columns in (self.numbers, *(columns for columns, _ in self.blocks)):
            alone[columns] = False
        self.rest = _side_by_side(np.flatnonzero(alone).tolist())
        """Columns that neither a number nor a table writes."""
        self.filled = [
            order
            for order, (column, cells) in enumerate(zip(own, self.missing, strict=True))
            if cells != ((column, None),)
        ]
        fills = [(order, column, value) for order in self.filled for column, value in self.missing[order]]
        self.fills = (
            [order for order, _, _ in fills],
            [column for _, column, _ in fills],
            self._rounded(np.array([value for _, _, value in fills], dtype="float64")),
        )
        """Which missing number writes what into which column."""
        self._array, self._float64, self.shape = np.ndarray, np.dtype("float64"), (1, form.width)
        self._prepare_rows(len(form.numbers))

    def _prepare_rows(self, count: int) -> None:
        """Cut a row into the pieces that :meth:`row` puts together.

        They are its numbers, the tables whose columns stand side by side, and what is between.
        """
        spans = {
            order: (columns.start, columns.stop)
            for order, (columns, _) in enumerate(self.blocks)
            if isinstance(columns, slice)
        }
        spans[NUMBERS] = (self.numbers.start, self.numbers.stop)
        pieces: list[bytes] = []
        piece_of: dict[int, int] = {}
        at = 0
        for order in sorted(spans, key=spans.__getitem__):
            start, stop = spans[order]
            piece_of[order] = len(pieces) + 1
            pieces += [self.base[at:start].tobytes(), b""]
            at = stop
        self.pieces = [*pieces, self.base[at:].tobytes()]
        self.number_piece = piece_of[NUMBERS]
        self.in_pieces = [
            (order, piece_of[order], lookup, [line.tobytes() for line in block])
            for order, (lookup, (_, block)) in enumerate(zip(self.lookups, self.blocks, strict=True))
            if order in piece_of
        ]
        """The tables that are pieces: which of the keys is theirs, their piece, the bytes of each entry."""
        self.scattered = [
            (order, lookup, [self._written(cells) for cells in lookup.entries])
            for order, lookup in enumerate(self.lookups)
            if order not in piece_of
        ]
        """The other tables, and what each of their entries writes."""
        self.missing_writes = [self._written(cells) for cells in self.missing]
        self.pack = struct.Struct(f"{count}d").pack
        self.short = struct.Struct(f"{count}f") if self.rounded else None

    def _rounded(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return numbers.astype("float32").astype("float64") if self.rounded else numbers

    def _written(self, cells: Cells) -> list[tuple[slice, bytes]]:
        import numpy as np

        values = self._rounded(np.array([value for _, value in cells], dtype="float64"))
        places = [slice(8 * column, 8 * column + 8) for column, _ in cells]
        return [(place, value.tobytes()) for place, value in zip(places, values, strict=True)]

    def row(self, values: Values) -> bytes | bytearray:
        """Return one row's columns, as the bytes of its 64-bit numbers."""
        numbers = [
            value if value is not None and -LARGEST <= value <= LARGEST else math.nan
            for value in self.columns.given(values)
        ]
        short, pieces, keys = self.short, self.pieces.copy(), self.columns.keys(values)
        pieces[self.number_piece] = self.pack(*(short.unpack(short.pack(*numbers)) if short else numbers))
        for order, piece, lookup, lines in self.in_pieces:
            pieces[piece] = lines[lookup[keys[order]]]
        line = b"".join(pieces)
        total = sum(numbers) if self.filled else 0.0
        if total != total or self.scattered:  # NaN: one of them is missing
            return self._completed(bytearray(line), numbers, keys)
        return line

    def _completed(self, line: bytearray, numbers: Sequence[float], keys: Values) -> bytearray:
        """Return a row with what missing numbers become, and what tables write that are no piece."""
        for order in self.filled:
            if numbers[order] != numbers[order]:
                for place, content in self.missing_writes[order]:
                    line[place] = content
        for order, lookup, writes in self.scattered:
            for place, content in writes[lookup[keys[order]]]:
                line[place] = content
        return line

    def one(self, values: Values) -> NDArray[Any]:
        """Return one row's columns, shape (1, width)."""
        return self._array(self.shape, self._float64, self.row(values))

    def matrix(self, rows: Sequence[Values]) -> NDArray[Any]:
        """Return the columns of rows, shape (rows, width), row after row in memory."""
        return self._filled(rows, self.base, self.blocks, self._rounded)

    def keys(self, rows: Sequence[Values]) -> NDArray[Any]:
        """Return the columns of rows as sort keys, shape (rows, width); no column may be missing."""
        base, blocks = self._keyed
        return self._filled(rows, base, blocks, sort_keys)

    @cached_property
    def _keyed(self) -> tuple[NDArray[Any], list[tuple[Any, NDArray[Any]]]]:
        return sort_keys(self.base), [(columns, sort_keys(block)) for columns, block in self.blocks]

    def _filled(
        self,
        rows: Sequence[Values],
        base: NDArray[Any],
        blocks: Sequence[tuple[Any, NDArray[Any]]],
        written: Callable[[NDArray[Any]], NDArray[Any]],
    ) -> NDArray[Any]:
        """Return the columns of rows.

        :param base: what stands in a row before anything is written.
        :param blocks: for each table its columns and what each entry writes.
        :param written: what is written for numbers.
        """
        import numpy as np

        matrix = np.empty((len(rows), len(base)), dtype=base.dtype)
        matrix[:, self.rest] = base[self.rest]
        numbers = self.columns.number_matrix(rows)
        matrix[:, self.numbers] = written(numbers)
        if self.filled:
            gone = np.isnan(numbers)
            if gone.any():
                orders, columns, values = self.fills
                matrix[:, columns] = np.where(gone[:, orders], written(values), matrix[:, columns])
        keyed = zip(*[self.columns.keys(values) for values in rows], strict=True)
        for keys, lookup, (columns, block) in zip(keyed, self.lookups, blocks, strict=True):
            matrix[:, columns] = block.take(lookup.places(keys), axis=0)
        return matrix


def _block(entries: Sequence[Cells]) -> tuple[Any, NDArray[Any]]:
    """Return the columns that a table writes and, for each of its entries, what it writes into them."""
    import numpy as np

    columns = sorted({column for cells in entries for column, _ in cells})
    place = {column: order for order, column in enumerate(columns)}
    block = np.zeros((len(entries), len(columns)))
    for number, cells in enumerate(entries):
        for column, value in cells:
            block[number, place[column]] = value
    return _side_by_side(columns), block


def _side_by_side(columns: list[int]) -> Any:
    """Return sorted columns as a slice where they have no gaps: NumPy is faster with those."""
    whole = bool(columns) and columns[-1] - columns[0] == len(columns) - 1
    return slice(columns[0], columns[-1] + 1) if whole else columns
