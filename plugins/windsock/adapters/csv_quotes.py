"""Quotes of a CSV file: which of them open and close a value, and whether any row may have been swallowed."""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from windsock.adapters.csv_layout import long_fields
from windsock.records.values import MISSING_WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUOTE, CHUNK = ord('"'), 1024 * 1024
ESCAPED = re.compile(rb'(?<!\\)((?:\\\\)*)\\"')
ENDS = (b"\n", b"\r", b"")
BREAK = re.compile(rb"\r\n|\r|\n")
HAS_DIGIT = re.compile(r"[0-9]")
SAMPLE, ROWS = 256 * 1024, 200
NEARLY_ALL = 0.95
"""Share of values with digits from which a column is taken for one of numbers."""


@dataclass(frozen=True, kw_only=True)
class Quotes:
    """What a file's quotes do.

    :param values: places (of the opening and the closing quote) of values in quotes.
    :param bad: places of quotes that neither open nor close a value, nor are in the middle of a plain one.
    """

    values: tuple[tuple[int, int], ...] = ()
    bad: tuple[int, ...] = ()


def with_doubled_quotes(content: bytes) -> bytes:
    """Return text whose quotes are escaped by a backslash with quotes that are written twice."""
    return ESCAPED.sub(rb'\1""', content)


def read_quotes(content: memoryview, delimiter: bytes) -> Quotes:
    """Find the values in quotes, as readers of CSV find them."""
    places = _places(content)
    values, bad, place = [], [], 0
    opened: int | None = None
    while place < len(places):
        at = places[place]
        if opened is None:
            before = bytes(content[at - 1 : at]) if at else b""
            if before in (delimiter, *ENDS):
                opened = at
        elif place + 1 < len(places) and places[place + 1] == at + 1:
            place += 1  # written twice: one quote of the value
        elif bytes(content[at + 1 : at + 2]) in (delimiter, *ENDS):
            values.append((opened, at))
            opened = None
        else:
            bad.append(at)
            opened = None
        place += 1
    if opened is not None:
        bad.append(opened)
    return Quotes(values=tuple(values), bad=tuple(bad))


def are_proper(content: memoryview, delimiter: bytes) -> bool:
    """Return whether every quote opens or closes a value or is written twice within one; quickly."""
    import numpy as np

    places = np.array(_places(content), dtype=np.int64)
    if len(places) % 2:
        return False
    around = np.frombuffer(content, dtype=np.uint8)
    opening, closing = places[::2], places[1::2]
    before = around[np.maximum(opening - 1, 0)]
    after = around[np.minimum(closing + 1, len(around) - 1)]
    ends = [delimiter[0], 10, 13]
    begins = np.isin(before, ends) | (opening == 0)
    begins[1:] |= opening[1:] == closing[:-1] + 1
    stops = np.isin(after, [*ends, QUOTE]) | (closing == len(around) - 1)
    return bool(begins.all() and stops.all())


def _places(content: memoryview) -> list[int]:
    import numpy as np

    found: list[NDArray[Any]] = []
    for start in range(0, len(content), CHUNK):
        part = np.frombuffer(content[start : start + CHUNK], dtype=np.uint8)
        found.append(np.flatnonzero(part == QUOTE) + start)
    return np.concatenate(found).tolist() if found else []


def swallowed(content: memoryview, quotes: Quotes, delimiter: bytes, width: int) -> tuple[int, ...]:
    """Return where values in quotes open whose lines look like rows: a quote was left open, most likely.

    Where a quote that is none opens in some column, and one of a later row closes in the same, the value's
    first line holds the rest of a row, its last the begin of one, and those between whole rows. A text over
    lines that has the delimiters for it all the same is believed where most of its lines have words in
    columns of numbers.

    :param width: fields of a row.
    """
    found: list[tuple[int, list[bytes]]] = []
    for number, (opened, closed) in enumerate(quotes.values):
        inside = bytes(content[opened + 1 : closed])
        if width < 2 or (b"\n" not in inside and b"\r" not in inside):
            continue
        first, *others = BREAK.split(inside)
        column = _column(content, quotes, number, delimiter)
        between, last = [line for line in others[:-1] if line], others[-1]
        if (
            first.count(delimiter) == width - 1 - column
            and last.count(delimiter) == column
            and all(line.count(delimiter) == width - 1 for line in between)
        ):
            found.append((opened, [*between, last]))
    if not found:
        return ()
    numbers = _columns_of_numbers(content, delimiter, width)
    return tuple(opened for opened, lines in found if not _are_words(lines, delimiter, numbers))


def _column(content: memoryview, quotes: Quotes, number: int, delimiter: bytes) -> int:
    """Return in which column of its row a value in quotes opens, from 0 on."""
    column, end = 0, quotes.values[number][0]
    for before in range(number - 1, -2, -1):
        start = quotes.values[before][1] + 1 if before >= 0 else 0
        row = BREAK.split(bytes(content[start:end]))
        column += row[-1].count(delimiter)
        if len(row) > 1 or before < 0:
            break
        end = quotes.values[before][0]
    return column


def _columns_of_numbers(content: memoryview, delimiter: bytes, width: int) -> list[bool]:
    """Return which columns have a digit in nearly every value of the first rows."""
    text = bytes(content[:SAMPLE]).decode("utf-8", "ignore")
    rows = csv.reader(text.splitlines(keepends=True), delimiter=delimiter.decode())
    seen, digits = [0] * width, [0] * width
    with suppress(csv.Error), long_fields():  # the rows before one that is wrong are enough
        for row in (row for row in islice(rows, 1, ROWS) if len(row) == width):
            for place, value in enumerate(row):
                seen[place] += _is_known(value)
                digits[place] += HAS_DIGIT.search(value) is not None
    return [
        count > 0 and with_digits >= NEARLY_ALL * count
        for count, with_digits in zip(seen, digits, strict=True)
    ]


def _is_known(value: str) -> bool:
    return value.strip().lower() not in ("", *MISSING_WORDS)


def _are_words(lines: list[bytes], delimiter: bytes, numbers: list[bool]) -> bool:
    """Return whether most lines have a word without digits in a column of numbers."""
    wrong = 0
    for line in lines:
        fields = line.decode("utf-8", "ignore").split(delimiter.decode())
        whole = fields if len(fields) == len(numbers) else fields[:-1]
        wrong += any(
            number and _is_known(field) and not HAS_DIGIT.search(field)
            for field, number in zip(whole, numbers, strict=False)
        )
    return 2 * wrong > len(lines)


def line_of(content: memoryview, place: int) -> int:
    """Return the number of the line that a place lies in."""
    return bytes(content[:place]).count(b"\n") + 1
