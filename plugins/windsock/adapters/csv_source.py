"""CSV files: every value as text, nothing guessed, nothing repaired in silence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.csv_encoding import plausible_encodings, text_of
from windsock.adapters.csv_layout import Layout, form_of, layout_of
from windsock.adapters.csv_quotes import (
    Quotes,
    line_of,
    read_quotes,
    swallowed,
    with_doubled_quotes,
)
from windsock.adapters.source_limits import MAX_ROWS, require_columns, require_rows
from windsock.exceptions import DataRefusedError
from windsock.records import ValueForm
from windsock.spec import FileSource

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["ReadCsv", "plausible_encodings", "read_csv"]
CHUNK = 1024 * 1024
PART = 4 * 1024 * 1024
"""So much of a file one thread cuts at a time."""
BLOCK = 16 * 1024 * 1024
"""No single row may be longer than this."""
SHOWN = 5
SAMPLE_ROWS = 2_000


@dataclass(frozen=True, kw_only=True)
class ReadCsv:
    """What a CSV file held.

    :param form: how it writes its values, as far as its keys or itself say so.
    :param lines: rows that its lines promise.
    :param findings: what was noticed; never a value.
    """

    frame: pd.DataFrame
    form: ValueForm | None
    lines: int
    findings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Text:
    """A file's text; ``quoting``: whether quotes mean anything in it."""

    file: Path
    content: memoryview
    layout: Layout
    quotes: Quotes = Quotes()
    quoting: bool = True
    findings: tuple[str, ...] = ()

    @property
    def delimiter(self) -> bytes:
        """What parts the fields."""
        return self.layout.delimiter.encode()


def read_csv(file: Path, source: FileSource | None = None) -> ReadCsv:
    """Read a CSV file; blanks are empty strings.

    Blanks around column names are removed; a column without a name becomes ``column_N``, or is left out
    with a finding where it holds nothing.

    :param source: its ``encoding``, ``delimiter`` and the form of its values, where they are given.
    :raises DataRefusedError: if it is empty, of another encoding, has no header, duplicate names or ragged
        rows, or quotes that would swallow rows.
    """
    content = text_of(file, source.encoding if source else None)
    if not bytes(content[:BLOCK]).strip():
        raise DataRefusedError(
            f"{file} is empty",
            code="WS-DATA-011",
            next_action="See why the source is empty; the model that serves is untouched.",
        )
    layout = layout_of(content, source.delimiter if source else None, file)
    _require_header(layout, file)
    text = _with_quotes(_Text(file=file, content=content[layout.skip :], layout=layout))
    lines = _lines(text)
    if not 0 < lines <= MAX_ROWS:
        require_rows(lines, str(file))
    table = _parse(text)
    require_rows(table.num_rows, str(file))
    lines = table.num_rows if table.num_rows == lines else _without_blank(text, table.num_rows, lines)
    table, dropped = _without_empty(table, layout)
    few = table.slice(0, SAMPLE_ROWS)
    form = form_of((column.to_pylist() for column in few.columns), layout.delimiter, source)
    frame: pd.DataFrame = table.to_pandas()
    return ReadCsv(frame=frame, form=form, lines=lines, findings=(*text.findings, *dropped))


def _require_header(layout: Layout, file: Path) -> None:
    require_columns(layout.names, str(file))
    if all(_is_number(name) for name in layout.names):
        raise DataRefusedError(
            f"{file}: the first row holds numbers only; it must hold the columns' names",
            code="WS-DATA-013",
            next_action="Write the columns' names into the first row.",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _with_quotes(text: _Text) -> _Text:
    """Find out what the quotes of a file mean; a file in which they may swallow rows is refused."""
    if not any(b'"' in bytes(text.content[at : at + CHUNK]) for at in range(0, len(text.content), CHUNK)):
        return text
    quotes = read_quotes(text.content, text.delimiter)
    if quotes.bad and (escaped := _with_backslashes(text)) is not None:
        return escaped
    suspect = swallowed(text.content, quotes, text.delimiter, len(text.layout.header))
    if not quotes.bad and not suspect:
        return _Text(**{**vars(text), "quotes": quotes})
    if _are_literal(text, quotes, suspect):
        said = "quotes do not stand around values and were read as signs of their values"
        return _Text(**{**vars(text), "quoting": False, "findings": (said,)})
    places = sorted({*quotes.bad, *suspect})
    lines = [f"{_line(text, place):,}" for place in places[:SHOWN]]
    more = f" and {len(places) - SHOWN:,} more" if len(places) > SHOWN else ""
    raise DataRefusedError(
        f"{text.file}: quotes at line {', '.join(lines)}{more} do not match, or hold whole rows",
        code="WS-DATA-033",
        next_action="Correct these lines; write a quote inside a quoted value twice, and blanks for the line "
        "ends of a text that looks like rows.",
    )


def _line(text: _Text, place: int) -> int:
    return line_of(text.content, place) + (1 if text.layout.skip else 0)


def _with_backslashes(text: _Text) -> _Text | None:
    """Return the text with quotes inside values written twice, if backslashes made the quotes match."""
    content = memoryview(with_doubled_quotes(bytes(text.content)))
    if len(content) == len(text.content) and content == text.content:
        return None
    quotes = read_quotes(content, text.delimiter)
    if quotes.bad or swallowed(content, quotes, text.delimiter, len(text.layout.header)):
        return None
    said = "quotes inside values are written with a backslash"
    return _Text(**{**vars(text), "content": content, "quotes": quotes, "findings": (said,)})


def _are_literal(text: _Text, quotes: Quotes, suspect: tuple[int, ...]) -> bool:
    """Return whether no value is in quotes, and without them every line has as many fields as the header."""
    if any(opened not in suspect for opened, _ in quotes.values):
        return False
    try:
        _parse(_Text(**{**vars(text), "quoting": False}))
    except DataRefusedError:
        return False
    return True


def _lines(text: _Text) -> int:
    """Return how many rows the lines of a file promise, blank lines among them, without its header."""
    content, count, last = text.content, 0, b""
    for start in range(0, len(content), CHUNK):
        chunk = bytes(content[start : start + CHUNK])
        count += _breaks(chunk) - (last == b"\r" and chunk.startswith(b"\n"))
        last = chunk[-1:]
    inside = sum(_breaks(bytes(content[opened:closed])) for opened, closed in text.quotes.values)
    return count - inside + (last not in (b"\n", b"\r")) - 1


def _breaks(text: bytes) -> int:
    count = text.count(b"\n")
    return count + text.count(b"\r") - text.count(b"\r\n") if b"\r" in text else count


def _without_blank(text: _Text, rows: int, lines: int) -> int:
    """Return how many rows the lines promise, now without blank ones, and hold the rows read against them."""
    blank = sum(not line for line in bytes(text.content).splitlines())
    inside = sum(
        sum(not line for line in bytes(text.content[opened : closed + 1]).splitlines())
        for opened, closed in text.quotes.values
    )
    promised = lines - (blank - inside)
    if rows != promised:
        raise DataRefusedError(
            f"{text.file}: {rows:,} rows were read, but its lines are {promised:,} rows",
            code="WS-DATA-034",
            next_action="See to quotes and line ends of the file; rows would be lost.",
        )
    return promised


def _without_empty(table: pa.Table, layout: Layout) -> tuple[pa.Table, tuple[str, ...]]:
    """Leave out columns without a name that hold nothing, such as those after a delimiter at a line's end."""
    import pyarrow.compute as pc

    unnamed = [name for name, title in zip(layout.names, layout.header, strict=True) if not title.strip()]
    empty = [name for name in unnamed if not pc.any(pc.not_equal(table[name], "")).as_py()]
    if not empty or len(empty) == len(layout.names):
        return table, ()
    return table.drop_columns(empty), (
        f"{len(empty):,} columns without a name and without any value are left out: {', '.join(empty[:10])}",
    )


def _parse(text: _Text) -> pa.Table:
    """Cut the text into rows; on two threads or more, and where that fails on one, which numbers the rows."""
    import pyarrow as pa

    try:
        return _parsed(text, threads=True, ragged=[])
    except MemoryError:  # Arrow's is one of its exceptions, too
        raise
    except pa.ArrowException:
        ragged: list[tuple[int | None, int, int]] = []
        try:
            return _parsed(text, threads=False, ragged=ragged)
        except pa.ArrowException:
            raise _cannot_parse(text.file, ragged) from None  # its message would quote a row


def _parsed(text: _Text, *, threads: bool, ragged: list[tuple[int | None, int, int]]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    def note(row: Any) -> str:
        ragged.append((row.number, row.expected_columns, row.actual_columns))
        return "error"

    names = text.layout.names
    return arrow_csv.read_csv(
        pa.BufferReader(pa.py_buffer(text.content)),
        read_options=arrow_csv.ReadOptions(
            use_threads=threads,
            block_size=PART if threads else BLOCK,
            column_names=names,
            skip_rows_after_names=1,
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=text.layout.delimiter,
            quote_char='"' if text.quoting else False,
            newlines_in_values=text.quoting and bool(text.quotes.values),
            invalid_row_handler=None if threads else note,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False, check_utf8=False
        ),
        memory_pool=_memory(),
    )


def _memory() -> pa.MemoryPool | None:
    """Return the allocator that gives little memory back between blocks; asking for it anew is slow."""
    import pyarrow as pa

    return pa.jemalloc_memory_pool() if "jemalloc" in pa.supported_memory_backends() else None


def _cannot_parse(file: Path, ragged: list[tuple[int | None, int, int]]) -> DataRefusedError:
    if not ragged:
        return DataRefusedError(
            f"{file} cannot be cut into rows: its quotes do not match, or a row is over {BLOCK:,} bytes long",
            code="WS-DATA-013",
            next_action="Correct the quotes; write a quote inside a quoted value twice.",
        )
    number, expected, actual = ragged[0]
    where = "one row" if number is None else f"row {number:,} (the header is row 1)"
    return DataRefusedError(
        f"{file}: {where} has {actual} fields, the header has {expected}",
        code="WS-DATA-013",
        next_action="Correct that row; put values that hold the delimiter into quotes.",
    )
