"""Reading a request's body within its bounds."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request

from windsock.serving.service import Limits
from windsock.serving.strict_json import Fault, RequestRefusedError, read_json

BOUNDS = "WS-SERVING-014"


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return a request's body.

    :raises RequestRefusedError: if it is too large (413), too slow (408) or breaks off (400).
    """
    too_large = RequestRefusedError(
        413, "too_large", Fault("body", "too much", f"at most {limits.body_bytes:,} bytes"), code=BOUNDS
    )
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > limits.body_bytes:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                content += chunk
                if len(content) > limits.body_bytes:
                    raise too_large
    except TimeoutError:
        raise RequestRefusedError(
            408, "too_slow", Fault("body", "a part", f"all of it in {limits.body_seconds:g} s"), code=BOUNDS
        ) from None
    except ClientDisconnect:
        raise RequestRefusedError(
            400, "broken_off", Fault("body", "a part", "all of it"), code=BOUNDS
        ) from None
    return bytes(content)


async def read_request(request: Request, limits: Limits) -> Any:
    """Return a request's body as a JSON value.

    :raises RequestRefusedError: if it is out of bounds or no JSON.
    """
    return read_json(await read_body(request, limits))
