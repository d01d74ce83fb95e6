"""``ParquetPredictionArchive``: log segments of hours that are over, as Parquet under the storage root.

The server writes one event a line into ``log/KIND/MODEL/HOUR/PID-ID.ndjson`` of its state folder and holds a
lock on each segment while it is open. ``KIND`` is ``predictions`` or ``outcomes``, ``HOUR`` is UTC, such as
``20260501T02``. The archive is ``KIND/MODEL/HOUR.parquet``.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.ports import utc_now
from windsock.records import OutcomeEvent, PredictionEvent

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

LOG_FOLDER = "log"
REJECTED_FOLDER = "rejected"
SEGMENT_SUFFIX = ".ndjson"
OPENING_SUFFIX = ".opening"
"""Of a segment that has no lock yet."""
HOUR_FORMAT = "%Y%m%dT%H"
EVENTS: dict[str, type[PredictionEvent] | type[OutcomeEvent]] = {
    "predictions": PredictionEvent,
    "outcomes": OutcomeEvent,
}
JSON_COLUMNS = ("features", "prediction", "outcome")
"""Columns whose values are of many kinds: kept as JSON text."""

Event = PredictionEvent | OutcomeEvent


def hour_of(moment: datetime) -> str:
    """Return the name of the hour that a time lies in."""
    return moment.astimezone(UTC).strftime(HOUR_FORMAT)


def segment_folder(state_folder: Path, kind: str, model: str, hour: str) -> Path:
    """Return the folder of a model's segments of an hour."""
    return state_folder / LOG_FOLDER / kind / model / hour


@dataclass(frozen=True)
class Segment:
    """What a segment held.

    :param events: the events.
    :param torn: whether the last line is incomplete, as a killed server leaves it.
    :param unreadable: whole lines that are no events.
    """

    events: tuple[Event, ...]
    torn: bool
    unreadable: tuple[bytes, ...]


def read_segment(content: bytes, kind: str) -> Segment:
    """Read a segment's content.

    :param kind: ``predictions`` or ``outcomes``.
    """
    *lines, rest = content.split(b"\n")
    events, unreadable = [], []
    for line in lines:
        try:
            events.append(EVENTS[kind].model_validate_json(line))
        except ValidationError:
            unreadable.append(line)
    return Segment(events=tuple(events), torn=bool(rest), unreadable=tuple(unreadable))


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

        A segment that the server still holds open waits for the next time. A segment is removed only after
        the Parquet file with its events is in place, and an event that is in both is written once.

        :raises StorageError: if a segment cannot be read or the Parquet file cannot be written.
        """
        return sum(self._close_hour(kind, model, hour) for kind, model, hour in self._past_hours())

    def remove_older(self, than: datetime) -> int:
        """Remove the Parquet files of hours that ended before a time; return how many.

        :raises StorageError: if one cannot be removed.
        """
        removed = 0
        for kind in EVENTS:
            for model in self.storage.names(kind):
                for name in self.storage.names(f"{kind}/{model}"):
                    hour = _hour_start(name.removesuffix(".parquet"))
                    if hour is not None and hour + timedelta(hours=1) <= than:
                        self.storage.remove(f"{kind}/{model}/{name}")
                        removed += 1
        return removed

    def _past_hours(self) -> Iterator[tuple[str, str, str]]:
        this_hour = hour_of(self.now())
        for kind in EVENTS:
            for folder in sorted((self.state_folder / LOG_FOLDER / kind).glob("*/*")):
                if _hour_start(folder.name) is not None and folder.name < this_hour:
                    yield kind, folder.parent.name, folder.name

    def _close_hour(self, kind: str, model: str, hour: str) -> int:
        folder = segment_folder(self.state_folder, kind, model, hour)
        read: list[Path] = []
        events: list[Event] = []
        for file in sorted(folder.glob(f"*{SEGMENT_SUFFIX}")):
            with _closed_segment(file) as content:
                if content is None:
                    continue
                segment = read_segment(content, kind)
            self._tell(segment, file, kind, model)
            read.append(file)
            events += segment.events
        if events:
            self._write(f"{kind}/{model}/{hour}.parquet", kind, events)
            log.info("%s: %d %s of hour %s archived", model, len(events), kind, hour)
        for file in read:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # a late segment may have come
            folder.rmdir()
        return len(read)

    def _tell(self, segment: Segment, file: Path, kind: str, model: str) -> None:
        if segment.torn:
            log.warning("WS-SERVING-021: %s: the last line is torn; the server was killed there", file.name)
        if segment.unreadable:
            kept = (
                self.state_folder / LOG_FOLDER / REJECTED_FOLDER / f"{kind}-{model}-{uuid.uuid4().hex}.ndjson"
            )
            try:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(b"\n".join(segment.unreadable) + b"\n")
            except OSError as error:
                raise StorageError(f"cannot write {kept}: {error.strerror}") from error
            log.warning(
                "WS-SERVING-022: %s: %d lines are no %s; kept in %s",
                file.name,
                len(segment.unreadable),
                kind,
                kept,
            )

    def _write(self, path: str, kind: str, events: Iterable[Event]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [_row(event) for event in events]
        if self.storage.exists(path):
            rows += pq.read_table(io.BytesIO(self.storage.read_bytes(path))).to_pylist()
        once = {json.dumps(row, sort_keys=True, default=str): row for row in rows}
        ordered = sorted(once.items(), key=lambda item: (item[1]["receive_time"], item[0]))
        table = pa.Table.from_pylist([row for _, row in ordered], schema=_schema(kind))
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self.storage.write_bytes(path, buffer.getvalue())


@contextmanager
def _closed_segment(file: Path) -> Iterator[bytes | None]:
    """Give a segment's content; ``None`` while a server holds it open, or once it is gone."""
    try:
        stream = open(file, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield stream.read()


def _hour_start(name: str) -> datetime | None:
    try:
        return datetime.strptime(name, HOUR_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _row(event: Event) -> dict[str, Any]:
    content = event.model_dump()
    for name in JSON_COLUMNS:
        if name in content:
            content[name] = json.dumps(content[name], ensure_ascii=False, allow_nan=False)
    return content


def _schema(kind: str) -> pa.Schema:
    import pyarrow as pa

    known = {
        "epoch": pa.int64(),
        "score": pa.float64(),
        "event_time": pa.timestamp("us", tz="UTC"),
        "receive_time": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, known.get(name, pa.string())) for name in EVENTS[kind].model_fields])
