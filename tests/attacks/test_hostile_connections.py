"""Hostile connections against a real server that asks for keys: others are answered, memory stays."""

from __future__ import annotations

import asyncio
import http.client
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.hostile_connections import ATTACKS, HEAD
from support.serving import (
    PLUGINS,
    ROW,
    make_bundle,
    make_plan,
    make_settings,
    read_json_file,
    store_bundle,
    wait_until,
)
from windsock.adapters.server_client import ServerRouter, server_health
from windsock.serving.client_file import ClientRegistry

pytestmark = pytest.mark.slow

GROWTH_MIB = 64
LIMITS = {
    "HEAD_SECONDS": "2",
    "BODY_SECONDS": "2",
    "IDLE_SECONDS": "2",
    "CONNECTIONS": "300",
    "CONNECTIONS_PER_ADDRESS": "150",
}


@dataclass(frozen=True)
class Served:
    address: str
    private: str
    key: str
    worker: int

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def memory(self) -> float:
        lines = Path(f"/proc/{self.worker}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    def predict(self) -> httpx.Response:
        headers = {"X-API-Key": self.key}
        return httpx.post(
            f"{self.address}/models/churn/predict", json={"features": ROW}, headers=headers, timeout=20
        )

    def health(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.private}/health", timeout=10).json())


@contextmanager
def serving(home: Path, **environment: str) -> Iterator[Served]:
    settings = make_settings(home)
    key = ClientRegistry(settings.clients_file).add("polite")
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "windsock.serving", "--port", "0"],
            env={
                **os.environ,
                "PYTHONPATH": str(PLUGINS),
                "WINDSOCK_HOME": str(home),
                **{f"WINDSOCK_SERVING_{name}": value for name, value in LIMITS.items()},
                **environment,
            },
            stderr=log,
        )
        try:
            facts, notes = settings.serving_dir / "server.json", settings.serving_dir / "workers"
            wait_until(lambda: facts.exists() and list(notes.glob("*.json")), what="the server")
            told = read_json_file(facts)
            wait_until(lambda: _answers(told["private"]), what="the private listener")
            router = ServerRouter(told["private"], settings.read_admin_token)
            router.apply(make_plan(store_bundle(settings, make_bundle())))
            worker = int(next(notes.glob("*.json")).stem)
            yield Served(told["address"], told["private"], key, worker)
        finally:
            process.terminate()
            assert process.wait(20) == 0, (home / "server.log").read_text()


def _answers(address: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{address}/health", timeout=5).status_code == 200
    return False


def _ended(attacker: subprocess.Popen[bytes]) -> bool:
    """Return whether an attack is over; others ask twenty times a second, and leave it time to attack."""
    with suppress(subprocess.TimeoutExpired):
        attacker.wait(0.05)
    return attacker.poll() is not None


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.mark.parametrize("kind", list(ATTACKS))
def test_others_are_answered_and_memory_stays(served: Served, kind: str) -> None:
    before = served.memory()
    attacker = subprocess.Popen(
        [sys.executable, "-m", "support.hostile_connections", kind, str(served.port), "4"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    most, statuses = before, []
    while not _ended(attacker):
        assert served.health()["status"] == "ok"
        answer = served.predict()
        statuses.append(answer.status_code)
        assert answer.status_code == 200 or answer.json()["code"] == "WS-SERVING-060"
        most = max(most, served.memory())
    assert attacker.returncode == 0
    assert 200 in statuses
    assert most - before < GROWTH_MIB


def test_idle_connections_of_one_address_change_nothing_for_others(served: Served) -> None:
    with ExitStack() as held:
        for _ in range(600):
            taken = held.enter_context(socket.socket())
            taken.bind(("127.0.0.2", 0))
            taken.connect(("127.0.0.1", served.port))
        for _ in range(20):
            assert served.predict().status_code == 200
            assert served.health()["models"]["churn"]
        with suppress(OSError):  # the last one was refused, by name where its answer was not lost
            assert b"WS-SERVING-060" in taken.recv(4096)


LONG = b"x" * 40_000
"""More than is parsed in one piece, unless it is a body of known length."""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /health HTTP/1.0\r\n\r\n", 200),
        (HEAD.replace(b"Host: x\r\n", b"") + b"X-API-Key: %b\r\nContent-Length: 2\r\n\r\n{}", 400),
        (HEAD + b"X-API-Key: %b\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
        (HEAD + b"X-API-Key: %b\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 415),
        (HEAD + b"X-API-Key: %b\r\nContent-Length: 2\r\n\r\n{}", 422),
        (HEAD + b"X-API-Key: %b\r\nContent-Length: 2\r\nContent-Length: 40000\r\n\r\n{}" + LONG, 400),
        (HEAD + b"X-API-Key: %b\r\nContent-Length: 40000\r\nTransfer-Encoding: chunked\r\n\r\n" + LONG, 400),
        (HEAD + b"X-API-Key: %b\r\nContent-Length: +2\r\n\r\n{}" + LONG, 400),
        (HEAD + b"X-API-Key: %b\r\nContent-Length: 4 0000\r\n\r\n{}" + LONG, 400),
        (HEAD + b"X-API-Key: %b\r\nContent-Length: 0\r\n\r\n", 400),
        (HEAD + b"X-API-Key: %b\r\nContent-Length: 1048576\r\n\r\n" + b" " * 1048576, 400),
        (HEAD + b"X-API-Key: %b\r\nContent-Length: 1048577\r\n\r\n" + b" " * 1048577, 413),
    ],
)
def test_heads_on_both_paths(served: Served, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as asked:
        asked.sendall(sent.replace(b"%b", served.key.encode()))
        answer = http.client.HTTPResponse(asked)
        answer.begin()
        assert answer.status == status


def test_without_a_key_nothing_is_named(served: Served) -> None:
    for path in ("/health", "/ready", "/metrics", "/version", "/v2", "/v2/health/ready"):
        said = httpx.get(f"{served.address}{path}").text
        assert "churn" not in said
        assert "sha256" not in said
    assert "churn" in httpx.get(f"{served.private}/metrics").text
    assert "models served" in server_health(served.private)
    assert "clients only" in server_health(served.address)
    assert httpx.post(f"{served.private}/predict", json={}).status_code == 404


def test_raw_requests_are_never_500_and_never_hang(served: Served) -> None:
    draw = random.Random(7)  # noqa: S311 - for a test
    parts = [
        b"GET ",
        b"POST ",
        b"/predict",
        b"/health",
        b" HTTP/1.1",
        b"\r\n",
        b"\r\n\r\n",
        b"Host: x\r\n",
        b"\0",
    ]
    parts += [
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"0\r\n\r\n",
    ]
    parts += [
        b"Upgrade: h2c\r\nConnection: upgrade\r\n",
        b"CONNECT x:1",
        b"{}",
        b"\xff" * 9,
        b"a: b\r\n" * 120,
    ]

    async def one(slots: asyncio.Semaphore, sent: bytes) -> bytes:
        async with slots, asyncio.timeout(30):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
                writer.write(sent)
                said = await reader.read()
                writer.close()
            except OSError:
                return b""
            return said

    async def all_of_them() -> list[bytes]:
        slots = asyncio.Semaphore(100)
        wanted = [b"".join(draw.choices(parts, k=draw.randrange(1, 12))) for _ in range(800)]
        return await asyncio.gather(*(one(slots, sent) for sent in wanted))

    assert not [said for said in asyncio.run(all_of_them()) if b"HTTP/1.1 500" in said]


def test_an_untested_uvicorn_goes_its_ordinary_path(tmp_path: Path) -> None:
    """The distribution's version is read from its metadata: one that stands before the installed one."""
    shadow = tmp_path / "shadow" / "uvicorn-99.0.0.dist-info"
    shadow.mkdir(parents=True)
    (shadow / "METADATA").write_text("Metadata-Version: 2.1\nName: uvicorn\nVersion: 99.0.0\n")
    home = tmp_path / "home"
    home.mkdir()
    path = os.pathsep.join([str(shadow.parent), str(PLUGINS)])
    with serving(home, PYTHONPATH=path) as running:
        began = time.monotonic()
        assert running.predict().status_code == 200
        assert "churn" in running.health()["models"]
        assert "churn" not in httpx.get(f"{running.address}/health").text
        assert httpx.post(f"{running.private}/predict", json={}).status_code == 404
        test_heads_on_both_paths(running, b"GET /health HTTP/1.1\r\n\r\n", 400)
        assert time.monotonic() - began < 60  # nothing waits for a limit of the other path
    assert "WS-SERVING-063: uvicorn 99.0.0 is not tested" in (home / "server.log").read_text()
