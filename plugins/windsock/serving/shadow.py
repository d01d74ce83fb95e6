"""``ShadowRunner``: work that comes after an answer, and never delays or fails one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

Job = Callable[[], Awaitable[None]]
Lost = Callable[[Exception | None], None]
"""Is told of a job that came to nothing: by which error, or ``None`` if it was dropped."""

AT_ONCE = 2
MAX_WAITING = 128
MAX_ROWS = 4096
LIMIT_SECONDS = 10.0
LOG_SECONDS = 60.0
STOP_SECONDS = 1.0


class ShadowRunner:
    """Runs jobs beside the answers: a few at once, a few waiting, the rest dropped and counted.

    Only the event loop may use it; so it needs no lock.

    :param at_once: most jobs that run at the same time.
    :param max_waiting: most jobs that wait for one of those.
    :param limit_seconds: a job that takes longer is given up and counted as failed.
    :param clock: a monotonic clock, in seconds.
    :ivar done: jobs that ended well.
    :ivar failed: jobs that raised, or took too long.
    :ivar dropped: jobs that found no place, or had not ended when the server stopped.
    """

    def __init__(
        self,
        at_once: int = AT_ONCE,
        max_waiting: int = MAX_WAITING,
        *,
        limit_seconds: float = LIMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.at_once = at_once
        self.max_waiting = max_waiting
        self.limit_seconds = limit_seconds
        self.clock = clock
        self.done = self.failed = self.dropped = 0
        self._queue: deque[tuple[Job, int, Lost | None]] = deque()
        self._rows = 0
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._told: dict[str, float] = {}

    def submit(self, job: Job, rows: int = 1, lost: Lost | None = None) -> bool:
        """Run a job later, where there is place for it; never raises, never waits.

        :param job: makes the coroutine; it is called when the job's turn comes.
        :param rows: rows that it holds; at most 4,096 wait, whatever the number of jobs.
        :param lost: is called if the job fails or is dropped; must not raise.
        :returns: whether there was place.
        """
        if not self._stopped and len(self._running) < self.at_once:
            self._running.add(asyncio.get_running_loop().create_task(self._run(job, lost)))
            return True
        fits = len(self._queue) < self.max_waiting and self._rows + rows <= MAX_ROWS
        if not self._stopped and fits:
            self._queue.append((job, rows, lost))
            self._rows += rows
            return True
        self.dropped += 1
        self._tell("dropped", f"no place for it; {self.dropped} so far")
        if lost is not None:
            lost(None)
        return False

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Take no more, give what runs and waits a moment to end, and drop the rest.

        :param seconds: the moment.
        """
        self._stopped = True
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        left = list(self._running)
        self.dropped += len(left) + len(self._queue)
        while self._queue:
            _, _, lost = self._queue.popleft()
            if lost is not None:
                lost(None)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _run(self, job: Job, lost: Lost | None) -> None:
        """Run a job, then what waits: one after the other."""
        try:
            await self._do(job, lost)
            while self._queue:
                waiting, rows, its_lost = self._queue.popleft()
                self._rows -= rows
                await self._do(waiting, its_lost)
        finally:  # at once, not by a callback of the task: a job that came in between would wait for nobody
            self._running -= {asyncio.current_task()}

    async def _do(self, job: Job, lost: Lost | None) -> None:
        try:
            async with asyncio.timeout(self.limit_seconds):
                await job()
        except Exception as error:  # nothing here may touch an answer
            self.failed += 1
            self._tell(type(error).__name__, f"{type(error).__name__}; {self.failed} failed so far")
            if lost is not None:
                lost(error)
        except asyncio.CancelledError:  # the server stops
            if lost is not None:
                lost(None)
            raise
        else:
            self.done += 1

    def _tell(self, kind: str, what: str) -> None:
        """Log a kind of loss, at most once a minute; an error's message may quote a value and is left out."""
        now = self.clock()
        if now - self._told.get(kind, -LOG_SECONDS) >= LOG_SECONDS:
            self._told[kind] = now
            log.warning("WS-SERVING-040: an answer of a shadow is missing in the log: %s", what)
