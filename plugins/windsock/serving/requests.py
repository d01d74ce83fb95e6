"""Reading a request's body within its bounds."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Generator
from typing import Any

from starlette.requests import Request
from starlette.types import Message, Receive

from windsock.serving.service import Limits
from windsock.serving.strict_json import Fault, RequestRefusedError, read_json

BOUNDS = "WS-SERVING-014"


async def read_body(receive: Receive, length: bytes | None, limits: Limits) -> bytes:
    """Return a request's body.

    The clock runs only while there is something to wait for: setting it costs as much as reading a request.

    :param length: what the header says.
    :raises RequestRefusedError: if it is too large (413), too slow (408) or breaks off (400).
    """
    if length is not None and length.isdigit() and int(length[:20]) > limits.body_bytes:
        raise _too_large(limits)
    begun: Any = receive()
    try:
        waits_for = begun.send(None)
    except StopIteration as done:  # it has come with its headers, as most do: nothing to wait for
        message = done.value
        if not message.get("more_body"):
            return _content(message, limits)
        return await _in_time(_rest(receive, _content(message, limits), limits), limits)
    return await _in_time(_all(begun, waits_for, receive, limits), limits)


@types.coroutine
def _go_on(begun: Any, waits_for: Any) -> Generator[Any, Any, Message]:
    """Wait for a coroutine that has run to its first wait, and return what it returns."""
    try:
        yield waits_for
    except BaseException:
        begun.close()
        raise
    message: Message = yield from begun
    return message


async def _all(begun: Any, waits_for: Any, receive: Receive, limits: Limits) -> bytes:
    message = await _go_on(begun, waits_for)
    content = _content(message, limits)
    return await _rest(receive, content, limits) if message.get("more_body") else content


def _content(message: Message, limits: Limits) -> bytes:
    if message["type"] == "http.disconnect":
        raise _broken_off()
    content: bytes = message.get("body", b"")
    check_length(len(content), limits)
    return content


async def _in_time(reading: Awaitable[bytes], limits: Limits) -> bytes:
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await reading
    except TimeoutError:
        raise RequestRefusedError(
            408, "too_slow", Fault("body", "a part", f"all of it in {limits.body_seconds:g} s"), code=BOUNDS
        ) from None


async def _rest(receive: Receive, begun: bytes, limits: Limits) -> bytes:
    content = bytearray(begun)
    more = True
    while more:
        message = await receive()
        content += _content(message, limits)
        if len(content) > limits.body_bytes:
            raise _too_large(limits)
        more = message.get("more_body", False)
    return bytes(content)


def check_length(length: int, limits: Limits) -> None:
    """See that a body is not too large.

    :raises RequestRefusedError: if it is: status 413.
    """
    if length > limits.body_bytes:
        raise _too_large(limits)


def _too_large(limits: Limits) -> RequestRefusedError:
    fault = Fault("body", "too much", f"at most {limits.body_bytes:,} bytes")
    return RequestRefusedError(413, "too_large", fault, code=BOUNDS)


def _broken_off() -> RequestRefusedError:
    return RequestRefusedError(400, "broken_off", Fault("body", "a part", "all of it"), code=BOUNDS)


async def read_content(request: Request, limits: Limits) -> bytes:
    """Return a request's body.

    :raises RequestRefusedError: as :func:`read_body` does.
    """
    length = request.headers.get("content-length")
    return await read_body(request.receive, length.encode("latin-1") if length else None, limits)


async def read_request_json(request: Request, limits: Limits) -> Any:
    """Return a request's body as a JSON value.

    :raises RequestRefusedError: if it is out of bounds or no JSON.
    """
    return read_json(await read_content(request, limits))
