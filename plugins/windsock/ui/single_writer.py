"""One writing request at a time, for an Airflow whose metadata database is SQLite.

Airflow's API server commits its audit log on the event loop, synchronously. While another request of the
same process holds SQLite's write lock in a worker thread, that commit waits on the loop which the lock's
holder needs in order to commit: neither can go on, until SQLite's busy timeout ends the wait with
"database is locked" and the caller gets 500 "Database error". SQLite has one writer anyway, so taking turns
before the database costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
WAIT_SECONDS = 30.0

Scope = MutableMapping[str, Any]
AsgiApp = Callable[[Scope, Any, Any], Awaitable[None]]


class SingleWriter:
    """ASGI middleware that lets one writing request through at a time; reading ones never wait.

    :param app: the application behind it.
    :param wait: seconds after which a request goes on although its turn has not come: a client that never
        ends its body must not stop the others for good.
    """

    def __init__(self, app: AsgiApp, *, wait: float = WAIT_SECONDS) -> None:
        self.app = app
        self.wait = wait
        self._turn = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] in READING_METHODS:
            await self.app(scope, receive, send)
            return
        acquired = False
        with suppress(TimeoutError):
            async with asyncio.timeout(self.wait):
                acquired = await self._turn.acquire()
        try:
            await self.app(scope, receive, send)
        finally:
            if acquired:
                self._turn.release()


def api_middlewares(database_url: str) -> list[dict[str, Any]]:
    """Return the middlewares that Airflow's API server needs with this metadata database.

    :param database_url: SQLAlchemy URL of Airflow's metadata database.
    """
    if not database_url.startswith("sqlite"):
        return []
    return [{"name": "Windsock: one writer on SQLite", "middleware": SingleWriter}]
