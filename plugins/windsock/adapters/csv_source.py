"""CSV files: every value as text, nothing guessed, nothing repaired in silence."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.source_limits import MAX_ROWS, require_columns, require_rows
from windsock.exceptions import DataRefusedError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 50
CHUNK = 4 * 1024 * 1024
BLOCK = 16 * 1024 * 1024
"""No single row may be longer than this."""


def read_csv(file: Path) -> pd.DataFrame:
    """Read a CSV file in UTF-8; blanks are empty strings.

    The delimiter is the one of comma, semicolon, tab and bar that cuts the first rows into the same number of
    fields, and most of them. Blanks around column names are removed; a column without a name becomes
    ``column_N``.

    :raises DataRefusedError: if it is empty, not UTF-8, has no header, duplicate names or ragged rows.
    """
    start = _require_text(file)
    header, delimiter = _header(start, file)
    names = [name.strip() or f"column_{place}" for place, name in enumerate(header, start=1)]
    require_columns(names, str(file))
    if all(_is_number(name) for name in names):
        raise DataRefusedError(
            f"{file}: the first row holds numbers only; it must hold the columns' names",
            code="WS-DATA-013",
            next_action="Write the columns' names into the first row.",
        )
    blank_lines = start[: len(start) - len(start.lstrip("\r\n"))].count("\n")
    table = _parse(file, names, delimiter, skip=blank_lines)
    require_rows(table.num_rows, str(file))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _require_text(file: Path) -> str:
    """Check the whole file's encoding; return its beginning."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    sample, lines = b"", 0
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            sample = sample or chunk[:SAMPLE_BYTES]
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                line = lines + chunk[: max(0, error.start)].count(b"\n") + 1
                raise _not_text(file, f"near line {line:,}") from None
            if b"\0" in chunk:
                raise _not_text(file, f"near line {lines + chunk[: chunk.index(0)].count(10) + 1:,}")
            lines += chunk.count(b"\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _not_text(file, "at its end") from None
    start = sample.decode("utf-8-sig", "ignore")
    if not start.strip():
        raise DataRefusedError(
            f"{file} is empty",
            code="WS-DATA-011",
            next_action="See why the source is empty; the model that serves is untouched.",
        )
    if lines > MAX_ROWS + 1:
        require_rows(lines, str(file))
    return start


def _not_text(file: Path, where: str) -> DataRefusedError:
    return DataRefusedError(
        f"{file} is not UTF-8 text {where}",
        code="WS-DATA-014",
        next_action="Write it as UTF-8; `iconv -f latin1 -t utf-8 OLD > NEW` turns the usual other encoding.",
    )


def _header(start: str, file: Path) -> tuple[list[str], str]:
    """Return the first row and the delimiter."""
    found = []
    for delimiter in DELIMITERS:
        rows = _sample(start, delimiter)
        if rows:
            widths = Counter(len(row) for row in rows)
            fitting = widths[len(rows[0])] / len(rows)
            found.append(((len(rows[0]) > 1, fitting, len(rows[0])), rows[0], delimiter))
    if not found:
        raise DataRefusedError(
            f"{file} cannot be cut into rows: its quotes do not match",
            code="WS-DATA-013",
            next_action="Mend the quotes; write a quote inside a quoted value twice.",
        )
    _, header, delimiter = max(found, key=lambda entry: entry[0])
    return header, delimiter


def _sample(start: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(start.splitlines(keepends=True), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == SAMPLE_ROWS:
                return rows
    except csv.Error:
        return []
    return rows[:-1] if len(start) >= SAMPLE_BYTES and len(rows) > 1 else rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse(file: Path, names: list[str], delimiter: str, *, skip: int) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    ragged: list[tuple[int | None, int, int]] = []

    def note(row: Any) -> str:
        ragged.append((row.number, row.expected_columns, row.actual_columns))
        return "error"

    try:
        return arrow_csv.read_csv(
            file,
            # One thread: only so are rows numbered.
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK,
                skip_rows=skip,
                column_names=names,
                skip_rows_after_names=1,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowException:
        raise _cannot_parse(file, ragged) from None  # its message would quote a row


def _cannot_parse(file: Path, ragged: list[tuple[int | None, int, int]]) -> DataRefusedError:
    if not ragged:
        return DataRefusedError(
            f"{file} cannot be cut into rows: its quotes do not match, or a row is over {BLOCK:,} bytes long",
            code="WS-DATA-013",
            next_action="Mend the quotes; write a quote inside a quoted value twice.",
        )
    number, expected, actual = ragged[0]
    where = "one row" if number is None else f"row {number:,} (the header is row 1)"
    return DataRefusedError(
        f"{file}: {where} has {actual} fields, the header has {expected}",
        code="WS-DATA-013",
        next_action="Mend that row; put values that hold the delimiter into quotes.",
    )
