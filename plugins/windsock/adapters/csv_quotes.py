"""Quotes of a CSV file: which of them open and close a value, and whether any row may have been swallowed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUOTE, CHUNK = ord('"'), 16 * 1024 * 1024
ESCAPED = re.compile(rb'(?<!\\)((?:\\\\)*)\\"')
ENDS = (b"\n", b"\r", b"")
MANY_LINES = 5


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
    """Return where values in quotes open that hold whole rows: a quote was left open, most likely.

    Such a value has as many delimiters as the rows that it swallowed. A text of few lines may have as many by
    chance: it is believed where other texts of the file have not.
    """
    over_lines, exact, many = 0, [], []
    for opened, closed in quotes.values:
        lines = bytes(content[opened + 1 : closed]).splitlines()
        if len(lines) < 2:
            continue
        over_lines += 1
        if width > 1 and sum(line.count(delimiter) for line in lines) == (len(lines) - 1) * (width - 1):
            exact.append(opened)
            many += [opened] if len(lines) >= MANY_LINES else []
    return tuple(exact if len(exact) == over_lines else many)


def line_of(content: memoryview, place: int) -> int:
    """Return the number of the line that a place lies in."""
    return bytes(content[:place]).count(b"\n") + 1
