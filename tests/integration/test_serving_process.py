"""The server in processes of its own: real bundles, two workers, changes and kills under load."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.hostile import HOSTILE
from support.serving import (
    ROW,
    Server,
    children_of,
    make_bundle,
    make_plan,
    make_settings,
    read_json_file,
    running,
    store_bundle,
    wait_until,
)
from support.slots import at_address, make_deployment, running_slot
from windsock.adapters.prediction_archive import read_segment
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.slot_register import SlotRegister
from windsock.exceptions import DeploymentRefusedError, ServerUnavailableError, StaleEpochError
from windsock.records import MODEL_FILE, StoredBundle
from windsock.serving.server import GRACE_SECONDS
from windsock.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="module")
def stored(settings: Settings) -> tuple[StoredBundle, StoredBundle]:
    return store_bundle(settings, make_bundle()), store_bundle(settings, make_bundle(seed=2))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with running(settings, workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def router(server: Server) -> ServerRouter:
    return ServerRouter(server.address, server.settings.read_admin_token)


@pytest.fixture
def epochs(router: ServerRouter) -> Iterator[int]:
    """Epochs that nobody has used."""
    state = router.state("churn")
    return iter(range(state.plan.epoch + 1 if state else 1, 100_000))


def new_client() -> httpx.Client:
    """Return a client that does not read all certificates of the system first: nothing here is https."""
    return httpx.Client(timeout=20, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


PACE = 0.05
"""Seconds between two requests of one client: it leaves the server time for what is tested beside it."""


class Load:
    """Clients that ask again and again, each on one connection or on a new one each time."""

    def __init__(self, address: str, *, clients: int = 4, keep_alive: bool = True) -> None:
        self.address, self.keep_alive = address, keep_alive
        self.answers: list[tuple[str, str]] = []
        self.failures: list[str] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def _ask(self, number: int) -> None:
        client = new_client()
        count = 0
        while not self.stopping.wait(PACE):
            count += 1
            unit = f"u{number}-{count % 15}"
            body = {"features": {**ROW, "age": 20 + count % 60}, "unit": unit}
            try:
                answer = client.post(f"{self.address}/models/churn/predict", json=body)
            except httpx.HTTPError as error:
                self.failures.append(type(error).__name__)
                client.close()
                client = new_client()
                continue
            if answer.status_code == 200:
                self.answers.append((unit, answer.json()["version"]))
            else:
                self.failures.append(f"{answer.status_code} {answer.text[:200]}")
            if not self.keep_alive:
                client.close()
                client = new_client()
        client.close()

    def asked_more(self, count: int) -> Callable[[], bool]:
        """Return whether so many more answers have come than until now."""
        goal = len(self.answers) + count
        return lambda: len(self.answers) >= goal


@contextmanager
def under_load(address: str, **options: Any) -> Iterator[Load]:
    load = Load(address, **options)
    for thread in load.threads:
        thread.start()
    try:
        yield load
    finally:
        load.stopping.set()
        for thread in load.threads:
            thread.join()


def logged(settings: Settings, kind: str) -> list[Any]:
    return [
        event
        for file in (settings.serving_dir / "log" / kind).rglob("*.ndjson")
        for event in read_segment(file.read_bytes(), kind).events
    ]


def test_a_plan_is_served_by_all_workers(
    server: Server, router: ServerRouter, stored: tuple[StoredBundle, ...], epochs: Iterator[int]
) -> None:
    plan = make_plan(stored[0], epoch=next(epochs))
    assert router.apply(plan).workers == 2
    assert router.state("churn").plan == plan  # type: ignore[union-attr]
    assert router.probe("churn", stored[0].digest).matched
    seen: dict[int, int] = {}

    def asked_both() -> bool:
        pid = httpx.get(f"{server.address}/health").json()["worker"]
        seen[pid] = httpx.post(f"{server.address}/predict", json={"features": ROW}).status_code
        return len(seen) == 2

    wait_until(asked_both)
    assert sorted(seen) == server.worker_pids()
    assert set(seen.values()) == {200}
    assert httpx.get(f"{server.address}/ready").status_code == 200


def test_health_and_metrics_are_of_all_workers(server: Server, router: ServerRouter) -> None:
    def predictions() -> int:
        return int(httpx.get(f"{server.address}/health").json()["models"]["churn"]["predictions"])

    def settled() -> bool:
        return len({(predictions(), time.sleep(0.05)) for _ in range(20)}) == 1

    # Workers bring their counts together ten times a second, on a busy machine later: those of tests before.
    wait_until(settled, what="the counts of the tests before")
    before = predictions()
    for _ in range(40):  # a new connection each, so that both workers get some
        assert httpx.post(f"{server.address}/predict", json={"features": ROW}).status_code == 200
    wait_until(lambda: predictions() >= before + 40, what="the counts of both workers")
    assert {predictions() for _ in range(10)} == {before + 40}
    said = httpx.get(f"{server.address}/metrics").text
    assert (
        f'ml_predictions_total{{model="churn",model_version="1",variant="champion"}} {before + 40}.0' in said
    )


def test_an_older_plan_is_refused(
    router: ServerRouter, stored: tuple[StoredBundle, ...], epochs: Iterator[int]
) -> None:
    epoch = next(epochs)
    router.apply(make_plan(stored[0], epoch=epoch))
    with pytest.raises(StaleEpochError):
        router.apply(make_plan(stored[0], epoch=epoch - 1))
    with pytest.raises(StaleEpochError):
        router.apply(make_plan(stored[1], epoch=epoch))


def test_a_tampered_bundle_is_refused_and_the_old_version_serves(
    server: Server,
    router: ServerRouter,
    settings: Settings,
    stored: tuple[StoredBundle, ...],
    epochs: Iterator[int],
) -> None:
    router.apply(make_plan(stored[0], epoch=next(epochs)))
    tampered = store_bundle(settings, make_bundle(seed=9))
    file = Path(tampered.uri) / MODEL_FILE
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with pytest.raises(DeploymentRefusedError, match="not what was signed"):
        router.apply(make_plan(tampered, epoch=next(epochs)))
    state = router.state("churn")
    assert state is not None
    assert state.plan.slots[0].digest == stored[0].digest
    assert httpx.post(f"{server.address}/predict", json={"features": ROW}).json()["version"] == "1"


@pytest.mark.parametrize("keep_alive", [True, False], ids=["one connection", "new connections"])
def test_no_request_is_dropped_by_changes_of_the_table(
    server: Server,
    router: ServerRouter,
    stored: tuple[StoredBundle, ...],
    epochs: Iterator[int],
    keep_alive: bool,
) -> None:
    router.apply(make_plan(stored[0], epoch=next(epochs)))
    with under_load(server.address, keep_alive=keep_alive) as load:
        wait_until(load.asked_more(20))
        for change in range(20):
            share = (0, 10_000)[change % 2]
            plan = make_plan(stored[0], stored[1], epoch=next(epochs), shares=(10_000 - share, share))
            assert router.apply(plan).workers == 2
            # Every worker has acknowledged: whatever is asked from here on is answered by the new table.
            version = httpx.post(f"{server.address}/predict", json={"features": ROW}).json()["version"]
            assert version == ("1", "2")[change % 2]
            wait_until(load.asked_more(5))
    assert load.failures == []
    assert {version for _, version in load.answers} == {"1", "2"}


def test_a_growing_share_flips_no_unit_back(
    server: Server, router: ServerRouter, stored: tuple[StoredBundle, ...], epochs: Iterator[int]
) -> None:
    def plan(share: int) -> Any:
        return make_plan(
            *stored,
            epoch=next(epochs),
            shares=(10_000 - share, share),
            champion=stored[0].digest,
            experiment="grow",
        )

    router.apply(plan(0))
    with under_load(server.address) as load:
        for share in (1_000, 3_000, 6_000, 10_000):
            router.apply(plan(share))
            wait_until(load.asked_more(30))
    assert load.failures == []
    # A unit is asked for by one client only, one after the other on one connection.
    moved: set[str] = set()
    for unit, version in load.answers:
        assert version == "2" or unit not in moved
        moved.update([unit] if version == "2" else [])
    rows = {"features": [ROW] * 100, "unit": [f"u{number}" for number in range(100)]}
    said = httpx.post(f"{server.address}/predict", json=rows).json()["predictions"]
    assert {row["version"] for row in said} == {"2"}


def test_a_killed_worker_loses_only_its_own_requests_and_is_replaced(
    server: Server, router: ServerRouter, stored: tuple[StoredBundle, ...], epochs: Iterator[int]
) -> None:
    router.apply(make_plan(stored[0], epoch=next(epochs)))
    before = server.worker_pids()
    with under_load(server.address, clients=4) as load:
        wait_until(load.asked_more(20))
        os.kill(before[0], signal.SIGKILL)
        wait_until(load.asked_more(100))
        wait_until(lambda: len(set(server.worker_pids()) - set(before)) == 1, seconds=40)
        wait_until(load.asked_more(20))
    assert len(load.failures) <= len(load.threads)  # at most the one in flight on each connection
    state = router.apply(make_plan(stored[1], epoch=next(epochs)))
    assert state.workers == 2
    assert before[0] not in server.worker_pids()


def test_hostile_bodies_over_the_wire(
    server: Server, router: ServerRouter, stored: tuple[StoredBundle, ...], epochs: Iterator[int]
) -> None:
    router.apply(make_plan(stored[0], epoch=next(epochs)))
    with new_client() as client:
        for name, body in HOSTILE.items():
            for path in ("/predict", "/outcomes"):
                answer = client.post(server.address + path, content=body)
                assert answer.status_code < 500, (name, path, answer.text)
    broken = (
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n{",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    )
    import socket

    host, port = server.address.removeprefix("http://").split(":")
    for content in broken:
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            said = connection.recv(200)
            assert not said.startswith(b"HTTP/1.1 5"), (content[:60], said)
    assert httpx.post(f"{server.address}/predict", json={"features": ROW}).status_code == 200


def test_a_version_behind_another_server_answers_the_same(
    server: Server,
    router: ServerRouter,
    settings: Settings,
    stored: tuple[StoredBundle, ...],
    epochs: Iterator[int],
) -> None:
    router.apply(make_plan(stored[0], epoch=next(epochs)))
    direct = httpx.post(f"{server.address}/predict", json={"features": ROW}).json()
    with running_slot(settings, stored[0]) as behind:
        plan = at_address(make_plan(stored[0], epoch=next(epochs)), behind.address)
        router.apply(plan)
        assert router.probe("churn", stored[0].digest).matched
        remote = httpx.post(f"{server.address}/predict", json={"features": ROW}).json()
        assert remote["probabilities"] == direct["probabilities"]
    away = httpx.post(f"{server.address}/predict", json={"features": ROW})
    assert (away.status_code, away.json()["code"]) == (503, "WS-SERVING-008")
    assert httpx.get(f"{server.address}/ready").status_code == 503
    renamed = plan.slots[0].model_copy(update={"version": "9"})
    with pytest.raises(DeploymentRefusedError) as refused:
        router.apply(plan.model_copy(update={"epoch": next(epochs), "slots": (renamed,)}))
    assert refused.value.code == "WS-SLOT-001"
    SlotRegister.of(settings).add(make_deployment(stored[0].digest, behind.address, version="9"))
    with pytest.raises(ServerUnavailableError):
        router.apply(plan.model_copy(update={"epoch": next(epochs), "slots": (renamed,)}))
    router.apply(make_plan(stored[0], epoch=next(epochs)))


def test_the_log_holds_no_value_and_no_token(server: Server, settings: Settings) -> None:
    said = server.said()
    assert settings.read_admin_token() not in said
    assert "planted" not in said
    assert str(ROW["age"]) not in said
    assert "Traceback" not in said


def test_killed_whole_it_comes_back_as_it_was(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    stored = store_bundle(settings, make_bundle())
    plan = make_plan(stored, epoch=7)
    first = Server(settings, workers=2)
    acknowledged: list[str] = []
    answered: list[tuple[str, float]] = []
    try:
        first.start()
        ServerRouter(first.address, settings.read_admin_token).apply(plan)
        pids = first.worker_pids()
        with new_client() as client:
            began = time.monotonic()
            while time.monotonic() - began < 2.0:
                name = f"p{len(answered)}"
                body = {"features": ROW, "prediction_id": name}
                assert client.post(f"{first.address}/predict", json=body).status_code == 200
                answered.append((name, time.monotonic()))
                outcome = {"prediction_id": name, "outcome": True}
                if client.post(f"{first.address}/outcomes", json=outcome).status_code == 202:
                    acknowledged.append(name)
                time.sleep(PACE)
            assert first.process is not None
            killed = time.monotonic()  # before the signals: on a busy machine they take their time
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            first.kill()
            left = Path(read_json_file(settings.serving_dir / "server.json")["metrics"])
            assert left.is_dir()
    finally:
        first.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what="the end of the workers")
    assert {event.prediction_id for event in logged(settings, "outcomes")} == set(acknowledged)
    durable = {name for name, at in answered if killed - at > 1.0}
    assert durable <= {event.prediction_id for event in logged(settings, "predictions")}
    # The storage root is out of reach now: the server has its own copies.
    (settings.home / "storage").rename(settings.home / "elsewhere")
    with running(settings, workers=2) as second:
        answer = httpx.post(f"{second.address}/predict", json={"features": ROW})
        assert (answer.status_code, answer.json()["version"]) == (200, "1")
        assert not left.exists()
        router = ServerRouter(second.address, settings.read_admin_token)
        assert router.state("churn").plan == plan  # type: ignore[union-attr]
        with pytest.raises(StaleEpochError):
            router.apply(make_plan(stored, epoch=6))


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    server = Server(make_settings(tmp_path), workers=2)
    try:
        server.start()
        pids = server.worker_pids()
    finally:
        server.kill()
        shutil.rmtree(read_json_file(server.settings.serving_dir / "server.json")["metrics"])
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what="the end of the workers")


def test_it_stops_quickly_and_leaves_nothing(tmp_path: Path) -> None:
    server = Server(make_settings(tmp_path), workers=2)
    try:
        server.start()
        assert server.process is not None
        children = children_of(server.process.pid)
        assert len(children) == 2
        with httpx.Client() as client:  # an idle connection does not hold it up
            client.get(f"{server.address}/health")
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < GRACE_SECONDS
    finally:
        server.kill()
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not (server.settings.serving_dir / "server.json").exists()
    assert list((server.settings.serving_dir / "workers").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own that a test may fill."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user cannot mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(file: Path) -> None:
    """Write a file until its disk is full."""
    with suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    assert os.statvfs(file).f_bavail == 0


def test_a_full_disk_neither_blocks_nor_ends_serving(small_disk: Path) -> None:
    settings = make_settings(small_disk)
    stored = store_bundle(settings, make_bundle())
    with running(settings, workers=2) as server:
        ServerRouter(server.address, settings.read_admin_token).apply(make_plan(stored))
        pids = server.worker_pids()

        def ask(count: int) -> None:
            for _ in range(count):
                assert httpx.post(f"{server.address}/predict", json={"features": ROW}).status_code == 200

        fill(small_disk / "filler")
        ask(40)
        outcome = {"prediction_id": "p", "outcome": True}
        refused = httpx.post(f"{server.address}/outcomes", json=outcome, timeout=20)
        assert (refused.status_code, refused.json()["code"]) == (503, "WS-SERVING-020")
        assert httpx.get(f"{server.address}/health").json()["status"] == "degraded"
        (small_disk / "filler").unlink()
        wait_until(lambda: len(logged(settings, "predictions")) == 40)
        assert httpx.post(f"{server.address}/outcomes", json=outcome).status_code == 202
        health = httpx.get(f"{server.address}/health").json()
        assert (health["status"], health["log_dropped"]) == ("ok", 0)
        assert server.worker_pids() == pids
