"""``WorkerServer``: uvicorn's server over listeners of our own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import uvicorn

from windsock.serving.http_protocol import HttpProtocol
from windsock.serving.listener import Listener
from windsock.serving.wire import Entry, Wire
from windsock.settings import WireLimits


@dataclass(frozen=True)
class Door:
    """Where connections come from, and what bounds them.

    :param listening: the bound socket.
    :param limits: the bounds.
    :param context: what TLS needs; ``None``: plain HTTP.
    :param trusted: proxies whose X-Forwarded-For is believed.
    :param is_private: whether it is the listener of health and admin.
    """

    listening: socket.socket
    limits: WireLimits
    context: ssl.SSLContext | None = None
    trusted: Sequence[str] = ()
    is_private: bool = False


class WorkerServer(uvicorn.Server):
    """Uvicorn's server; :class:`~windsock.serving.listener.Listener` takes the connections.

    :param config: uvicorn's, loaded.
    :param doors: where to listen.
    :param count: counts a refused connection by one word.
    """

    def __init__(self, config: uvicorn.Config, doors: Sequence[Door], count: Callable[[str], None]) -> None:
        super().__init__(config)
        self._doors, self._count = doors, count

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen."""
        await super().startup(sockets=[])
        listeners = [self._listen(door) for door in self._doors]
        self.servers = cast("list[asyncio.base_events.Server]", listeners)

    def _listen(self, door: Door) -> Listener:
        wire = Wire(door.limits, door.trusted, self._count)

        def make(entry: Entry) -> asyncio.Protocol:
            protocol = HttpProtocol(**self._parts())
            protocol.wire, protocol.entry, protocol.is_private = wire, entry, door.is_private
            return protocol

        return Listener(door.listening, make, wire, door.context)

    def _parts(self) -> dict[str, Any]:
        return {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
