"""An ASGI app that only parses the JSON of a prediction request and answers JSON of the same shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
ANSWER = {
    "prediction": "yes",
    "probabilities": {"no": 0.0987412345678, "yes": 0.9012587654322},
    "score": 0.9012587654322,
    "model": "bench",
    "version": "1",
    "variant": "champion",
    "prediction_id": "0197a2f0-9d4e-7cc1-8c11-0a4b7c5d9e2f",
    "inference_time_ms": 0.041,
    "timestamp": "2026-01-01T12:00:00.000000Z",
}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer every request."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    rows = decode(body or b'{"features": {}}')["features"]  # without a body: whether it is up
    answer = encode(ANSWER if isinstance(rows, dict) else {"predictions": [ANSWER for _ in rows]})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
