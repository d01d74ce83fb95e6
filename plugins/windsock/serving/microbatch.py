"""``MicroBatcher``: requests that arrive while a call runs are answered together by the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from windsock.exceptions import ServerUnavailableError

Values = tuple[Any, ...]
"""A row: its values in the order of the schema's fields."""
Scores = Sequence[Sequence[float]]

MAX_ROWS = 256
MAX_WAITING = 4096


class OverloadedError(ServerUnavailableError):
    """More rows wait for a version than it may let wait.

    :ivar retry_after: seconds after which the client may try again.
    """

    default_code = "WS-SERVING-039"
    default_next = "Send the request again in a second; start more workers if this comes often."
    retry_after = 1.0


@dataclass(eq=False)
class _Asked:
    rows: list[Values]
    answer: asyncio.Future[Scores]


class MicroBatcher:
    """Answers with one call at a time, and takes all that waits into the next one ("natural batching").

    Nobody waits for a batch to fill: a request that comes alone is answered alone, at once. A call of a
    scikit-learn pipeline costs milliseconds, however few the rows, so under load the batches grow by
    themselves and the cost for each row falls.

    A request is never split over two calls. If a batch of several requests fails with one of ``row_errors``,
    its halves are asked again, down to single requests: one client's row never fails another client's. Any
    other error is the call's own, and every request of the batch gets it.

    Only the event loop may use it; so it needs no lock.

    :param call: answers rows, in their order; runs in the executor.
    :param executor: the threads that run it.
    :param max_rows: most rows of several requests in one call; a larger request goes alone.
    :param max_waiting: most rows that may wait; a single request may have more while nothing else waits.
    :param row_errors: errors that the rows themselves cause.
    """

    def __init__(
        self,
        call: Callable[[list[Values]], Scores],
        executor: Executor,
        max_rows: int = MAX_ROWS,
        *,
        max_waiting: int = MAX_WAITING,
        row_errors: tuple[type[Exception], ...] = (ValueError,),
    ) -> None:
        self.call = call
        self.executor = executor
        self.max_rows = max_rows
        self.max_waiting = max_waiting
        self.row_errors = row_errors
        self.waiting = 0
        self._queue: deque[_Asked] = deque()
        self._answering: asyncio.Task[None] | None = None

    async def scores(self, rows: Sequence[Values]) -> Scores:
        """Return the scores of rows, in their order.

        :raises OverloadedError: if too many rows wait already.
        :raises Exception: what the call raised for these rows.
        """
        if not rows:
            return []
        if self._queue and self.waiting + len(rows) > self.max_waiting:
            raise OverloadedError(
                f"{self.waiting} rows wait for this version; with {len(rows)} more they would be over "
                f"{self.max_waiting}"
            )
        loop = asyncio.get_running_loop()
        asked = _Asked(list(rows), loop.create_future())
        self._queue.append(asked)
        self.waiting += len(asked.rows)
        if self._answering is None:
            self._answering = loop.create_task(self._answer_all())
        return await asked.answer

    async def _answer_all(self) -> None:
        batch: list[_Asked] = []
        try:
            while batch := self._take():
                await self._answer(batch)
        except asyncio.CancelledError:  # the loop or the executor ends
            stopping = ServerUnavailableError("the server is stopping", code="WS-SERVING-008")
            _fail([*batch, *self._queue], stopping)
            self._queue.clear()
            self.waiting = 0
            raise
        finally:
            self._answering = None

    def _take(self) -> list[_Asked]:
        """Return the requests of the next call; those whose clients have gone are left out."""
        batch: list[_Asked] = []
        rows = 0
        while self._queue:
            asked = self._queue[0]
            if not asked.answer.done():
                if batch and rows + len(asked.rows) > self.max_rows:
                    break
                batch.append(asked)
                rows += len(asked.rows)
            self._queue.popleft()
            self.waiting -= len(asked.rows)
        return batch

    async def _answer(self, batch: list[_Asked]) -> None:
        rows = [row for asked in batch for row in asked.rows]
        try:
            scores = await asyncio.get_running_loop().run_in_executor(self.executor, self.call, rows)
            if len(scores) != len(rows):
                raise ServerUnavailableError(
                    f"the version answered {len(scores)} of {len(rows)} rows", code="WS-SERVING-008"
                )
        except self.row_errors as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            middle = len(batch) // 2
            await self._answer(batch[:middle])
            await self._answer(batch[middle:])
        except Exception as error:
            _fail(batch, error)
        else:
            start = 0
            for asked in batch:
                end = start + len(asked.rows)
                if not asked.answer.done():
                    asked.answer.set_result(scores[start:end])
                start = end


def _fail(batch: Sequence[_Asked], error: Exception) -> None:
    for asked in batch:
        if not asked.answer.done():
            asked.answer.set_exception(error)
