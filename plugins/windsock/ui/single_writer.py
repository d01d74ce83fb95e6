"""One writing request at a time, for an Airflow whose metadata database is SQLite.

Airflow's API server commits its audit log on the event loop, synchronously. While another request of the
same process holds SQLite's write lock in a worker thread, that commit waits on the loop which the lock's
holder needs in order to commit: neither can go on, until SQLite's busy timeout ends the wait with
"database is locked" and the caller gets 500 "Database error". SQLite has one writer anyway, so taking turns
before the database costs nothing.

A turn is never in the hands of a client: it begins when a request has come whole, and ends when its answer
is made, before the client has read it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# More than SQLite's busy timeout in the stack: who has the turn may be waiting for another process.
WAIT_SECONDS = 90.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class SingleWriter:
    """ASGI middleware that lets one writing request through at a time; reading ones never wait.

    :param app: the application behind it.
    :param wait: seconds after which a request goes on although its turn has not come: one that hangs in the
        application must not stop the others for good.
    """

    def __init__(self, app: AsgiApp, *, wait: float = WAIT_SECONDS) -> None:
        self.app = app
        self.wait = wait
        self._turn = asyncio.Semaphore(1)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] in READING_METHODS:
            await self.app(scope, receive, send)
            return
        request = await _read_whole(receive)
        if request is None:  # the client has gone
            return
        turn = _Turn(self._turn)
        await turn.begin(self.wait)
        try:
            await self.app(scope, _replay(request, receive), turn.end_with(send))
        finally:
            turn.end()


class _Turn:
    """A turn that ends once, whoever ends it first."""

    def __init__(self, semaphore: asyncio.Semaphore) -> None:
        self.semaphore = semaphore
        self.is_held = False

    async def begin(self, wait: float) -> None:
        """Wait for the turn, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                self.is_held = await self.semaphore.acquire()

    def end(self) -> None:
        """Give it back, if it is held."""
        if self.is_held:
            self.is_held = False
            self.semaphore.release()

    def end_with(self, send: Send) -> Send:
        """Return a ``send`` that ends the turn before the last part of the answer goes to the client."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.end()
            await send(message)

        return sending


async def _read_whole(receive: Receive) -> list[Message] | None:
    """Return the messages of a request's body; ``None`` if the client went away before its end."""
    messages: list[Message] = []
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())
        if messages[-1]["type"] != "http.request":
            return None
    return messages


def _replay(messages: list[Message], receive: Receive) -> Receive:
    """Return a ``receive`` that gives these messages again, and then what follows them."""
    left = iter(messages)

    async def receiving() -> Message:
        return next(left, None) or await receive()

    return receiving


def api_middlewares(database_url: str) -> list[dict[str, Any]]:
    """Return the middlewares that Airflow's API server needs with this metadata database.

    :param database_url: SQLAlchemy URL of Airflow's metadata database.
    """
    if not database_url.startswith("sqlite"):
        return []
    return [{"name": "Windsock: one writer on SQLite", "middleware": SingleWriter}]
