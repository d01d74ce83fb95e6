"""An open loop: requests are due at fixed moments, and latency counts from the moment a request was due.

A server that stalls is charged with every request that was due meanwhile (no coordinated omission). The loop
spins on a core of its own, so that it sends on time. Read by ``serving_load.paced``: a plan as JSON on the
standard input, the result as JSON on the standard output; exit code 1 if an answer is missing or not 2xx.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

DRAIN_SECONDS = 20.0


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    def __init__(self, loop: OpenLoop) -> None:
        self.loop = loop
        self.transport: Any = None
        self.due = 0.0
        self.expected = 0
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport

    def send(self, body: bytes, due: float) -> None:
        """Send a request that was due at a moment."""
        self.due, self.got, self.expected = due, b"", 0
        self.transport.write(body)

    def data_received(self, data: bytes) -> None:
        """Read an answer; only answers with a length are understood."""
        self.got = self.got + data if self.got else data
        if not self.expected:
            end = self.got.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.got[:end].lower()
            at = head.index(b"content-length:") + 15
            line = head.find(b"\r\n", at)
            self.expected = end + 4 + int(head[at : line if line > 0 else len(head)])
        if len(self.got) >= self.expected:
            self.loop.answered(self, self.got[9:10] == b"2")

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it: during the run no connection may go."""
        self.loop.lost += 1


class OpenLoop:
    """The schedule and what came of it."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.requests = _requests(plan)
        self.total = int(plan["rate"] * plan["seconds"])
        self.idle: deque[Connection] = deque()
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.refused = self.lost = 0
        self.sent = 0

    def answered(self, connection: Connection, fine: bool) -> None:
        """Take an answer's time and free its connection."""
        self.latencies.append(time.perf_counter() - connection.due)
        self.refused += not fine
        self.idle.append(connection)

    async def run(self) -> None:
        """Connect, then send each request at its moment, on the next free connection."""
        loop, parts = asyncio.get_running_loop(), urlsplit(self.plan["address"])
        for _ in range(self.plan["connections"]):
            _, connection = await loop.create_connection(lambda: Connection(self), parts.hostname, parts.port)
            self.idle.append(connection)
        gc.collect()
        gc.disable()
        begin, gap, count = time.perf_counter() + 0.1, 1 / self.plan["rate"], len(self.requests)
        deadline = begin + self.plan["seconds"] + DRAIN_SECONDS
        free_at = begin
        while len(self.latencies) < self.total and not self.lost:
            now = time.perf_counter()
            if now > deadline:
                break
            while self.sent < self.total and self.idle and (due := begin + self.sent * gap) <= now:
                self.late.append(now - max(due, free_at))
                self.idle.popleft().send(self.requests[self.sent % count], due)
                self.sent += 1
            free_at = now if not self.idle else free_at
            await asyncio.sleep(0)

    def result(self) -> dict[str, float]:
        """Return the percentiles."""
        times, late = sorted(self.latencies), sorted(self.late)

        def at(values: list[float], share: float) -> float:
            return values[min(len(values) - 1, int(len(values) * share))] * 1e3

        shares = {"p50": at(times, 0.5), "p95": at(times, 0.95), "p99": at(times, 0.99)}
        return {"answered": len(times), **shares, "late": at(late, 0.99)}


def _requests(plan: dict[str, Any]) -> list[bytes]:
    host = urlsplit(plan["address"]).netloc
    headers = {"Host": host, "Content-Type": "application/json", **plan["headers"]}
    head = f"POST {plan['path']} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    bodies = Path(plan["bodies"]).read_bytes().splitlines()
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


def main() -> None:
    """Run the plan that stands on the standard input."""
    loop = OpenLoop(json.load(sys.stdin))
    uvloop.run(loop.run())
    if loop.refused or loop.lost or len(loop.latencies) < loop.total:
        sys.exit(
            f"{loop.total} requests: {len(loop.latencies)} answered, {loop.refused} of them refusals, "
            f"{loop.lost} connections lost"
        )
    print(json.dumps(loop.result()))
