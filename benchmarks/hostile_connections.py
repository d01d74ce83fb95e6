"""Ten kinds of hostile connections, and raw requests of random bytes, against a real server with API keys.

For each kind so many connections are held open by a process of its own, on 127.0.0.2 (``addresses``: on 200
addresses), while this one asks from 127.0.0.1: the private listener for its health, the first one for
predictions on a connection that is kept and on new ones. Growth is the memory of the worker at its highest,
less that with as many polite connections. ``TLS`` runs against a server that speaks it.

``--quick``: fewer connections and seconds, 1,000 raw requests; a smoke test.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import random
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "plugins"), str(PROJECT / "tests")]

MIB = 1024**2
GROWTH_MIB, HEALTH_SECONDS, HANG_SECONDS = 64, 1.0, 20.0
HEAD = b"POST /models/churn/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _send_for_ever(streams: Streams, piece: Callable[[], bytes], pause: float) -> None:
    reader, writer = streams
    drop = asyncio.create_task(_read_all(reader))
    try:
        while not drop.done():
            writer.write(piece())
            await writer.drain()
            await asyncio.sleep(pause)
    finally:
        drop.cancel()


async def _read_all(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(65536):
            pass


async def slow_head(streams: Streams) -> None:
    streams[1].write(HEAD + b"X-Long: " + b"x" * 30_000)
    await _send_for_ever(streams, lambda: b"x", 0.5)


async def slow_body(streams: Streams) -> None:
    streams[1].write(HEAD + b"Content-Length: 1000000\r\n\r\n" + b" " * 60_000)
    await _send_for_ever(streams, lambda: b" " * 1000, 0.5)


async def trailers(streams: Streams) -> None:
    streams[1].write(CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: ")
    await _send_for_ever(streams, lambda: b"x" * 65_536, 0)


async def idle(streams: Streams) -> None:
    await streams[0].read()


async def pipeline(streams: Streams) -> None:
    flood = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2000
    await _send_for_ever(streams, lambda: flood, 0)


async def unread_pipeline(streams: Streams) -> None:
    flood = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200
    while True:
        streams[1].write(flood)
        await streams[1].drain()
        await asyncio.sleep(0.2)


async def headers(streams: Streams) -> None:
    flood = b"a:\r\n" * 60_000
    streams[1].write(HEAD)
    await _send_for_ever(streams, lambda: flood, 0.05)


async def half_closed(streams: Streams) -> None:
    streams[1].write(HEAD + b"Content-Length: 100\r\n\r\n{")
    streams[1].write_eof()
    await streams[0].read()


async def tls_handshake(streams: Streams) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        session.do_handshake()
    streams[1].write(outgoing.read())
    await streams[0].read()


async def garbage(streams: Streams) -> None:
    await _send_for_ever(streams, lambda: random.randbytes(4096), 0.05)


KINDS: dict[str, Callable[[Streams], Awaitable[None]]] = {
    "slow head": slow_head,
    "slow body": slow_body,
    "trailers": trailers,
    "idle": idle,
    "pipeline": pipeline,
    "unread pipeline": unread_pipeline,
    "headers": headers,
    "addresses": slow_head,
    "half-closed": half_closed,
    "TLS": tls_handshake,
    "garbage": garbage,
}


async def polite(streams: Streams) -> None:
    reader, writer = streams
    while True:
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        if not await reader.read(4096):
            return
        await asyncio.sleep(5)


async def attack(kind: str, port: int, count: int, seconds: float) -> None:
    """Hold so many connections of one kind for a time; those that are closed are opened again."""
    act = polite if kind.startswith("polite") else KINDS[kind]
    many = 200 if kind in ("addresses", "polite", "polite TLS") else 1
    context = None
    if kind == "polite TLS":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def hold(number: int) -> None:
        address = f"127.0.0.{2 + number % many}"
        while True:
            writer = None
            with suppress(OSError, asyncio.IncompleteReadError):
                async with asyncio.timeout(5):
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", port, local_addr=(address, 0), ssl=context
                    )
                await act((reader, writer))
            if writer is not None:
                writer.transport.abort()
            await asyncio.sleep(0.2 + random.random() * 0.3)

    holding = [asyncio.create_task(hold(number)) for number in range(count)]
    await asyncio.sleep(seconds)
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)


@dataclass
class Served:
    """A server that runs."""

    address: str
    private: str
    key: str
    worker: int

    def files(self) -> int:
        """Return how many files the worker holds open."""
        return len(list(Path(f"/proc/{self.worker}/fd").iterdir()))

    def memory(self) -> float:
        """Return the worker's resident memory in MiB."""
        lines = Path(f"/proc/{self.worker}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


@contextmanager
def server(*arguments: str, **environment: str) -> Iterator[Served]:
    """Run a server with one small model and one client."""
    from support.serving import (
        make_bundle,
        make_plan,
        make_settings,
        read_json_file,
        store_bundle,
        wait_until,
    )
    from windsock.adapters.server_client import ServerRouter
    from windsock.serving.client_file import ClientRegistry

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = make_settings(home)
        key = ClientRegistry(settings.clients_file).add("polite")
        stored = store_bundle(settings, make_bundle())
        process = subprocess.Popen(
            [sys.executable, "-m", "windsock.serving", "--port", "0", *arguments],
            stderr=None if os.environ.get("VERBOSE") else subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": str(PROJECT / "plugins"),
                "WINDSOCK_HOME": folder,
                **environment,
            },
        )
        try:
            facts = settings.serving_dir / "server.json"
            notes = settings.serving_dir / "workers"
            wait_until(lambda: facts.exists() and list(notes.glob("*.json")), what="the server")
            told = read_json_file(facts)
            router = ServerRouter(told.get("private", told["address"]), settings.read_admin_token)
            for _ in range(100):
                with suppress(Exception):
                    router.apply(make_plan(stored))
                    break
                time.sleep(0.1)
            worker = int(next(notes.glob("*.json")).stem)
            yield Served(told["address"], told.get("private", told["address"]), key, worker)
        finally:
            process.terminate()
            process.wait(20)


@dataclass
class Watch:
    """What polite clients see meanwhile."""

    served: Served
    health: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    memory: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._threads = [threading.Thread(target=ask) for ask in (self._health, self._predict, self._look)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            self.memory = max(self.memory, self.served.memory())

    def _health(self) -> None:
        while not self._ended.wait(0.1):
            began = time.monotonic()
            try:
                with _connection(self.served.private) as asked:
                    asked.request("GET", "/health")
                    good = asked.getresponse().status == 200
            except OSError:
                good = False
            self.health.append(time.monotonic() - began if good else HANG_SECONDS)

    def _predict(self) -> None:
        from support.serving import ROW

        body = json.dumps({"features": ROW})
        sent = {"Content-Type": "application/json", "X-API-Key": self.served.key}
        while not self._ended.wait(0.05):
            began = time.monotonic()
            try:
                with _connection(self.served.address) as asked:
                    asked.request("POST", "/models/churn/predict", body, sent)
                    answer = asked.getresponse()
                    said = answer.read()
                named = b"WS-SERVING-060" in said
                word = "503 named" if answer.status == 503 and named else str(answer.status)
            except TimeoutError:
                word = "hang"
            except (OSError, http.client.HTTPException):
                word = "closed"
            self.answers[word] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)


@contextmanager
def _connection(address: str) -> Iterator[http.client.HTTPConnection]:
    scheme, _, place = address.partition("://")
    made: http.client.HTTPConnection
    if scheme == "https":
        context = ssl._create_unverified_context()  # noqa: S323 - the benchmark's own certificate
        made = http.client.HTTPSConnection(place, timeout=HANG_SECONDS, context=context)
    else:
        made = http.client.HTTPConnection(place, timeout=HANG_SECONDS)
    try:
        yield made
    finally:
        made.close()


def measure(served: Served, kind: str, count: int, seconds: float) -> Watch:
    """Let one kind of connections come while others ask."""
    port = served.address.rpartition(":")[2]
    command = [sys.executable, __file__, "--attack", kind, port, str(count), str(seconds)]
    with Watch(served) as watch:
        subprocess.run(command, check=True)
    return watch


def show(kind: str, watch: Watch, floor: float) -> bool:
    growth, health = watch.memory - floor, max(watch.health)
    good = growth <= GROWTH_MIB and health <= HEALTH_SECONDS and not watch.answers["hang"]
    good = good and watch.answers["200"] + watch.answers["503 named"] > 0
    said = ", ".join(f"{count} {word}" for word, count in sorted(watch.answers.items()))
    print(
        f"{kind:16} memory {watch.memory:6.1f} MiB ({growth:+6.1f})  health at most {health:5.2f} s of "
        f"{len(watch.health)}  predictions: {said}; slowest {watch.slowest:.2f} s"
        f"{'' if good else '   MISSED'}",
        flush=True,
    )
    return good


def kinds(names: list[str], count: int, seconds: float) -> bool:
    """Measure each kind."""
    good = True
    for kind in names:
        if kind != "TLS":
            with server() as served:
                floor = measure(served, "polite", min(count, 900), 4).memory
                good &= show(kind, measure(served, kind, count, seconds), floor)
    if "TLS" in names:
        from support.certificates import Authority

        with tempfile.TemporaryDirectory() as folder:
            pair = Authority(Path(folder)).issue("server")
            with server("--tls-cert", str(pair.cert), "--tls-key", str(pair.key)) as served:
                floor = measure(served, "polite TLS", min(count, 900), 8).memory
                good &= show("TLS", measure(served, "TLS", count, seconds), floor)
    return good


def raw_request(draw: random.Random, key: bytes) -> bytes:
    """Return bytes that may be a request."""
    method = draw.choice([b"GET", b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"PRI", b"get", b""])
    path = draw.choice(
        [b"/", b"/predict", b"/models/churn/predict", b"/health", b"/metrics", b"/invocations", b"*", b"/%"]
        + [
            b"/v2/models/churn/infer",
            b"/outcomes",
            b"/admin/routes/churn",
            b"http://x/health",
            b"x:1",
            b"/\xff",
        ]
    )
    lines = [b"Host: x"] * draw.choice([1, 1, 1, 0, 2])
    pool = [b"Connection: close", b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c"]
    pool += [
        b"Expect: 100-continue",
        b"Content-Encoding: gzip",
        b"Transfer-Encoding: chunked",
        b"X-API-Key: " + key,
    ]
    pool += [
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Length: 3",
        b"Content-Length: -1",
        b"Content-Length: 9999999",
    ]
    pool += [
        b": x",
        b"X: \x00",
        b" folded",
        b"X" * 3000 + b": y",
        b"Content-Type: application/json",
        b"Origin: http://p",
    ]
    lines += draw.sample(pool, draw.randrange(6))
    draw.shuffle(lines)
    body = draw.choice(
        [b"", b"{}", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"zz\r\n", draw.randbytes(50)]
    )
    version = draw.choice([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b""])
    made = bytearray(b" ".join([method, path, version]) + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + body)
    for _ in range(draw.choice([0, 0, 1, 4])):
        made[draw.randrange(len(made))] = draw.randrange(256)
    return bytes(made[: draw.choice([len(made), len(made), draw.randrange(1, len(made) + 1)])])


async def _fuzz(port: int, count: int, seed: int, key: bytes) -> Counter[str]:
    draw, found = random.Random(seed), Counter[str]()
    slots = asyncio.Semaphore(400)

    async def one(sent: bytes) -> None:
        async with slots:
            try:
                async with asyncio.timeout(HANG_SECONDS):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(sent)
                    said = await reader.read()
                    writer.close()
                found[said[9:12].decode("latin-1") if said.startswith(b"HTTP/1.1") else "closed"] += 1
                if b"HTTP/1.1 500" in said:
                    print("500:", sent[:300], flush=True)
            except TimeoutError:
                found["hang"] += 1
                print("hang:", sent[:300], flush=True)
            except OSError:
                found["closed"] += 1

    await asyncio.gather(*(one(raw_request(draw, key)) for _ in range(count)))
    return found


def fuzz(count: int, seed: int = 1) -> bool:
    """Send raw requests; none may be answered 500, and none may wait longer than the bounds."""
    short = {f"WINDSOCK_SERVING_{name}_SECONDS": "1" for name in ("HEAD", "BODY", "IDLE")}
    with server(**short) as served:
        found = asyncio.run(_fuzz(int(served.address.rpartition(":")[2]), count, seed, served.key.encode()))
    print(f"{count} raw requests: {', '.join(f'{number} {word}' for word, number in sorted(found.items()))}")
    return not found["500"] and not found["hang"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    parser.add_argument("--connections", type=int, default=2100, help="of each kind; default: 2,100")
    parser.add_argument("--seconds", type=float, default=15, help="for each kind; default: 15")
    parser.add_argument("--requests", type=int, default=20_000, help="raw requests; 0: none; default: 20,000")
    parser.add_argument("--attack", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.attack:
        kind, port, count, seconds = asked.attack
        asyncio.run(attack(kind, int(port), int(count), float(seconds)))
        return 0
    if asked.quick:
        asked.connections, asked.seconds, asked.requests = 300, 4, 1000
    good = kinds(asked.kinds, asked.connections, asked.seconds)
    if asked.requests:
        good &= fuzz(asked.requests)
    print("within the limits" if good else "NOT within the limits")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
