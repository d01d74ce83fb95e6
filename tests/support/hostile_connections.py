"""``python -m support.hostile_connections KIND PORT SECONDS``: hostile connections to a server here."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

HEAD = b"POST /models/churn/predict HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

ATTACKS: dict[str, list[bytes]] = {
    "slow head": [HEAD + b"X: " + b"x" * 30_000, *[b"x"] * 20],
    "slow body": [HEAD + b"Content-Length: 900000\r\n\r\n" + b" " * 60_000, *[b" "] * 20],
    "trailers": [CHUNKED + b"2\r\n{}\r\n0\r\nX: ", *[b"x" * 65_536] * 20],
    "idle": [],
    "pipeline": [b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2000] * 5,
    "headers": [HEAD, *[b"a:\r\n" * 60_000] * 5],
    "addresses": [HEAD, *[b"x"] * 20],
    "half-closed": [HEAD + b"Content-Length: 9\r\n\r\n{"],
    "TLS": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 506],
    "garbage": [b"\xff\x00\r\n\r\n" * 800] * 10,
}


async def attack(kind: str, port: int, seconds: float) -> None:
    """Hold 400 connections of a kind, and open again what is closed."""

    async def hold(number: int) -> None:
        address = f"127.0.0.{2 + number % (100 if kind == 'addresses' else 1)}"
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
                try:
                    for piece in ATTACKS[kind]:
                        writer.write(piece)
                        await writer.drain()
                        await asyncio.sleep(0.05)
                    if kind == "half-closed":
                        writer.write_eof()
                    await reader.read()
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.2)

    holding = [asyncio.create_task(hold(number)) for number in range(400)]
    await asyncio.sleep(seconds)
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(attack(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
