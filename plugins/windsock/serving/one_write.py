"""``OneWrite``: an answer's headers and body in one write."""

from __future__ import annotations

import asyncio
from typing import Any

END_OF_HEADERS = b"\r\n\r\n"
BEGIN_OF_ANSWER = b"HTTP/1.1 "
CLOSE_SECONDS = 5.0
"""How long a closed connection may take to send what it holds."""


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
        """Write, or hold back; nothing once the connection is closed."""
        if self._transport.is_closing():
            return
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
            if not self._transport.is_closing():
                self._transport.write(data)

    def close(self) -> None:
        """Write what is held back, then close; a client that does not read is not waited for."""
        self.flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
