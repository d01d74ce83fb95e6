"""The durable log of predictions and outcomes: one writer thread, whole lines, fsync in batches."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from io import FileIO
from pathlib import Path

from windsock.adapters.prediction_archive import (
    OPENING_SUFFIX,
    SEGMENT_SUFFIX,
    hour_of,
    segment_folder,
)
from windsock.exceptions import StorageError
from windsock.ports import utc_now
from windsock.records import OutcomeEvent, PredictionEvent
from windsock.serving.files import sync_folder

log = logging.getLogger(__name__)

SPOOL_BYTES = 32 * 1024 * 1024
"""Most bytes that wait in memory while the disk does not take them."""
FLUSH_SECONDS = 0.25
RETRY_SECONDS = 0.5
OUTCOME_SECONDS = 5.0

Place = tuple[str, str, str]
"""Kind, model, hour."""


@dataclass
class _Line:
    place: Place
    content: bytes
    written: Future[None] | None = None


@dataclass
class _Segment:
    file: Path
    stream: FileIO
    size: int = 0


@dataclass
class LogState:
    """How the log fares.

    :param dropped: events that found no place while the disk did not take them.
    :param waiting: events in memory.
    :param fault: why the last write failed; ``None`` while all is well.
    """

    dropped: int = 0
    waiting: int = 0
    fault: str | None = None


@dataclass
class _Queue:
    lines: list[_Line] = field(default_factory=list)
    bytes: int = 0
    urgent: bool = False


class PredictionLog:
    """Appends events to segments of the state folder. It never blocks a prediction.

    :param state_folder: the server's state folder.
    :param spool_bytes: most bytes that wait in memory.
    :param now: the clock.
    """

    def __init__(
        self,
        state_folder: Path,
        *,
        spool_bytes: int = SPOOL_BYTES,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.state_folder = state_folder
        self.spool_bytes = spool_bytes
        self.now = now
        self.state = LogState()
        self._queue = _Queue()
        self._segments: dict[Place, _Segment] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    @property
    def fault(self) -> str | None:
        """Why events do not reach the disk; ``None`` while they do."""
        return self.state.fault if self._thread.is_alive() else "the writer does not run"

    def start(self) -> None:
        """Start the writer."""
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Write what waits, then end the writer.

        :param timeout: seconds to wait for it.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout)
        if self._queue.lines:
            log.error("WS-SERVING-020: %d log events could not be written", len(self._queue.lines))

    def add_prediction(self, event: PredictionEvent) -> bool:
        """Hand over a prediction; it is on the disk within a second. Return whether it found a place."""
        return self._add("predictions", event)

    async def add_outcome(self, event: OutcomeEvent) -> None:
        """Write an outcome and wait until it is on the disk.

        :raises StorageError: if it cannot be written in time; the client must send it again.
        """
        written: Future[None] = Future()
        taken = self._add("outcomes", event, written)
        try:
            if not taken:
                raise TimeoutError
            await asyncio.wait_for(asyncio.wrap_future(written), OUTCOME_SECONDS)
        except TimeoutError:
            raise StorageError(
                f"the outcome is not on the disk: {self.state.fault or 'the writer is behind'}",
                code="WS-SERVING-020",
                next_action="Send it again later; free some space where the server keeps its log.",
            ) from None

    def _add(
        self, kind: str, event: PredictionEvent | OutcomeEvent, written: Future[None] | None = None
    ) -> bool:
        content = event.model_dump_json().encode() + b"\n"
        line = _Line((kind, event.model, hour_of(event.receive_time)), content, written)
        with self._changed:
            if self._queue.bytes + len(content) > self.spool_bytes:
                self.state.dropped += 1
                return False
            self._queue.lines.append(line)
            self._queue.bytes += len(content)
            self.state.waiting = len(self._queue.lines)
            if written is not None:
                self._queue.urgent = True
                self._changed.notify()
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_due, timeout=FLUSH_SECONDS)
                stopping, batch = self._stopping, list(self._queue.lines)
                self._queue.urgent = False
            self._flush(batch)
            if stopping:
                self._close(set(self._segments))
                return
            if self.state.fault:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, timeout=RETRY_SECONDS)

    def _is_due(self) -> bool:
        return self._stopping or self._queue.urgent

    def _flush(self, batch: list[_Line]) -> None:
        """Write a batch; lines that could not be written stay in the queue, in their order."""
        groups: dict[Place, list[_Line]] = {}
        for line in batch:
            groups.setdefault(line.place, []).append(line)
        done: set[int] = set()
        fault = None
        for place, lines in groups.items():
            try:
                self._append(place, b"".join(line.content for line in lines))
            except OSError as error:
                fault = error.strerror or type(error).__name__
                continue
            done.update(map(id, lines))
        self._settle(batch, done, fault)
        this_hour = hour_of(self.now())
        self._close({place for place in self._segments if place[2] != this_hour})

    def _settle(self, batch: list[_Line], done: set[int], fault: str | None) -> None:
        with self._changed:
            added = self._queue.lines[len(batch) :]
            self._queue.lines = [line for line in batch if id(line) not in done] + added
            self._queue.bytes = sum(len(line.content) for line in self._queue.lines)
            self.state.waiting = len(self._queue.lines)
        if fault and not self.state.fault:
            log.error(
                "WS-SERVING-020: the prediction log cannot be written: %s; events wait in memory", fault
            )
        if self.state.fault and not fault:
            log.info("the prediction log is written again; %d events were dropped", self.state.dropped)
        self.state.fault = fault
        for line in batch:
            if id(line) in done and line.written is not None:
                with suppress(InvalidStateError):  # who waited has given up
                    line.written.set_result(None)

    def _append(self, place: Place, content: bytes) -> None:
        segment = self._segments.get(place) or self._open(place)
        try:
            left = memoryview(content)
            while left:
                left = left[segment.stream.write(left) :]
            os.fsync(segment.stream.fileno())
        except OSError:
            # Nobody knows what is on the disk now: take the lines back and go on in another file.
            del self._segments[place]
            with suppress(OSError):
                segment.stream.truncate(segment.size)
            segment.stream.close()
            raise
        segment.size += len(content)

    def _open(self, place: Place) -> _Segment:
        folder = segment_folder(self.state_folder, *place)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{os.getpid()}-{uuid.uuid4().hex}{SEGMENT_SUFFIX}"
        opening = file.with_suffix(OPENING_SUFFIX)
        stream = FileIO(opening, "xb")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
            opening.rename(file)  # from here on the archive sees it, and sees that it is open
            sync_folder(folder)
        except OSError:
            stream.close()
            raise
        self._segments[place] = _Segment(file=file, stream=stream)
        return self._segments[place]

    def _close(self, places: set[Place]) -> None:
        for place in places:
            segment = self._segments.pop(place)
            segment.stream.close()
            if segment.size == 0:
                with suppress(OSError):
                    segment.file.unlink()
