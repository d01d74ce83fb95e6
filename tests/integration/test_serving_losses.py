"""What is lost when processes are killed or the disk is full, counted to the last row."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.serving import (
    ROW,
    Server,
    make_bundle,
    make_plan,
    make_settings,
    running,
    store_bundle,
    wait_until,
)
from windsock.adapters.log_format import read_segment
from windsock.adapters.server_client import ServerRouter
from windsock.settings import Settings

pytestmark = pytest.mark.slow


class Traffic:
    """Clients that send predictions and their outcomes as fast as they can, and note every answer."""

    def __init__(self, address: str, *, clients: int = 6, rows: int = 1, outcomes: bool = True) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self.host, self.port, self.rows, self.outcomes = host, int(port), rows, outcomes
        self.features = json.dumps([ROW] * rows)
        self.answered: dict[str, float] = {}
        """When the request of each answered prediction was sent."""
        self.acknowledged: set[str] = set()
        self.refused: list[int] = []
        self.broken: list[float] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._send, args=(number,)) for number in range(clients)]

    def _send(self, number: int) -> None:
        connection = self._connect()
        count = 0
        while not self.stopping.is_set():
            count += 1
            ids = [f"{number}-{count}-{row}" for row in range(self.rows)]
            at = time.monotonic()
            try:
                asked = f'{{"features": {self.features}, "prediction_id": {json.dumps(ids)}}}'
                if self._post(connection, "/predict", asked) != 200:
                    continue
                self.answered.update(dict.fromkeys(ids, at))
                outcome = {"prediction_id": ids[0], "outcome": True}
                if self.outcomes and self._post(connection, "/outcomes", json.dumps(outcome)) == 202:
                    self.acknowledged.add(ids[0])
            except (OSError, http.client.HTTPException):
                self.broken.append(time.monotonic())
                connection.close()
                connection = self._connect()
                self.stopping.wait(0.01)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=20)

    def _post(self, connection: http.client.HTTPConnection, path: str, body: str) -> int:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 400:
            self.refused.append(answer.status)
        return answer.status


@contextmanager
def traffic(address: str, **options: Any) -> Iterator[Traffic]:
    sent = Traffic(address, **options)
    for thread in sent.threads:
        thread.start()
    try:
        yield sent
    finally:
        sent.stopping.set()
        for thread in sent.threads:
            thread.join()


def logged(settings: Settings, kind: str) -> list[str]:
    """Return the prediction ids in the log, each as often as it stands there; no line may be unreadable."""
    found = []
    for file in (settings.serving_dir / "log" / kind).rglob("*.ndjson"):
        segment = read_segment(file.read_bytes(), kind)
        assert not segment.unreadable
        found += [event.prediction_id for event in segment.events]
    return [known for known in found if known is not None]


def await_on_disk(settings: Settings, sent: Traffic) -> set[str]:
    """Wait, while the traffic goes on, until all that was answered by now is on the disk; return its ids.

    It takes a quarter of a second, or longer where the machine has no time for the writer.
    """
    names = set(dict(sent.answered))
    folder = settings.serving_dir / "log" / "predictions"

    def is_there() -> bool:
        segments = [read_segment(file.read_bytes(), "predictions") for file in folder.rglob("*.ndjson")]
        return names <= {event.prediction_id for segment in segments for event in segment.events}

    wait_until(is_there, seconds=90, what="every answered row on the disk")
    return names


def start(settings: Settings, server: Server) -> None:
    stored = store_bundle(settings, make_bundle())
    ServerRouter(server.address, settings.read_admin_token).apply(make_plan(stored))


def test_a_worker_killed_under_load(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with running(settings, workers=2) as server:
        start(settings, server)
        with traffic(server.address) as sent:
            wait_until(lambda: len(sent.answered) > 400, what="traffic")
            settled = await_on_disk(settings, sent)
            victim = server.worker_pids()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: len(server.worker_pids()) == 2 and victim not in server.worker_pids())
            replaced = time.monotonic()
            goal = len(sent.answered) + 400
            wait_until(lambda: len(sent.answered) > goal, what="traffic afterwards")
        # At most the requests that were in flight on it, one for each connection.
        assert len(sent.broken) <= len(sent.threads)
        assert sent.refused == []
        assert server.stop() == 0
    # An answer that the killed worker had sent may be read after its death, so what counts is when a
    # request was sent.
    require_kept(settings, sent, settled | {name for name, at in sent.answered.items() if at >= replaced})


def test_the_whole_server_killed_under_load(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    server = Server(settings, workers=2)
    try:
        server.start()
        start(settings, server)
        with traffic(server.address) as sent:
            wait_until(lambda: len(sent.answered) > 400, what="traffic")
            settled = await_on_disk(settings, sent)
            pids = server.worker_pids()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            server.kill()
            sent.stopping.set()
    finally:
        server.kill()
    require_kept(settings, sent, settled)


def require_kept(settings: Settings, sent: Traffic, must_be_there: set[str]) -> None:
    outcomes = logged(settings, "outcomes")
    assert sent.acknowledged
    assert sent.acknowledged <= set(outcomes), "an acknowledged outcome is lost"
    predictions = logged(settings, "predictions")
    assert len(predictions) == len(set(predictions)), "a prediction was logged twice"
    assert must_be_there
    lost = must_be_there - set(predictions)
    assert not lost, f"{len(lost)} predictions that were on the disk are lost"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that a test may fill."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user cannot mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def metric(address: str, name: str) -> int:
    text = httpx.get(f"{address}/metrics").text
    return int(sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)))


def test_accepted_rejected_and_dropped_are_all_that_came(small_disk: Path) -> None:
    settings = make_settings(small_disk)
    with running(settings, workers=1) as server:
        start(settings, server)
        filler = small_disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(65_536))
        with traffic(server.address, clients=3, rows=1_000, outcomes=False) as sent:
            wait_until(
                lambda: metric(server.address, "windsock_log_dropped_total") > 3_000,
                seconds=90,
                what="a full spool",
            )
            assert httpx.post(f"{server.address}/predict", json={"features": {}}).status_code == 422
        health = httpx.get(f"{server.address}/health").json()
        assert health["status"] == "degraded"
        filler.unlink()
        wait_until(lambda: httpx.get(f"{server.address}/health").json()["log_waiting"] == 0)
        dropped = metric(server.address, "windsock_log_dropped_total")
        assert metric(server.address, "ml_predictions_total") == len(sent.answered)
        assert metric(server.address, "ml_requests_rejected_total") == 1
        assert sent.refused == []
        assert httpx.get(f"{server.address}/health").json()["log_dropped"] == dropped
        kept = logged(settings, "predictions")
        assert len(set(kept)) == len(kept)
        assert len(kept) + dropped == len(sent.answered)
