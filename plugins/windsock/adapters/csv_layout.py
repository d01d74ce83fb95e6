"""How a CSV file is laid out: its delimiter, its header, and how it writes numbers."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from windsock.exceptions import DataRefusedError
from windsock.records import ValueForm
from windsock.spec import FileSource, SqlSource

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 50
SEPARATOR = re.compile(r"[\r\n]*\"?sep=(?P<sign>[^\"\r\n])\"?(\r\n|\n|\r)", re.IGNORECASE)
COMMA = re.compile(r"\D*(\d{1,3}(\.\d{3})+|\d+),(\d{1,2}|\d{4,})\D*|\D*0,\d+\D*", re.ASCII)
POINT = re.compile(r"\D*(\d{1,3}(,\d{3})+|\d+)\.(\d{1,2}|\d{4,})\D*|\D*0\.\d+\D*", re.ASCII)
GROUPS = re.compile(r"\D*\d{1,3}(,\d{3})+\D*", re.ASCII)
LETTERS = re.compile(r"[^\W\d_]{4,}")
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


def _sample(start: str, delimiter: str, *, whole: bool) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
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
) -> ValueForm | None:
    """Return how a file writes its values; only what is known of it is set.

    :param columns: the first values of each column.
    :param source: its keys count before what the file shows.
    """
    known = {
        key: value for key in FORM_KEYS if source is not None and (value := getattr(source, key)) is not None
    }
    sign = _decimal_of(columns, delimiter) if "decimal" not in known else None
    if sign is not None and sign != known.get("thousands"):
        known["decimal"] = sign
    return ValueForm.model_validate(known) if known else None


def _decimal_of(columns: Iterable[Sequence[str]], delimiter: str) -> str | None:
    """Return the decimal sign if the columns that leave no doubt agree on one.

    In a file whose delimiter is a semicolon, commas in numbers are decimal commas unless a point is one.
    """
    commas = points = doubtful = 0
    for column in columns:
        words = [word for word in column if word.strip() and not LETTERS.search(word)]
        if len(words) < 0.5 * sum(bool(word.strip()) for word in column):
            continue
        comma, point = (any(map(pattern.fullmatch, words)) for pattern in (COMMA, POINT))
        commas += comma and not point
        points += point and not comma
        doubtful += not comma and not point and any(map(GROUPS.fullmatch, words))
    if commas and points:
        return None
    if commas or (delimiter == ";" and doubtful and not points):
        return ","
    return "." if points else None
