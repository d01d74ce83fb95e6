"""Segments of one hour, merged by time into one Parquet file, with bounded memory."""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

from windsock.adapters.log_columns import Columns, archive_schema, microseconds
from windsock.adapters.log_format import PREDICTIONS, Line, OutcomeLine, read_line
from windsock.adapters.log_groups import Groups
from windsock.adapters.log_leaves import (
    conform,
    fields_of,
    leaves_of,
    typed,
    union,
    union_fields,
)
from windsock.exceptions import StorageError
from windsock.private_files import make_folder, opener

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

log = logging.getLogger(__name__)

GROUP_ROWS = 32_768
GROUP_BYTES = 16 * 1024 * 1024
"""A row group ends at this many rows, or at lines of this many bytes."""
SAME_SECONDS = 60
"""How far apart in the merged order, by time of receipt, two identical lines are known as one."""
SEGMENTS_KEY = b"windsock.segments"
"""In a file's metadata: names of the segments whose rows it holds."""
DAMAGED_KEY = b"windsock.damaged"
"""In a file's metadata: how many lines of the hour could not be read."""

Piece = tuple[int, Any]
"""Time of receipt in microseconds; a line with its text, or a table of rows archived before."""


@dataclass
class Tally:
    """What became of the segments of an hour. Nothing else: ``read == archived + duplicates``.

    :param segments: segments that are done with.
    :param read: rows of the lines that could be read.
    :param archived: rows that the archive holds more than before.
    :param duplicates: rows of lines that were there twice, as a write that broke off can leave them.
    :param unreadable: whole lines that are none; each is kept in ``log/rejected``.
    :param torn: last lines cut off where the server was killed; they had not been acknowledged.
    """

    segments: int = 0
    read: int = 0
    archived: int = 0
    duplicates: int = 0
    unreadable: int = 0
    torn: int = 0


class SegmentReader:
    """Reads a closed segment line by line; what is no line is put aside.

    :param file: the segment's file.
    :param stream: the open file, from its beginning.
    :param rejected: file that unreadable lines are kept in; made anew at the first of them.
    """

    def __init__(self, file: Path, stream: BinaryIO, rejected: Path, kind: str) -> None:
        self.file, self.stream, self.rejected, self.kind = file, stream, rejected, kind
        self.unreadable, self.torn = 0, False

    def pieces(self) -> Iterator[tuple[int, tuple[Line, bytes]]]:
        """Yield every line with its time of receipt.

        :raises StorageError: if the segment cannot be read, or an unreadable line cannot be kept.
        """
        try:
            for text in self.stream:
                if not text.endswith(b"\n"):
                    self.torn = True
                    return
                line = read_line(text, self.kind)
                if line is None:
                    self._keep(text)
                else:
                    yield microseconds(line.receive_time), (line, text)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"cannot read {self.file}: {error.strerror}") from error

    def _keep(self, text: bytes) -> None:
        try:
            make_folder(self.rejected.parent)
            with open(self.rejected, "ab" if self.unreadable else "wb", opener=opener) as stream:
                stream.write(text)
        except OSError as error:
            raise StorageError(f"cannot write {self.rejected}: {error.strerror}") from error
        self.unreadable += 1


class Recent:
    """Knows which lines came twice. Identical lines have one time of receipt, so only late ones are kept."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._order: deque[tuple[int, bytes]] = deque()

    def has(self, moment: int, text: bytes) -> bool:
        """Return whether this very line came before, and remember it."""
        while self._order and self._order[0][0] < moment - SAME_SECONDS * 1_000_000:
            self._known.discard(self._order.popleft()[1])
        digest = hashlib.blake2b(text, digest_size=16).digest()
        if digest in self._known:
            return True
        self._known.add(digest)
        self._order.append((moment, digest))
        return False


def archived_segments(parquet: pq.ParquetFile | None) -> frozenset[str]:
    """Return the names of the segments whose rows an archived file holds already."""
    kept = (parquet.schema_arrow.metadata or {}) if parquet is not None else {}
    return frozenset(json.loads(kept.get(SEGMENTS_KEY, b"[]")))


def damaged_lines(parquet: pq.ParquetFile | None) -> int:
    """Return how many lines of an archived hour could not be read."""
    kept = (parquet.schema_arrow.metadata or {}) if parquet is not None else {}
    return int(kept.get(DAMAGED_KEY, b"0"))


def merge(
    readers: Iterable[SegmentReader], before: pq.ParquetFile | None, target: Path, kind: str, tally: Tally
) -> None:
    """Write what an hour's file held before and what segments hold into a new file.

    Row groups follow each other in the order of ``receive_time`` as far as segments are in that order;
    within each the order is exact.

    :param before: the hour's file so far; its rows stand.
    :param target: the file to write.
    :param tally: ``read``, ``duplicates`` and ``archived`` are added to.
    :raises StorageError: if a segment cannot be read, or the file does not hold what was read.
    """
    import pyarrow.parquet as pq

    readers = list(readers)
    with TemporaryDirectory(dir=target.parent, prefix="groups-") as folder:
        groups = Groups(Path(folder))
        for table in _grouped(readers, before, kind, tally):
            groups.add(table)
        names = sorted(archived_segments(before) | {reader.file.name for reader in readers})
        damaged = damaged_lines(before) + sum(reader.unreadable + reader.torn for reader in readers)
        said = {SEGMENTS_KEY: json.dumps(names).encode(), DAMAGED_KEY: str(damaged).encode()}
        groups.write(target, kind, said)
    found = pq.read_metadata(target).num_rows
    tally.archived = found - (before.metadata.num_rows if before is not None else 0)
    expected = tally.read - tally.duplicates
    if tally.archived != expected:
        raise StorageError(
            f"the archive would gain {tally.archived:,} rows of {expected:,} that were read",
            code="WS-SERVING-037",
            next_action="The segments stay; report it with the lines of the log around it.",
        )


def _grouped(
    readers: Iterable[SegmentReader], before: pq.ParquetFile | None, kind: str, tally: Tally
) -> Iterator[pa.Table]:
    """Yield the rows of the row groups to write; add to the tally what was read."""
    streams: list[Iterator[Piece]] = [reader.pieces() for reader in readers]
    if before is not None:
        streams.append(_row_groups(before, kind))
    recent, group = Recent(), _Group(kind)
    for moment, piece in heapq.merge(*streams, key=lambda piece: piece[0]):
        if not isinstance(piece, tuple):
            group.tables.append(piece)
        else:
            line, text = piece
            again = recent.has(moment, text)
            rows = 1 if isinstance(line, OutcomeLine) else len(line.rows)
            tally.read += rows
            tally.duplicates += rows if again else 0
            if not again:
                group.add(line, len(text))
        if group.is_full:
            yield group.take()
    if group.rows:
        yield group.take()


class _Group:
    """The rows of the next row group."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.tables: list[pa.Table] = []
        self._columns = Columns(kind)
        self._bytes = 0

    @property
    def rows(self) -> int:
        return self._columns.rows + sum(int(table.num_rows) for table in self.tables)

    @property
    def is_full(self) -> bool:
        return self._bytes >= GROUP_BYTES or self.rows >= GROUP_ROWS

    def add(self, line: Line, size: int) -> None:
        self._columns.add(line)
        self._bytes += size

    def take(self) -> pa.Table:
        import pyarrow as pa

        tables = [*self.tables, self._columns.table()] if self._columns.rows else self.tables
        if self.kind == PREDICTIONS and len(tables) > 1:
            leaves = union(leaves_of(table.schema) for table in tables)
            fields = union_fields(fields_of(table.schema) for table in tables)
            schema = archive_schema(self.kind, leaves, fields)
            tables = [conform(table, leaves, fields).cast(schema) for table in tables]
        self.tables, self._columns, self._bytes = [], Columns(self.kind), 0
        return pa.concat_tables(tables).sort_by("receive_time")


def _row_groups(parquet: pq.ParquetFile, kind: str) -> Iterator[Piece]:
    import pyarrow as pa

    for number in range(parquet.num_row_groups):
        table = complete(parquet.read_row_group(number), kind)
        yield table["receive_time"][0].cast(pa.int64()).as_py(), table


def complete(table: pa.Table, kind: str) -> pa.Table:
    """Return archived rows as they would be archived now: files of before lack columns, or types.

    :param table: all columns of some rows of an archived file.
    """
    import pyarrow as pa

    for place, field in enumerate(archive_schema(kind)):
        if field.name not in table.column_names:
            table = table.add_column(place, field, pa.nulls(table.num_rows, field.type))
    if kind == PREDICTIONS:
        table = typed(table)
    schema = archive_schema(kind, leaves_of(table.schema), fields_of(table.schema))
    return table.select(schema.names).cast(schema)
