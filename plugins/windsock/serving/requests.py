"""Reading a request's body within its bounds."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.types import Receive

from windsock.serving.service import Limits
from windsock.serving.strict_json import Fault, RequestRefusedError, read_json

BOUNDS = "WS-SERVING-014"


async def read_body(receive: Receive, length: bytes | None, limits: Limits) -> bytes:
    """Return a request's body.

    :param length: what the header says.
    :raises RequestRefusedError: if it is too large (413), too slow (408) or breaks off (400).
    """
    if length is not None and length.isdigit() and int(length[:20]) > limits.body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            message = await receive()
            content: bytes = message.get("body", b"")
            if message.get("more_body"):
                content = await _rest(receive, content, limits)
    except TimeoutError:
        raise RequestRefusedError(
            408, "too_slow", Fault("body", "a part", f"all of it in {limits.body_seconds:g} s"), code=BOUNDS
        ) from None
    if message["type"] == "http.disconnect":
        raise _broken_off()
    if len(content) > limits.body_bytes:
        raise _too_large(limits)
    return content


async def _rest(receive: Receive, begun: bytes, limits: Limits) -> bytes:
    content = bytearray(begun)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _broken_off()
        content += message.get("body", b"")
        if len(content) > limits.body_bytes:
            raise _too_large(limits)
        more = message.get("more_body", False)
    return bytes(content)


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
