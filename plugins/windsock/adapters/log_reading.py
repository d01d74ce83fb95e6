"""``LogReader``: rows of the prediction log, from the archive and from segments that are not archived yet.

Every row once: segments are opened before the archive, so whatever housekeeping does meanwhile, a segment's
rows are read from it or from the file that names it.
"""

from __future__ import annotations

import fcntl
import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from windsock.adapters.log_columns import Columns, microseconds
from windsock.adapters.log_format import (
    LOG_FOLDER,
    PREDICTIONS,
    SEGMENT_SUFFIX,
    hour_of,
    hour_start,
    read_line,
    segment_folder,
)
from windsock.adapters.log_leaves import FEATURES, is_typed, leaves_of, typed
from windsock.adapters.log_merge import (
    GROUP_BYTES,
    GROUP_ROWS,
    Recent,
    archived_segments,
    complete,
    damaged_lines,
)
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import Span

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

HOUR = timedelta(hours=1)
PARQUET = ".parquet"
Bounds = tuple[int, int]
"""From the first up to, but without, the second; microseconds since 1970."""
EVER: Bounds = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Segment:
    """A segment that is not archived yet, open from its beginning."""

    file: Path
    stream: BinaryIO


@dataclass
class HourLog:
    """One hour of a model's log, open for reading.

    :param name: the hour.
    :param archived: its archived file, if there is one.
    :param source: the file's path, or its content from an object store.
    :param segments: those whose rows are not in that file.
    :param damaged: lines that could not be read; complete once the tables have been read. A last line that
        a server still writes is none of them.
    """

    kind: str
    name: str
    archived: pq.ParquetFile | None
    source: Path | bytes | None
    segments: list[Segment] = field(default_factory=list)
    damaged: int = 0

    def tables(
        self, moments: Bounds, *, columns: Sequence[str] | None = None, features: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows received in a stretch, some ten thousand at a time, the archived ones first.

        Features are typed leaves; :mod:`windsock.adapters.log_leaves` reads them.

        :param columns: only these, perhaps with ``receive_time``; default: all.
        :param features: only these leaves; default: all.
        :raises StorageError: if a file cannot be read.
        """
        yield from self.archived_tables(moments, columns=columns, features=features)
        yield from self.live_tables(moments)

    def archived_tables(
        self, moments: Bounds, *, columns: Sequence[str] | None = None, features: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """Yield archived rows; see :meth:`tables`. Texts come as dictionaries where columns are named."""
        import pyarrow as pa

        parquet = self.archived
        if parquet is None:
            return
        wanted = _paths(parquet, columns, features)
        timed = wanted if wanted is None else list(dict.fromkeys(["receive_time", *wanted]))
        try:
            with parquet if wanted is None else self._with_dictionaries(parquet) as file:
                for number in range(file.num_row_groups):
                    first, last = received(file, number)
                    if last < moments[0] or first >= moments[1]:
                        continue
                    inside = moments[0] <= first and last < moments[1]
                    table = file.read_row_group(
                        number, columns=wanted if inside else timed, use_threads=False
                    )
                    if columns is None:
                        table = complete(table, self.kind)
                    elif self.kind == PREDICTIONS and FEATURES in table.column_names:
                        table = typed(table)
                    yield table if inside else within(table, moments)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self.name, error) from error

    def _with_dictionaries(self, parquet: pq.ParquetFile) -> pq.ParquetFile:
        """Open the file again so that texts come as dictionaries, which are fast to count."""
        import pyarrow.parquet as pq

        texts = [
            column.path
            for column in map(parquet.metadata.schema.column, range(len(parquet.metadata.schema)))
            if column.physical_type == "BYTE_ARRAY"
        ]
        source = BytesIO(self.source) if isinstance(self.source, bytes) else self.source
        return pq.ParquetFile(source, metadata=parquet.metadata, read_dictionary=texts)

    def live_tables(self, moments: Bounds) -> Iterator[pa.Table]:
        """Yield the rows of segments; see :meth:`tables`. Identical lines count once, as in the archive."""
        rows, size, recent = Columns(self.kind), 0, Recent()
        streams = [self._lines(segment) for segment in self.segments]
        for moment, line, text in heapq.merge(*streams, key=lambda piece: piece[0]):
            if not recent.has(moment, text) and moments[0] <= moment < moments[1]:
                rows.add(line)
                size += len(text)
            if rows.rows >= GROUP_ROWS or size >= GROUP_BYTES:
                yield rows.table()
                rows, size = Columns(self.kind), 0
        if rows.rows:
            yield rows.table()

    def _lines(self, segment: Segment) -> Iterator[tuple[int, Any, bytes]]:
        try:
            segment.stream.seek(0)
            for text in segment.stream:
                if not text.endswith(b"\n"):
                    self.damaged += not _is_written(segment.stream)
                    return  # what is written from here on is the rest of that line
                if (line := read_line(text, self.kind)) is None:
                    self.damaged += 1
                else:
                    yield microseconds(line.receive_time), line, text
        except OSError as error:
            raise _unreadable(segment.file.name, error) from error


class LogReader:
    """Reads the prediction log.

    :param state_folder: the server's state folder, with the segments.
    :param storage: the storage root, with the archive.
    """

    def __init__(self, state_folder: Path, storage: Storage) -> None:
        self.state_folder = state_folder
        self.storage = storage

    def hours(self, kind: str, model: str, span: Span) -> list[str]:
        """Return the hours that have a log and may hold rows of a stretch, in order.

        Those before and after it are among them: a clock that was set may have put rows there.
        """
        return [
            name
            for name in sorted(self.archived(kind, model) | self.live(kind, model).keys())
            if (start := hour_start(name)) is not None and span.start - 2 * HOUR < start < span.end + HOUR
        ]

    def archived(self, kind: str, model: str) -> set[str]:
        """Return the hours that have an archived file."""
        names = self.storage.names(f"{kind}/{model}")
        return {name.removesuffix(PARQUET) for name in names if name.endswith(PARQUET)}

    def live(self, kind: str, model: str) -> dict[str, tuple[str, ...]]:
        """Return the hours that have segments; of each segment name and size, which change with its lines."""
        folder = self.state_folder / LOG_FOLDER / kind / model
        names = sorted(place.name for place in folder.iterdir()) if folder.is_dir() else []
        return {name: marks for name in names if (marks := self.marks(kind, model, name))}

    def marks(self, kind: str, model: str, hour: str) -> tuple[str, ...]:
        """Return name and size of each of an hour's segments."""
        found = []
        for file in sorted(segment_folder(self.state_folder, kind, model, hour).glob(f"*{SEGMENT_SUFFIX}")):
            with suppress(FileNotFoundError):  # archived meanwhile
                found.append(f"{file.name}:{file.stat().st_size}")
        return tuple(found)

    def tables(
        self,
        kind: str,
        model: str,
        span: Span,
        *,
        columns: Sequence[str] | None = None,
        features: Sequence[str] | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the rows received in a stretch, some ten thousand at a time, roughly in the order of time.

        :param kind: ``predictions``, ``outcomes`` or ``unanswered``.
        :param columns: only these of archived rows; default: all.
        :param features: only these leaves of archived rows; default: all.
        :raises StorageError: if the log cannot be read.
        """
        for name in self.hours(kind, model, span):
            with self.hour(kind, model, name) as hour:
                yield from hour.tables(moments_of(span), columns=columns, features=features)

    @contextmanager
    def hour(self, kind: str, model: str, name: str) -> Iterator[HourLog]:
        """Open an hour.

        :raises StorageError: if it cannot be read.
        """
        with ExitStack() as opened:
            segments = self._open_segments(kind, model, name, opened)
            source, archived = self._archived(f"{kind}/{model}/{name}{PARQUET}")
            if archived is not None:
                opened.enter_context(archived)
            known = archived_segments(archived)
            yield HourLog(
                kind=kind,
                name=name,
                archived=archived,
                source=source,
                segments=[segment for segment in segments if segment.file.name not in known],
                damaged=damaged_lines(archived),
            )

    def _open_segments(self, kind: str, model: str, name: str, opened: ExitStack) -> list[Segment]:
        found = []
        for file in sorted(segment_folder(self.state_folder, kind, model, name).glob(f"*{SEGMENT_SUFFIX}")):
            try:
                stream = opened.enter_context(open(file, "rb"))  # noqa: SIM115 - closed by the stack
                found.append(Segment(file, stream))
            except FileNotFoundError:  # archived meanwhile
                continue
            except OSError as error:
                raise _unreadable(file.name, error) from error
        return found

    def _archived(self, path: str) -> tuple[Path | bytes | None, pq.ParquetFile | None]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.storage.exists(path):
            return None, None
        local = self.storage.local_path(path)
        try:
            source: Path | bytes = local or self.storage.read_bytes(path)
            return source, pq.ParquetFile(BytesIO(source) if isinstance(source, bytes) else source)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from error


def moments_of(span: Span) -> Bounds:
    """Return a stretch in microseconds since 1970."""
    return microseconds(span.start), microseconds(span.end)


def within(table: pa.Table, moments: Bounds) -> pa.Table:
    """Return the rows received in a stretch."""
    import pyarrow as pa
    import pyarrow.compute as pc

    received = table["receive_time"].cast(pa.int64())
    return table.filter(pc.and_(pc.greater_equal(received, moments[0]), pc.less(received, moments[1])))


def _paths(
    parquet: pq.ParquetFile, columns: Sequence[str] | None, features: Sequence[str] | None
) -> list[str] | None:
    """Return which columns of a file to read; ``None``: all."""
    if columns is None and features is None:
        return None
    schema = parquet.schema_arrow
    columns = schema.names if columns is None else columns
    wanted = [name for name in columns if name in schema.names]
    if FEATURES in wanted and features is not None and is_typed(schema):
        wanted.remove(FEATURES)
        known = leaves_of(schema)
        wanted += [f"{FEATURES}.{name}" for name in features if name in known]
    return list(dict.fromkeys(wanted))


def received(parquet: pq.ParquetFile, number: int) -> Bounds:
    """Return the first and the last time of receipt in a row group, as far as is known."""
    place = parquet.schema_arrow.names.index("receive_time")
    group = parquet.metadata.row_group(number)
    for column in map(group.column, range(place, group.num_columns)):
        if column.path_in_schema == "receive_time":
            seen = column.statistics
            if seen is not None and seen.has_min_max:
                return seen.min_raw, seen.max_raw  # microseconds; as datetimes they would import pandas
    return EVER


def received_all(parquet: pq.ParquetFile | None) -> Bounds:
    """Return the first and the last time of receipt in a file; without rows the first is the later one."""
    groups = [received(parquet, number) for number in range(parquet.num_row_groups if parquet else 0)]
    return min((one for one, _ in groups), default=EVER[1]), max((one for _, one in groups), default=EVER[0])


def hours_in(parquet: pq.ParquetFile | None, name: str) -> list[str]:
    """Return the hours of a file's rows: its own, and one beside it where a clock that was set put rows."""
    start = hour_start(name)
    if start is None:
        return [name]
    first, last = received_all(parquet)
    found = [name]
    if first < microseconds(start):
        found.append(hour_of(start - HOUR))
    if last >= microseconds(start + HOUR):
        found.append(hour_of(start + HOUR))
    return found


def _is_written(stream: BinaryIO) -> bool:
    """Return whether a segment that was read to its end is still written to, or was until now."""
    try:
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)  # a server holds it alone
    except BlockingIOError:
        return True
    fcntl.flock(stream, fcntl.LOCK_UN)
    return os.fstat(stream.fileno()).st_size != stream.tell()


def _unreadable(what: str, error: Exception) -> StorageError:
    if isinstance(error, StorageError):
        return error
    return StorageError(
        f"the prediction log cannot be read: {what}: {type(error).__name__}",
        code="WS-MONITORING-012",
        next_action="See that the file is whole and readable; put it back from a copy, or move it away.",
    )
