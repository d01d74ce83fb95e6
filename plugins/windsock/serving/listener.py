"""``Listener``: takes the connections of one socket, and refuses those beyond the limits at once."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from windsock.serving.wire import TOO_MANY, Entry, Wire

log = logging.getLogger(__name__)

BATCH = 32
"""Most connections that are taken before others have their turn."""
PAUSE_SECONDS = 0.1
SHUTDOWN_SECONDS = 5.0
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """Takes the connections of one listening socket.

    They are counted before TLS begins, so that handshakes that never end are bounded, too.

    :param listening: the bound socket; several workers may share it.
    :param make_protocol: makes the protocol of a connection.
    :param wire: counts and bounds the connections.
    :param context: what TLS needs; ``None``: plain HTTP.
    """

    def __init__(
        self,
        listening: socket.socket,
        make_protocol: Callable[[Entry], asyncio.Protocol],
        wire: Wire,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.listening, self.wire, self.context = listening, wire, context
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_open = True
        listening.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Take no more."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self.listening.fileno())
            if self._pause is not None:
                self._pause.cancel()
            for task in self._opening:
                task.cancel()

    async def wait_closed(self) -> None:
        """Wait until nothing is being opened."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self.listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(BATCH):
            try:
                taken, address = self.listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            entry = self.wire.admit(str(address[0]), self._loop.time())
            if entry is None:
                _refuse(taken, named=self.context is None)
                continue
            task = self._loop.create_task(self._open(taken, entry))
            entry.give_up = task.cancel
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _rest(self, error: OSError) -> None:
        """Stop for a moment: without a free file, the same connection would be reported again at once."""
        if error.errno in EXHAUSTED:
            self.wire.make_room(self._loop.time())
        self.wire.refused("files", f"a connection could not be taken ({error.strerror})")
        self._loop.remove_reader(self.listening.fileno())
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._listen)

    async def _open(self, taken: socket.socket, entry: Entry) -> None:
        tls: dict[str, Any] = {}
        if self.context is not None:
            tls = {
                "ssl": self.context,
                "ssl_handshake_timeout": self.wire.limits.handshake_seconds,
                "ssl_shutdown_timeout": SHUTDOWN_SECONDS,
            }
        try:
            taken.setblocking(False)
            with suppress(OSError):
                taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(lambda: self._make_protocol(entry), taken, **tls)
        except asyncio.CancelledError:
            self._drop(taken, entry)
            raise
        except Exception:  # no handshake, another protocol, gone already: nobody can be told
            self._drop(taken, entry)

    def _drop(self, taken: socket.socket, entry: Entry) -> None:
        self.wire.leave(entry)
        taken.close()


def _refuse(taken: socket.socket, *, named: bool) -> None:
    """Close a connection that there is no place for; where it speaks plain HTTP, say so."""
    with taken, suppress(OSError):
        taken.setblocking(False)
        if named:
            with suppress(OSError):  # what is left unread would take the answer with it
                taken.recv(65536)
            taken.send(TOO_MANY)
            taken.shutdown(socket.SHUT_WR)
