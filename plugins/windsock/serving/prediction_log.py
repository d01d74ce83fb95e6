"""The durable log of predictions, outcomes and rows without an answer: one writer thread, fsync in batches.

Rows become lines on the caller's thread: that takes microseconds, bounds the memory exactly, and leaves the
writer little that needs the interpreter while requests are answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from windsock.adapters.log_format import OUTCOMES, PREDICTIONS, UNANSWERED
from windsock.exceptions import StorageError
from windsock.ports import utc_now
from windsock.records import InputSchema, OutcomeEvent
from windsock.serving.log_lines import (
    HOUR_SECONDS,
    SEALED_FILE,
    AnsweredRows,
    LineMaker,
    LoggedRow,
    LogLine,
    Place,
    Sealer,
    UnansweredRows,
    Waiter,
    line_of_outcome,
)
from windsock.serving.log_segments import Segments

__all__ = ["AnsweredRows", "LogState", "LoggedRow", "PredictionLog"]

log = logging.getLogger(__name__)

SPOOL_BYTES = 32 * 1024 * 1024
"""Most bytes that wait in memory while the disk does not take them."""
CHUNK_BYTES = 2 * 1024 * 1024
"""Bytes that are written and brought to the disk at once."""
FLUSH_SECONDS = 0.25
WRITER_NICE = 10
BRAKE_SECONDS = 0.0002
"""How long an answer gives way to the writer while half of the memory waits for the disk."""
RETRY_SECONDS = 0.5
OUTCOME_SECONDS = 5.0


@dataclass
class LogState:
    """How the log fares. What came in is ``written + dropped + refused + waiting``.

    :param written: rows and outcomes that are on the disk.
    :param dropped: rows that found no place while the disk did not take them.
    :param refused: outcomes that could not be written in time; who sent them was told to send them again.
    :param waiting: rows and outcomes in memory.
    :param fault: why the last write failed; ``None`` while all is well.
    """

    written: int = 0
    dropped: int = 0
    refused: int = 0
    waiting: int = 0
    fault: str | None = None


@dataclass
class _Inbox:
    """What callers handed over and the writer has not taken yet.

    :param growing: of ``rows`` those that more can be added to.
    """

    rows: list[LogLine] = field(default_factory=list)
    growing: dict[Place, LogLine] = field(default_factory=dict)
    outcomes: list[LogLine] = field(default_factory=list)
    row_bytes: int = 0


class PredictionLog:
    """Appends rows and outcomes to segments of the state folder. It never blocks a prediction.

    :param state_folder: the server's state folder.
    :param keys_dir: the installation's keys: with a ``log.key`` among them sensitive fields are encrypted.
    :param spool_bytes: most bytes that wait in memory.
    :param now: the clock.
    """

    def __init__(
        self,
        state_folder: Path,
        *,
        keys_dir: Path | None = None,
        spool_bytes: int = SPOOL_BYTES,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.state_folder = state_folder
        self.spool_bytes = spool_bytes
        self.now = now
        self.state = LogState()
        self.sealer = Sealer(keys_dir, state_folder / SEALED_FILE)
        self._maker = LineMaker()
        self._inbox = _Inbox()
        self._place = Place(PREDICTIONS, "", 0)
        self._bytes = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stopping = False
        self._told = False
        self._backlog: dict[Place, deque[LogLine]] = {}
        self._segments = Segments(state_folder)
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    @property
    def fault(self) -> str | None:
        """What is wrong with the log; ``None`` while all that comes reaches the disk."""
        if not self._thread.is_alive():
            return "the writer does not run"
        if self.state.fault or not self.sealer.fault:
            return self.state.fault
        return f"sensitive values are not written: {self.sealer.fault}"

    def start(self) -> None:
        """Start the writer."""
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Write what waits, then end the writer. Rows that come later are dropped.

        :param timeout: seconds to wait for it.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout)
        if self.state.waiting:
            log.error("WS-SERVING-020: %d log events could not be written", self.state.waiting)

    def add_rows(
        self,
        answered: AnsweredRows,
        schema: InputSchema,
        began: float | None = None,
        at: float | None = None,
    ) -> bool:
        """Hand over answered rows; they are on the disk within a second.

        It never raises, and waits for :data:`BRAKE_SECONDS` at most: rows that find no place are counted as
        dropped.

        :param schema: the schema of their values.
        :param began: when the server had the request, by the monotonic clock; ``None``: it is not timed.
        :param at: ``receive_time`` in seconds since 1970, where the caller knows it.
        :returns: whether they found a place.
        """
        if self._bytes > self.spool_bytes // 2:
            self._brake()
        fields = self._maker.fields(schema)
        answered.fields = fields.names
        seconds = answered.receive_time.timestamp() if at is None else at
        hour, place = int(seconds) // HOUR_SECONDS, self._place
        if place.hour != hour or place.model != answered.model:
            place = self._place = Place(PREDICTIONS, answered.model, hour)
        try:
            if self.sealer.in_force and fields.sensitive:
                return self._add_line(self._maker.sealed(answered, place, fields.sensitive, began))
            return self._add_rows(place, answered, began)
        except (TypeError, ValueError) as error:
            return self._unwritable(error, len(answered.rows))

    def add_unanswered(self, rows: UnansweredRows) -> bool:
        """Hand over rows without an answer; what is promised of answered ones holds for them, too.

        :returns: whether they found a place.
        """
        if self._bytes > self.spool_bytes // 2:
            self._brake()
        place = Place(UNANSWERED, rows.model, int(rows.receive_time.timestamp()) // HOUR_SECONDS)
        try:
            return self._add_rows(place, rows, None)
        except (TypeError, ValueError) as error:
            return self._unwritable(error, len(rows.rows))

    def _unwritable(self, error: Exception, rows: int) -> bool:
        if not self._told:
            log.error("WS-SERVING-033: rows of a request have no JSON form: %s", type(error).__name__)
        self._told = True
        return self._drop(rows)

    def _brake(self) -> None:
        """Let the writer go first while it does not keep up: rather a later answer than a lost row.

        Answers come before the writer where both share a core. While the disk takes nothing they go on.
        """
        if self.state.fault is None and not self._stopping:
            time.sleep(BRAKE_SECONDS)

    async def add_outcome(self, event: OutcomeEvent) -> None:
        """Write an outcome and wait until it is on the disk. Outcomes that come together share one fsync.

        :raises StorageError: if it cannot be written in time; the client must send it again.
        """
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop, loop.create_future())
        try:
            if not self._add_outcome(line_of_outcome(event, waiter)):
                raise TimeoutError
            async with asyncio.timeout(OUTCOME_SECONDS):
                await waiter.future
        except TimeoutError:
            raise StorageError(
                f"the outcome is not on the disk: {self.state.fault or 'the writer is behind'}",
                code="WS-SERVING-020",
                next_action="Send it again later; free some space where the server keeps its log.",
            ) from None

    def _add_rows(self, place: Place, answered: AnsweredRows | UnansweredRows, began: float | None) -> bool:
        """Add rows that need nothing more to the lines that wait already."""
        rows = len(answered.rows)
        with self._lock:
            inbox = self._inbox
            line = inbox.growing.get(place)
            if line is None or len(line.content) >= CHUNK_BYTES:
                line = inbox.growing[place] = LogLine(place, bytearray())
                inbox.rows.append(line)
            size = self._maker.add(answered, line, began)
            if not self._stopping and self._bytes + size <= self.spool_bytes:
                self._bytes += size
                self.state.waiting += rows
                line.rows += rows
                line.cost += size
                inbox.row_bytes += size
                if inbox.row_bytes >= CHUNK_BYTES:
                    self._changed.notify()
                return True
            del line.content[-size:]  # type: ignore[union-attr] # lines that are added to are a bytearray
        return self._drop(rows)

    def _add_line(self, line: LogLine) -> bool:
        with self._changed:
            if not self._stopping and self._bytes + line.cost <= self.spool_bytes:
                self._bytes += line.cost
                self.state.waiting += line.rows
                self._inbox.rows.append(line)
                self._inbox.row_bytes += line.cost
                if self._inbox.row_bytes >= CHUNK_BYTES:
                    self._changed.notify()
                return True
        return self._drop(line.rows)

    def _drop(self, rows: int) -> bool:
        with self._changed:
            self.state.dropped += rows
        return False

    def _add_outcome(self, line: LogLine) -> bool:
        with self._changed:
            if self._stopping or self._bytes + line.cost > self.spool_bytes:
                self.state.refused += 1
                return False
            self._bytes += line.cost
            self.state.waiting += 1
            self._inbox.outcomes.append(line)
            self._changed.notify()
        return True

    def _run(self) -> None:
        # Where answers and the writer share a core, answers go first; a tenth of it is more than it needs.
        thread = threading.get_native_id()
        with suppress(OSError):
            own = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, own + WRITER_NICE)
        rows_due = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(self._is_due, timeout=max(0.0, rows_due - time.monotonic()))
                stopping, inbox = self._stopping, self._inbox
                with_rows = (
                    stopping
                    or self.state.fault is not None
                    or inbox.row_bytes >= CHUNK_BYTES
                    or time.monotonic() >= rows_due
                )
                self._inbox = (
                    _Inbox()
                    if with_rows
                    else _Inbox(rows=inbox.rows, growing=inbox.growing, row_bytes=inbox.row_bytes)
                )
            self._take(inbox.outcomes)
            if with_rows:
                self._take(inbox.rows)
                rows_due = time.monotonic() + FLUSH_SECONDS
            self._flush(with_rows)
            if stopping:
                self._segments.close_before(None)
                return
            if self.state.fault:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, timeout=RETRY_SECONDS)

    def _is_due(self) -> bool:
        return self._stopping or bool(self._inbox.outcomes) or self._inbox.row_bytes >= CHUNK_BYTES

    def _take(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            if not line.rows:  # of a request whose rows found no place
                continue
            waiting = self._backlog.get(line.place)
            if waiting is None:
                waiting = self._backlog[line.place] = deque()
            waiting.append(line)

    def _flush(self, with_rows: bool) -> None:
        """Write what waits, outcomes first; what could not be written stays, in its order."""
        fault = None
        self.sealer.refresh()
        for place in sorted(self._backlog, key=lambda place: place.kind != OUTCOMES):
            if place.kind != OUTCOMES and not with_rows:
                continue
            try:
                self._write(place)
            except OSError as error:
                fault = error.strerror or type(error).__name__
            except Exception as error:
                fault = f"unexpected {type(error).__name__}"
        self._segments.mend()
        self._segments.close_before(int(self.now().timestamp()) // HOUR_SECONDS)
        if fault and not self.state.fault:
            log.error(
                "WS-SERVING-020: the prediction log cannot be written: %s; events wait in memory", fault
            )
        if self.state.fault and not fault:
            log.info("the prediction log is written again; %d rows were dropped", self.state.dropped)
        self.state.fault = fault

    def _write(self, place: Place) -> None:
        lines = self._backlog[place]
        while lines:
            taken, left_out = self._next_chunk(lines)
            if taken:
                content = taken[0].content if len(taken) == 1 else b"".join([line.content for line in taken])
                self._segments.append(place, content)
            for _ in range(len(taken) + len(left_out)):
                lines.popleft()
            self._settle(taken, left_out)
        del self._backlog[place]

    def _next_chunk(self, lines: deque[LogLine]) -> tuple[list[LogLine], list[LogLine]]:
        taken: list[LogLine] = []
        left_out: list[LogLine] = []
        size = 0
        for line in lines:
            if size >= CHUNK_BYTES:
                break
            if line.is_given_up or not self.sealer.seal(line):
                left_out.append(line)
                continue
            taken.append(line)
            size += len(line.content)
        return taken, left_out

    def _settle(self, written: list[LogLine], left_out: list[LogLine]) -> None:
        rows = sum(line.rows for line in written)
        dropped = sum(line.rows for line in left_out if line.waiter is None)
        refused = sum(line.rows for line in left_out if line.waiter is not None)
        cost = sum(line.cost for line in written) + sum(line.cost for line in left_out)
        with self._changed:
            self._bytes -= cost
            self.state.waiting -= rows + dropped + refused
            self.state.written += rows
            self.state.dropped += dropped
            self.state.refused += refused
        waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for line in written:
            if line.waiter is not None:
                waiting.setdefault(line.waiter.loop, []).append(line.waiter.future)
        for loop, futures in waiting.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(_release, futures)


def _release(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():  # who waited has given up
            future.set_result(None)
