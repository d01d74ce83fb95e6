"""How a CSV file is laid out: its delimiter, its header, and how it writes numbers."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windsock.exceptions import DataRefusedError
from windsock.records import SourceForm
from windsock.records.values import MISSING_WORDS
from windsock.spec import FileSource, SqlSource
from windsock.spec.sources import is_delimiter

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 50
SEPARATOR = re.compile(r"[\r\n]*\"?sep=(?P<sign>[^\"\r\n])\"?(\r\n|\n|\r)", re.IGNORECASE)
SIGN = r"(?:[A-Z]{3}|[A-Z]{0,2}[$€£¥₩₹₽₺₴₫฿₪₱₦＄￡￥￦]|kr\.?|zł|Kč|Ft|Rs\.?|[원円元%％])"
BEFORE, AFTER = rf"\(?[+\-−]?\s?{SIGN}?\s?[+\-−]?", rf"-?\s?{SIGN}?\)?"
NUMBER = re.compile(
    rf"{BEFORE}(?P<body>(?!0\d)\d[\d., \u00a0\u202f'’]*|[.,]\d+)(?:[eE][+-]?\d+)?{AFTER}", re.ASCII
)
DECIMALS = (
    r"\d{0,3}(%(other)s\d{3})+%(sign)s\d*|\d*%(sign)s(\d{1,2}|\d{4,})|0?%(sign)s\d+|\d{4,}%(sign)s\d+"
    r"|\d{1,3}(%(other)s\d{3}){2,}"
)
COMMA, POINT = (
    re.compile(DECIMALS % {"sign": sign, "other": other}, re.ASCII)
    for sign, other in ((",", r"\."), (r"\.", ","))
)
COMMA_GROUP, POINT_GROUP = (re.compile(rf"[1-9]\d{{0,2}}{sign}\d{{3}}", re.ASCII) for sign in (",", r"\."))
OTHER = re.compile(r"\d+|\d{1,3}([ \u00a0\u202f'’]\d{3})+([.,]\d*)?|\d{1,2}(,\d{2})+,\d{3}(\.\d*)?", re.ASCII)
VALID = (COMMA, POINT, COMMA_GROUP, POINT_GROUP, OTHER)
CLOCK = re.compile(r"([0-2]?\d|3[01])\.[0-5]\d|(19|20)\d\d\.(0[1-9]|1[0-2])", re.ASCII)
"""Times, days and months are written like this, too."""
NEARLY_ALL = 0.95
"""Share of a column's values that must be numbers for it to say how numbers are written."""
FORM_KEYS = ("decimal", "thousands", "dates", "nulls")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a file is laid out.

    :param header: the fields of its first row.
    :param skip: bytes before that row.
    """

    delimiter: str
    header: tuple[str, ...]
    skip: int

    @property
    def names(self) -> list[str]:
        """The columns' names; one without a name is ``column_N``."""
        return [name.strip() or f"column_{place}" for place, name in enumerate(self.header, start=1)]


def layout_of(content: memoryview, delimiter: str | None, file: Path) -> Layout:
    """Return how a file is laid out.

    :param delimiter: as the source names it; ``None``: by a ``sep=`` line, else the one of comma, semicolon,
        tab and bar that cuts the first rows into the same number of fields, and most of them.
    :raises DataRefusedError: if it cannot be cut into rows.
    """
    start = bytes(content[:SAMPLE_BYTES]).decode("utf-8", "ignore")
    skip = len(start) - len(start.lstrip("\r\n"))
    if said := SEPARATOR.match(start):
        if delimiter is None and not is_delimiter(said["sign"]):
            raise DataRefusedError(
                f"{file}: its line `sep=` names a delimiter that is no ASCII sign",
                code="WS-DATA-013",
                next_action="Write the delimiter in `data.source.delimiter`, or correct that line.",
            )
        delimiter, skip = delimiter or said["sign"], len(said[0].encode())
        start = start[len(said[0]) :]
        blank = len(start) - len(start.lstrip("\r\n"))
        start, skip = start[blank:], skip + blank
    else:
        start = start[skip:]
    found = []
    for sign in (delimiter,) if delimiter else DELIMITERS:
        rows = _sample(start, sign, whole=len(content) <= SAMPLE_BYTES)
        if rows:
            widths = Counter(len(row) for row in rows)
            fitting = widths[len(rows[0])] / len(rows)
            found.append(((len(rows[0]) > 1, fitting, len(rows[0])), rows[0], sign))
    if not found:
        raise DataRefusedError(
            f"{file} cannot be cut into rows: its quotes do not match",
            code="WS-DATA-013",
            next_action="Correct the quotes; write a quote inside a quoted value twice.",
        )
    _, header, sign = max(found, key=lambda entry: entry[0])
    return Layout(delimiter=sign, header=tuple(header), skip=skip)


@contextmanager
def long_fields() -> Iterator[None]:
    """Let Python's reader of CSV take fields as long as the first rows are."""
    before = csv.field_size_limit(SAMPLE_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _sample(start: str, delimiter: str, *, whole: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        with long_fields():
            for row in csv.reader(start.splitlines(keepends=True), delimiter=delimiter):
                if row:
                    rows.append(row)
                if len(rows) == SAMPLE_ROWS:
                    return rows
    except csv.Error:
        return []
    return rows if whole or len(rows) == 1 else rows[:-1]


def form_of(
    columns: Iterable[Sequence[str]], delimiter: str, source: FileSource | SqlSource | None
) -> SourceForm | None:
    """Return how a file writes its values; only what is known of it is set.

    :param columns: the first values of each column.
    :param source: its keys count before what the file shows.
    """
    known: dict[str, Any] = {
        key: value for key in FORM_KEYS if source is not None and (value := getattr(source, key)) is not None
    }
    if "decimal" not in known:
        found = _decimal_of(columns, delimiter)
        known |= found if found.get("decimal") != known.get("thousands", "") else {}
    return SourceForm.model_validate(known) if known else None


def _decimal_of(columns: Iterable[Sequence[str]], delimiter: str) -> dict[str, Any]:
    """Return the decimal sign if the columns of numbers that leave no doubt agree on one.

    In a file whose delimiter is a semicolon, commas in numbers are decimal commas unless a point may be one;
    points are not known for what they are in it, nor where some columns have commas.
    """
    signs = Counter(sign for column in columns for sign in _signs(column))
    commas, points, times = signs["comma"], signs["point"], signs["time"]
    doubtful = signs["comma group"]
    if commas and not points and not times:
        return {"decimal": ",", "by_values": True}
    if delimiter == ";" and doubtful and not (commas or points or times or signs["point group"]):
        return {"decimal": ",", "by_values": True}
    if points and not commas and not (delimiter == ";" and doubtful):
        return {"decimal": ".", "by_values": True}
    return {"either": True} if commas or (delimiter == ";" and signs["point group"]) else {}


def _signs(column: Sequence[str]) -> tuple[str, ...]:
    """Return what a column says of the decimal sign; nothing unless nearly all its values are numbers."""
    words = {word for text in column if (word := text.strip()) and word.lower() not in MISSING_WORDS}
    bodies = [match["body"].strip() for word in words if (match := NUMBER.fullmatch(word))]
    found = [body for body in bodies if any(pattern.fullmatch(body) for pattern in VALID)]
    if not found or len(found) < NEARLY_ALL * len(words):
        return ()
    comma, point = (any(map(pattern.fullmatch, found)) for pattern in (COMMA, POINT))
    if comma or point:
        pointed = [body for body in found if "." in body]
        if pointed and not comma and all(map(CLOCK.fullmatch, pointed)):
            return ("time",)
        return () if comma and point else ("comma",) if comma else ("point",)
    groups = {"comma group": COMMA_GROUP, "point group": POINT_GROUP}
    return tuple(name for name, pattern in groups.items() if any(map(pattern.fullmatch, found)))
