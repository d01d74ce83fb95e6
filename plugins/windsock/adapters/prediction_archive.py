"""``ParquetPredictionArchive``: log segments of hours that are over, as Parquet under the storage root.

The server appends to segments (:mod:`windsock.adapters.log_format`) and holds a lock on each while it is
open. The archive is ``KIND/MODEL/HOUR.parquet``.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from windsock.adapters.log_format import (
    EVENTS,
    LOG_FOLDER,
    PREDICTIONS,
    REJECTED_FOLDER,
    SEGMENT_SUFFIX,
    hour_of,
    hour_start,
    read_segment,
    segment_folder,
)
from windsock.adapters.log_merge import SegmentReader, Tally, archived_segments, merge
from windsock.adapters.log_reading import hours_in
from windsock.adapters.storage import Storage
from windsock.adapters.window_counts.files import forget_days, forget_hours
from windsock.exceptions import StorageError
from windsock.ports import utc_now
from windsock.private_files import give, make_folder, opener

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["Hour", "ParquetPredictionArchive", "hour_of", "read_segment", "segment_folder"]

log = logging.getLogger(__name__)

LOCK_FILE = ".archive.lock"
SEGMENTS_AT_ONCE = 64
"""Segments that are open at once; an hour with more is written in several turns."""


class Hour(NamedTuple):
    """One hour of one model's predictions, outcomes or unanswered rows."""

    kind: str
    model: str
    name: str

    @property
    def path(self) -> str:
        """Its archive below the storage root."""
        return f"{self.kind}/{self.model}/{self.name}.parquet"


class ParquetPredictionArchive:
    """Closes the hours of the prediction log.

    :param state_folder: the server's state folder.
    :param storage: the storage root.
    :param now: the clock.
    """

    def __init__(
        self, state_folder: Path, storage: Storage, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.state_folder = state_folder
        self.storage = storage
        self.now = now

    def close_segments(self) -> int:
        """Turn the segments of hours that are over into Parquet; return how many.

        See :meth:`close_hours`.

        :raises StorageError: if a segment cannot be read or the Parquet file cannot be written.
        """
        return sum(tally.segments for tally in self.close_hours().values())

    def close_hours(self) -> dict[Hour, Tally]:
        """Turn the segments of hours that are over into Parquet; return what became of them.

        A segment that the server still holds open waits for the next time. A segment is removed only after
        the Parquet file with its rows is in place; that file names it, so no row is archived twice. Only one
        process closes at a time; to any other there is nothing to do.

        :raises StorageError: if a segment cannot be read or the Parquet file cannot be written.
        """
        tallies: dict[Hour, Tally] = {}
        with self._alone() as alone:
            for hour in self._past_hours() if alone else ():
                tally = self._close_hour(hour)
                if tally.segments:
                    tallies[hour] = tally
                    _tell(hour, tally)
        return tallies

    def remove_older(self, than: datetime, *, needed: Mapping[str, datetime] | None = None) -> int:
        """Remove Parquet files of hours that ended before a time, and rejected lines kept since before it.

        Stored counts go with the days that they are of.

        :param needed: of models the time from which on their hours stay, however old they are.
        :returns: how many files.
        :raises StorageError: if one cannot be removed.
        """
        hours = rejected = 0
        for kind in EVENTS:
            for model in self.storage.names(kind):
                oldest = min(than, (needed or {}).get(model, than))
                for name in self.storage.names(f"{kind}/{model}"):
                    hour = hour_start(name.removesuffix(".parquet"))
                    if hour is not None and hour + timedelta(hours=1) <= oldest:
                        self.storage.remove(f"{kind}/{model}/{name}")
                        hours += 1
        forget_days(self.storage, hour_of(than)[:8])
        for file in (self.state_folder / LOG_FOLDER / REJECTED_FOLDER).glob(f"*{SEGMENT_SUFFIX}"):
            try:
                if datetime.fromtimestamp(file.stat().st_mtime, UTC) < than:
                    file.unlink()
                    rejected += 1
            except OSError as error:
                raise StorageError(f"cannot remove {file}: {error.strerror}") from error
        if hours or rejected:
            log.info("retention: %d archived hours and %d files of rejected lines removed", hours, rejected)
        return hours + rejected

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Hold the lock of closing; ``False`` while another process has it, or if there is no log."""
        folder = self.state_folder / LOG_FOLDER
        if not folder.is_dir():
            yield False
            return
        try:
            lock = open(folder / LOCK_FILE, "wb", opener=opener)  # noqa: SIM115 - closed below
        except OSError as error:
            raise StorageError(f"cannot lock {folder}: {error.strerror}") from error
        with lock:
            yield _is_locked(lock)

    def _past_hours(self) -> Iterator[Hour]:
        this_hour = hour_of(self.now())
        for kind in EVENTS:
            for folder in sorted((self.state_folder / LOG_FOLDER / kind).glob("*/*")):
                if hour_start(folder.name) is not None and folder.name < this_hour:
                    yield Hour(kind, folder.parent.name, folder.name)

    def _close_hour(self, hour: Hour) -> Tally:
        folder = segment_folder(self.state_folder, hour.kind, hour.model, hour.name)
        total = Tally()
        files = sorted(folder.glob(f"*{SEGMENT_SUFFIX}"))
        for start in range(0, len(files), SEGMENTS_AT_ONCE):
            self._close_some(hour, files[start : start + SEGMENTS_AT_ONCE], total)
        with suppress(OSError):  # a late segment may have come
            folder.rmdir()
        return total

    def _close_some(self, hour: Hour, files: list[Path], total: Tally) -> None:
        with ExitStack() as opened:
            streams = {file: stream for file in files if (stream := _closed(file, opened)) is not None}
            if not streams:
                return
            before = self._archived(hour)
            known = archived_segments(before)
            readers = [
                SegmentReader(file, stream, self._rejected(hour, file), hour.kind)
                for file, stream in streams.items()
                if file.name not in known and os.fstat(stream.fileno()).st_size
            ]
            tally = self._write(hour, readers, before) if readers else Tally()
            if hour.kind == PREDICTIONS:  # before the segments go: until then nobody trusts what was counted
                forget_hours(self.storage, hour.model, hours_in(self._archived(hour), hour.name))
            for file in streams:
                file.unlink(missing_ok=True)
        total.segments += len(streams)
        for name in ("read", "archived", "duplicates", "unreadable", "torn"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))

    def _rejected(self, hour: Hour, file: Path) -> Path:
        name = f"{hour.kind}-{hour.model}-{hour.name}-{file.name}"
        return self.state_folder / LOG_FOLDER / REJECTED_FOLDER / name

    def _write(self, hour: Hour, readers: list[SegmentReader], before: pq.ParquetFile | None) -> Tally:
        tally = Tally()
        with self.storage.working_folder() as folder:
            made = folder / f"{hour.name}.parquet"
            merge(readers, before, made, hour.kind, tally)
            if tally.archived or any(reader.unreadable or reader.torn for reader in readers):
                self._put(made, hour.path)
        for reader in readers:
            tally.unreadable += reader.unreadable
            tally.torn += reader.torn
            if reader.torn:
                log.warning(
                    "WS-SERVING-021: %s: the last line is torn; the server was killed there", reader.file.name
                )
            if reader.unreadable:
                log.warning(
                    "WS-SERVING-022: %s: %d lines are no %s; kept in %s",
                    reader.file.name,
                    reader.unreadable,
                    hour.kind,
                    reader.rejected,
                )
        return tally

    def _archived(self, hour: Hour) -> pq.ParquetFile | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.storage.exists(hour.path):
            return None
        local = self.storage.local_path(hour.path)
        try:
            return pq.ParquetFile(local or BytesIO(self.storage.read_bytes(hour.path)))
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"cannot read {hour.path}: {type(error).__name__}") from error

    def _put(self, made: Path, path: str) -> None:
        """Give a finished file its place, whole: a rename on a folder, one put on an object store."""
        target = self.storage.local_path(path)
        if target is None:
            self.storage.write_bytes(path, made.read_bytes())
            return
        make_folder(target.parent)
        give(made)
        _sync(made)
        made.replace(target)
        _sync(target.parent)


def _closed(file: Path, opened: ExitStack) -> BinaryIO | None:
    """Open a segment and lock it; ``None`` while a server holds it open, or once it is gone."""
    try:
        stream = opened.enter_context(open(file, "rb"))  # noqa: SIM115 - closed by the stack
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
    return stream if _is_locked(stream) else None


def _is_locked(stream: BinaryIO) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync(entry: Path) -> None:
    descriptor = os.open(entry, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tell(hour: Hour, tally: Tally) -> None:
    log.info(
        "%s: %s of hour %s: %d rows read = %d archived + %d duplicates; %d unreadable lines, %d torn ones",
        hour.model,
        hour.kind,
        hour.name,
        tally.read,
        tally.archived,
        tally.duplicates,
        tally.unreadable,
        tally.torn,
    )
