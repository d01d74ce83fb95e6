"""HTTP as uvicorn speaks it, with an answer's headers and body in one write."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

END_OF_HEADERS = b"\r\n\r\n"
BEGIN_OF_ANSWER = b"HTTP/1.1 "
LATE, TOO_LARGE = b"408 Request Timeout", b"431 Request Header Fields Too Large"
LAST_HEADERS = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
HEAD_BYTES = 64 * 1024
"""Most bytes of a request's line and headers."""
HEAD_SECONDS = 30.0
"""Longest time from a connection, or from a request's first byte, to the end of its head."""


class OneWrite:
    """A transport that holds an answer's headers back until its body comes, or the loop's next turn.

    A write to a socket costs as much as reading a request: one for headers and body instead of two.

    :param transport: the connection's.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write, or hold back."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.endswith(END_OF_HEADERS) and data.startswith(BEGIN_OF_ANSWER):
            self._held = data
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write what is held back."""
        if self._held:
            data, self._held = self._held, b""
            self._transport.write(data)

    def close(self) -> None:
        """Write what is held back, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's protocol over :class:`OneWrite`; size and time of a request's head are bounded."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; its first request must begin soon."""
        self._head_is_open, self._head_bytes = True, 0
        self._head_timer: asyncio.TimerHandle | None = None
        super().connection_made(cast("asyncio.Transport", OneWrite(transport, self.loop)))
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go."""
        self._unwatch_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is too long or does not end closes the connection."""
        super().data_received(data)
        if not self._head_is_open:
            self._unwatch_head()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(TOO_LARGE)
        elif self._head_timer is None:
            self._watch_head()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._head_is_open, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End a request's head."""
        self._head_is_open = False
        super().on_headers_complete()

    def _watch_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, LATE)

    def _unwatch_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: bytes) -> None:
        """Close a connection whose request never came to an app."""
        self._unwatch_head()
        if not self.transport.is_closing():
            if self._head_bytes:
                self.transport.write(
                    BEGIN_OF_ANSWER + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                )
            self.transport.close()
