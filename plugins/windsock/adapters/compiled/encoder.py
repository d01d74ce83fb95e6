"""Values tuples into what the estimator was fitted on, by looking up tables."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.form import PARTS, Cells, CompiledForm, Table
from windsock.records import ColumnKind, InputField, InputSchema
from windsock.records.values import LARGEST, category_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

Values = Sequence[Any]


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
        self.base = np.zeros(form.width)
        for number in form.numbers:
            for column, value in number.present:
                self.base[column] = value
        self.blocks = [_block(lookup.entries) for lookup in self.lookups]
        own = range(self.numbers.start, self.numbers.stop)
        self.filled = [
            order
            for order, (column, cells) in enumerate(zip(own, self.missing, strict=True))
            if cells != ((column, None),)
        ]
        fills = [(order, column, value) for order in self.filled for column, value in self.missing[order]]
        self.fills = (
            [order for order, _, _ in fills],
            [column for _, column, _ in fills],
            np.array([value for _, _, value in fills], dtype="float64"),
        )
        """Which missing number writes what into which column."""
        self._frombuffer, self._float64 = np.frombuffer, np.dtype("float64")
        self._prepare_rows(len(form.numbers))

    def _prepare_rows(self, count: int) -> None:
        """Prepare what :meth:`row` writes, as bytes and where they go."""
        self.line = self._rounded(self.base).tobytes()
        self.writes = [
            self._blocks_written(columns, block)
            if isinstance(columns, slice)
            else [self._written(cells) for cells in lookup.entries]
            for lookup, (columns, block) in zip(self.lookups, self.blocks, strict=True)
        ]
        self.missing_writes = [self._written(cells) for cells in self.missing]
        self.place = slice(8 * self.numbers.start, 8 * self.numbers.stop)
        self.pack = struct.Struct(f"{count}d").pack
        self.short = struct.Struct(f"{count}f") if self.rounded else None

    def _rounded(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return numbers.astype("float32").astype("float64") if self.rounded else numbers

    def _blocks_written(self, columns: slice, block: NDArray[Any]) -> list[list[tuple[slice, bytes]]]:
        """Return what each entry of a table writes whose columns stand side by side: all of them at once."""
        place = slice(8 * columns.start, 8 * columns.stop)
        return [[(place, line.tobytes())] for line in self._rounded(block)]

    def _written(self, cells: Cells) -> list[tuple[slice, bytes]]:
        import numpy as np

        values = self._rounded(np.array([value for _, value in cells], dtype="float64"))
        places = [slice(8 * column, 8 * column + 8) for column, _ in cells]
        return [(place, value.tobytes()) for place, value in zip(places, values, strict=True)]

    def row(self, values: Values) -> bytes:
        """Return one row's columns, as the bytes of its 64-bit numbers."""
        line = bytearray(self.line)
        numbers = [
            value if value is not None and -LARGEST <= value <= LARGEST else math.nan
            for value in self.columns.given(values)
        ]
        packed = self.pack(*(self.short.unpack(self.short.pack(*numbers)) if self.short else numbers))
        line[self.place] = packed
        for order in self.filled:
            if numbers[order] != numbers[order]:  # NaN
                for place, content in self.missing_writes[order]:
                    line[place] = content
        for key, lookup, writes in zip(self.columns.keys(values), self.lookups, self.writes, strict=True):
            for place, content in writes[lookup[key]]:
                line[place] = content
        return bytes(line)

    def one(self, values: Values) -> NDArray[Any]:
        """Return one row's columns, shape (1, width)."""
        return self._frombuffer(self.row(values), self._float64).reshape(1, -1)

    def matrix(self, rows: Sequence[Values]) -> NDArray[Any]:
        """Return the columns of rows, shape (rows, width), row after row in memory."""
        import numpy as np

        matrix = np.tile(self.base, (len(rows), 1))
        matrix[:, self.numbers] = numbers = self.columns.number_matrix(rows)
        gone = np.isnan(numbers)
        if self.filled and gone.any():
            orders, columns, values = self.fills
            matrix[:, columns] = np.where(gone[:, orders], values, matrix[:, columns])
        keyed = zip(*[self.columns.keys(values) for values in rows], strict=True)
        for keys, lookup, (columns, block) in zip(keyed, self.lookups, self.blocks, strict=True):
            matrix[:, columns] = block[list(map(lookup.__getitem__, keys))]
        return self._rounded(matrix)


def _block(entries: Sequence[Cells]) -> tuple[Any, NDArray[Any]]:
    """Return the columns that a table writes and, for each of its entries, what it writes into them."""
    import numpy as np

    columns = sorted({column for cells in entries for column, _ in cells})
    place = {column: order for order, column in enumerate(columns)}
    block = np.zeros((len(entries), len(columns)))
    for number, cells in enumerate(entries):
        for column, value in cells:
            block[number, place[column]] = value
    side_by_side = bool(columns) and columns[-1] - columns[0] == len(columns) - 1
    return (slice(columns[0], columns[-1] + 1) if side_by_side else columns), block
