"""What a rollout's client has offered is in the log, answered or not: through real servers, and kills.

The client is httpx; it finds the arm of each of its units by itself.
"""

from __future__ import annotations

import os
import random
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.failing_slot import NOT_A_NUMBER, RAISES, REFUSES, failing_slot
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
from windsock.adapters.log_format import read_line
from windsock.adapters.server_client import ServerRouter
from windsock.records import FallbackAnswer, RoutePlan
from windsock.rollout.assignment import Assignment
from windsock.settings import Settings

pytestmark = pytest.mark.slow

AGES = (*[41.5] * 17, RAISES, NOT_A_NUMBER, REFUSES)
INVALID = "a text"
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""To read those of the system takes a while, and nothing here is https."""


@dataclass(frozen=True)
class Offered:
    """One row that was sent.

    :param status: of its answer; 0: none came.
    :param at: when it was sent, by the monotonic clock.
    """

    unit: str
    status: int
    at: float


class Client:
    """Sends rows of several units at once, on a few connections, and keeps what it offered.

    :param name: of this client; begins its prediction ids.
    """

    def __init__(self, address: str, name: str, *, threads: int = 3) -> None:
        self.address, self.name = address, name
        self.offered: dict[str, Offered] = {}
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]
        self.requests = 0
        self.most: int | None = None

    def send(self, requests: int) -> None:
        """Send so many requests."""
        self.most = requests
        with self.going():
            for thread in self.threads:
                thread.join(60)

    @contextmanager
    def going(self) -> Iterator[None]:
        """Send for the time of a block."""
        for thread in self.threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in self.threads:
                thread.join(60)

    def _run(self, number: int) -> None:
        draw = random.Random(f"{self.name} {number}")  # noqa: S311
        with httpx.Client(timeout=20, verify=NO_CERTIFICATES, trust_env=False) as client:
            count = 0
            while not self.stopping.is_set() and (self.most is None or self.requests < self.most):
                self.requests += 1
                count += 1
                self._post(client, draw, f"{self.name}-{number}-{count}")

    def _post(self, client: httpx.Client, draw: random.Random, name: str) -> None:
        ids = [f"{name}-{row}" for row in range(draw.choice((1, 1, 2, 5)))]
        units = [f"unit {draw.randrange(4_000)}" for _ in ids]
        rows = [{**ROW, "age": draw.choice(AGES)} for _ in ids]
        if draw.random() < 0.03:
            rows[-1]["age"] = INVALID
        at = time.monotonic()
        status = 0
        with suppress(httpx.HTTPError):
            body = {"features": rows, "unit": units, "prediction_id": ids}
            status = client.post(f"{self.address}/predict", json=body).status_code
        self.offered.update({one: Offered(unit, status, at) for one, unit in zip(ids, units, strict=True)})


class Logged:
    """What the log says of a rollout: of each prediction id its arm and what became of it."""

    def __init__(self, settings: Settings, experiment: str) -> None:
        self.rows: dict[str, list[tuple[str, str]]] = {}
        self.shadow: dict[str, list[str]] = {}
        for kind in ("predictions", "unanswered"):
            for file in (settings.serving_dir / "log" / kind).rglob("*.ndjson"):
                *lines, _ = file.read_bytes().split(b"\n")
                for line in lines:
                    self._take(read_line(line, kind), experiment)

    def _take(self, line: Any, experiment: str) -> None:
        if line.experiment != experiment:
            return
        instead_of = getattr(line, "fallback_for", None)
        what = getattr(line, "cause", None) or ("fallback" if instead_of else "answered")
        for row in line.rows:
            if line.variant == "shadow":
                self.shadow.setdefault(row.prediction_id, []).append(what)
            else:
                self.rows.setdefault(row.prediction_id, []).append((instead_of or line.variant, what))

    def counts(self) -> dict[str, Counter[str]]:
        """Return of each arm how many rows became what."""
        found: dict[str, Counter[str]] = {"champion": Counter(), "challenger": Counter()}
        for (arm, what), *_ in self.rows.values():
            found[arm][what] += 1
        return found


def arm_of(plan: RoutePlan, unit: str) -> str:
    """Return the arm of a unit, as every later analysis finds it."""
    shares = {"challenger": plan.slots[1].share, "champion": plan.slots[0].share}
    return Assignment(shares, salt=plan.salt, experiment=plan.experiment or "").arm(unit)


def require_conserved(plan: RoutePlan, client: Client, logged: Logged, among: set[str] | None = None) -> None:
    """Require that each row that was offered is in the log once, of its arm, as it was answered.

    :param among: only these; default: all.
    """
    offered: Counter[str] = Counter()
    for identifier, row in client.offered.items():
        if among is not None and identifier not in among:
            continue
        arm = arm_of(plan, row.unit)
        offered[arm] += 1
        ((found, what),) = logged.rows[identifier]  # once
        assert found == arm
        assert (what in ("answered", "fallback")) == (row.status == 200), (what, row.status)
        if what in ("invalid", "unanswerable"):
            assert row.status == 422
    if among is None:
        assert {arm: rows.total() for arm, rows in logged.counts().items()} == offered


@dataclass
class Installation:
    settings: Settings
    plan: RoutePlan
    """A champion in the server, a challenger behind an address, half the traffic each."""

    def apply(self, server: Server, epoch: int, **fields: Any) -> RoutePlan:
        values = {"epoch": epoch, "experiment": f"e{epoch}", **fields}
        plan = RoutePlan.model_validate({**self.plan.model_dump(), **values})
        ServerRouter(server.address, self.settings.read_admin_token).apply(plan)
        return plan


@contextmanager
def installation(home: Path) -> Iterator[Installation]:
    settings = make_settings(home)
    first, bundle = store_bundle(settings, make_bundle()), make_bundle(seed=2)
    second = store_bundle(settings, bundle)
    with failing_slot(settings, bundle, second, version="2") as deployment:
        plan = make_plan(first, second, shares=(5_000, 5_000), champion=first.digest)
        slots = (plan.slots[0], plan.slots[1].replace(url=deployment.address))
        yield Installation(settings, plan.replace(slots=slots))


def await_on_disk(made: Installation, client: Client, experiment: str) -> set[str]:
    """Wait, while requests go on, until all that was told until now is on the disk; return its ids."""
    names = {name for name, row in dict(client.offered).items() if row.status}
    wait_until(lambda: names <= Logged(made.settings, experiment).rows.keys(), what="every row on the disk")
    return names


def test_offered_is_answered_fallen_back_or_unanswered_with_its_cause(tmp_path: Path) -> None:
    with installation(tmp_path) as made, running(made.settings) as server:
        seen = {}
        for epoch, policy in enumerate(("error", "champion"), start=1):
            plan = made.apply(server, epoch, fallback=FallbackAnswer(policy=policy))  # type: ignore[arg-type]
            client = Client(server.address, policy)
            client.send(250)
            seen[policy] = plan, client
        slots = (made.plan.slots[0].replace(share=10_000), made.plan.slots[1].replace(share=0, shadow=True))
        made.apply(server, 3, slots=[slot.model_dump() for slot in slots])
        shadowed = Client(server.address, "shadow", threads=1)
        shadowed.send(80)
        assert server.stop() == 0
        assert {row.status for row in shadowed.offered.values()} == {200, 422}

    for epoch, (policy, (plan, client)) in enumerate(seen.items(), start=1):
        logged = Logged(made.settings, f"e{epoch}")
        require_conserved(plan, client, logged)
        counts = logged.counts()
        assert counts["champion"]["failed"] == 0
        failed, fallback = counts["challenger"]["failed"], counts["challenger"]["fallback"]
        assert (failed > 20, fallback > 20) == ((True, False) if policy == "error" else (False, True))
        assert counts["challenger"]["invalid"] + counts["champion"]["invalid"] > 0
        assert policy != "error" or counts["champion"]["other_version"] > 10

    logged = Logged(made.settings, "e3")
    answered = {name for name, row in shadowed.offered.items() if row.status == 200}
    assert {name for name, [(arm, what)] in logged.rows.items() if what == "answered"} == answered
    assert all(len(tried) == 1 for tried in logged.shadow.values())
    assert logged.shadow.keys() == answered  # each row that was answered, tried by the shadow once
    tried = Counter(what for (what,) in logged.shadow.values())
    assert tried["failed"] > 5


def test_a_worker_that_is_killed_takes_a_second_at_most(tmp_path: Path) -> None:
    with installation(tmp_path) as made, running(made.settings, workers=2) as server:
        plan = made.apply(server, 1, fallback=FallbackAnswer(policy="error"))
        client = Client(server.address, "kill")
        with client.going():
            wait_until(lambda: client.requests > 100, what="traffic")
            settled = await_on_disk(made, client, "e1")
            victim = server.worker_pids()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: len(server.worker_pids()) == 2 and victim not in server.worker_pids())
            replaced, goal = time.monotonic(), client.requests + 60
            wait_until(lambda: client.requests > goal, what="traffic afterwards")
        assert server.stop() == 0
    told = {name for name, row in client.offered.items() if row.status}
    assert len(client.offered.keys() - told) <= 5 * len(client.threads)  # what was under way
    later = {name for name, row in client.offered.items() if row.at >= replaced}
    logged = Logged(made.settings, "e1")
    require_conserved(plan, client, logged, settled | later)
    counts = logged.counts()
    assert counts["challenger"]["failed"] > 10
    assert logged.rows.keys() <= client.offered.keys()


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


def test_a_full_disk_keeps_or_counts_what_was_not_answered(small_disk: Path) -> None:
    with installation(small_disk) as made, running(made.settings) as server:
        plan = made.apply(server, 1, fallback=FallbackAnswer(policy="error"))
        filler = small_disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(65_536))
        client = Client(server.address, "full")
        client.send(80)
        assert httpx.get(f"{server.address}/health").json()["status"] == "degraded"
        unit = next(row.unit for row in client.offered.values() if arm_of(plan, row.unit) == "challenger")
        body = {"features": [{**ROW, "age": RAISES}] * 1_000, "unit": unit}
        flood, dropped = Counter[int](), 0
        with httpx.Client(timeout=20, verify=NO_CERTIFICATES, trust_env=False) as sender:
            while not dropped and flood.total() < 400:  # 32 MiB wait at most
                for _ in range(20):
                    names = [f"{flood.total()} {row} {'x' * 180}" for row in range(1_000)]
                    answer = sender.post(f"{server.address}/predict", json={**body, "prediction_id": names})
                    flood[answer.status_code] += 1
                dropped = sender.get(f"{server.address}/health").json()["log_dropped"]
        assert dropped
        assert flood.keys() == {503}
        filler.unlink()
        wait_until(lambda: httpx.get(f"{server.address}/health").json()["log_waiting"] == 0)
        assert server.stop() == 0
    logged = Logged(made.settings, "e1")
    require_conserved(plan, client, logged, set(client.offered))
    assert all(len(rows) == 1 for rows in logged.rows.values())
    assert len(logged.rows) + dropped == len(client.offered) + 1_000 * flood.total()
