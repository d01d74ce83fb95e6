"""Requests that a trusted proxy passes on: bounded by the address that it names."""

from __future__ import annotations

from typing import Any

from windsock.serving.errors import error_parts
from windsock.serving.lean import send_answer
from windsock.serving.wire import TooManyError, Wire


class CountedApp:
    """An ASGI app that answers so many requests of one address at a time, behind a trusted proxy.

    :param app: answers.
    :param wire: counts.
    :param address: for whom the proxy asks.
    """

    def __init__(self, app: Any, wire: Wire, address: str) -> None:
        self.app, self.wire, self.address = app, wire, address

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        in_work = self.wire.in_work
        if in_work[self.address] >= self.wire.limits.connections_per_address:
            self.wire.refused("connections", "one address behind a proxy has too many requests in work")
            await send_answer(send, error_parts(TooManyError("the address has too many requests in work")))
            return
        in_work[self.address] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            in_work[self.address] -= 1
            if not in_work[self.address]:
                del in_work[self.address]
