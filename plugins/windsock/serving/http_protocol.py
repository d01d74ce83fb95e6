"""HTTP as uvicorn speaks it, with an answer's headers and body in one write."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

END_OF_HEADERS = b"\r\n\r\n"
BEGIN_OF_ANSWER = b"HTTP/1.1 "


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
    """Uvicorn's protocol over :class:`OneWrite`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(cast("asyncio.Transport", OneWrite(transport, self.loop)))
