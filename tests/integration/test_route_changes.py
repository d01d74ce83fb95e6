"""Changes of the route and the death of a worker, under load from connections kept and connections new."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pytest

from support.serving import (
    ROW,
    Server,
    make_bundle,
    make_plan,
    make_settings,
    running,
    store_bundle,
)
from windsock.adapters.server_client import ServerRouter
from windsock.exceptions import DeploymentRefusedError
from windsock.records import RoutePlan, StoredBundle
from windsock.rollout.assignment import bucket

pytestmark = pytest.mark.slow

KEPT = 8
NEW = 4
UNITS = 5
"""Units of each caller; nobody else asks for them."""
GROWTH = (0, 500, 2_500, 5_000, 10_000)
WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(make_settings(tmp_path_factory.mktemp("routes")), workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def stored(server: Server) -> tuple[StoredBundle, StoredBundle]:
    bundles = make_bundle(), make_bundle(seed=2)
    return store_bundle(server.settings, bundles[0]), store_bundle(server.settings, bundles[1])


@pytest.fixture(scope="module")
def router(server: Server) -> ServerRouter:
    return ServerRouter(server.address, server.settings.read_admin_token)


def next_epoch(router: ServerRouter) -> int:
    state = router.state("churn")
    return state.plan.epoch + 1 if state else 1


def version_by(plan: RoutePlan, unit: str) -> str:
    """Return the version of a unit, worked out here: the challenger has the buckets from 0 upwards."""
    champion = plan.slot(plan.champion) if plan.champion else max(plan.slots, key=lambda slot: slot.share)
    assert champion is not None
    (other,) = (slot for slot in plan.slots if slot is not champion)
    is_others = bucket(unit, salt=plan.salt, experiment=plan.experiment or "") < other.share
    return (other if is_others else champion).version


@dataclass(frozen=True)
class Table:
    """A plan and the time between which the admin call for it went out and was answered."""

    plan: RoutePlan
    began: float
    ended: float


class Tables:
    """The tables that were laid, one after the other."""

    def __init__(self, router: ServerRouter) -> None:
        self.router = router
        self.laid: list[Table] = []

    async def lay(self, plan: RoutePlan) -> None:
        began = time.monotonic()
        state = await asyncio.to_thread(self.router.apply, plan)
        assert state.workers == 2
        self.laid.append(Table(plan, began, time.monotonic()))

    def possible(self, answer: Answer) -> range:
        """Return the numbers of the tables that may have been in force while a request was on its way.

        A table may answer from the call that brings it until all workers have acknowledged the next one.
        """
        ends = [table.ended for table in self.laid[1:]] + [math.inf]
        fit = [
            number
            for number, (table, end) in enumerate(zip(self.laid, ends, strict=True))
            if table.began <= answer.ended and end >= answer.began
        ]
        return range(fit[0], fit[-1] + 1)


@dataclass(frozen=True)
class Answer:
    unit: str
    version: str
    began: float
    ended: float


class Connection:
    """One HTTP connection, without anything that would ask a second time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, address: str) -> Connection:
        host, port = address.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def ask(self, path: str, body: Any = None, *, last: bool = False) -> tuple[int, Any]:
        """Return status and content of the answer.

        :raises OSError: if the connection broke (:class:`EOFError`: before the answer's end).
        """
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: windsock\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
            f"Connection: {'close' if last else 'keep-alive'}\r\n\r\n"
        )
        async with asyncio.timeout(WAIT_SECONDS):
            self.writer.write(head.encode() + content)
            await self.writer.drain()
            status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            said = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), json.loads(said)

    async def worker(self) -> int:
        """Return the process that holds the other end."""
        status, said = await self.ask("/health")
        assert status == 200, said
        return int(said["worker"])

    def close(self) -> None:
        self.writer.close()


@dataclass
class Caller:
    """Asks again and again, one request after the other.

    :param connection: the one to begin with; ``None``: a new one for each request.
    :param worker: the process at its other end, when it began.
    """

    address: str
    name: str
    connection: Connection | None = None
    worker: int | None = None
    answers: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    async def run(self) -> None:
        keeps, count = self.connection is not None, 0
        while True:
            count += 1
            unit = f"{self.name}-{count % UNITS}"
            began = time.monotonic()
            try:
                if self.connection is None:
                    self.connection = await Connection.open(self.address)
                body = {"features": {**ROW, "age": 20 + count % 60}, "unit": unit}
                status, said = await self.connection.ask("/models/churn/predict", body, last=not keeps)
            except (OSError, EOFError) as error:
                self.lost.append(type(error).__name__)
                self._drop()
                continue
            if status == 200:
                self.answers.append(Answer(unit, said["version"], began, time.monotonic()))
            else:
                self.refused.append(f"{status} {said}")
            if not keeps:
                self._drop()

    def _drop(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class Load:
    """Callers of both kinds at once."""

    def __init__(self, kept: Sequence[Caller], new: Sequence[Caller]) -> None:
        self.kept, self.new = kept, new
        self.callers = (*kept, *new)

    @property
    def answers(self) -> Iterable[Answer]:
        return (answer for caller in self.callers for answer in caller.answers)

    async def more(self, count: int = UNITS) -> None:
        """Wait until every caller has asked for each of its units, from now on."""
        goals = [(caller, len(caller.answers) + count) for caller in self.callers]
        async with asyncio.timeout(WAIT_SECONDS):
            while any(len(caller.answers) < goal for caller, goal in goals):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def under_load(server: Server) -> AsyncIterator[Load]:
    """Ask from connections that are kept, as many on each worker, and from new ones."""
    connections = await connections_on_each_worker(server)
    kept = [
        Caller(server.address, f"kept{number}", connection, worker)
        for number, (worker, connection) in enumerate(connections)
    ]
    load = Load(kept, [Caller(server.address, f"new{number}") for number in range(NEW)])
    tasks = [asyncio.create_task(caller.run()) for caller in load.callers]
    try:
        yield load
        assert not any(task.done() for task in tasks), "a caller has ended"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def connections_on_each_worker(server: Server) -> list[tuple[int, Connection]]:
    """Open connections until half of those kept are on the one worker and half on the other."""
    found: dict[int, list[Connection]] = {pid: [] for pid in server.worker_pids()}
    assert len(found) == 2
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:  # a worker that has just begun takes none for a while
        opened = await asyncio.gather(*(Connection.open(server.address) for _ in range(KEPT)))
        for connection, worker in zip(
            opened, await asyncio.gather(*(one.worker() for one in opened)), strict=True
        ):
            if len(found[worker]) < KEPT // 2:
                found[worker].append(connection)
            else:
                connection.close()
        if all(len(connections) == KEPT // 2 for connections in found.values()):
            return [(pid, connection) for pid, connections in found.items() for connection in connections]
        await asyncio.sleep(0.02)
    raise AssertionError({pid: len(connections) for pid, connections in found.items()})


def changes(stored: tuple[StoredBundle, StoredBundle], first: int) -> list[RoutePlan]:
    """Return a first plan and twenty changes: thrice a challenger grows, serves alone, and is rolled back."""
    plans: list[dict[str, Any]] = []
    for rollout in range(3):
        plans += [
            {
                "shares": (10_000 - share, share),
                "champion": stored[0].digest,
                "experiment": f"grow-{rollout}",
            }
            for share in GROWTH
        ]
        plans += [{"shares": (0, 10_000)}, {"shares": (10_000, 0)}]
    return [make_plan(*stored, epoch=epoch, **fields) for epoch, fields in enumerate(plans, start=first)]


def flipped_back(answers: Iterable[Answer]) -> list[str]:
    """Return the units that were with the challenger and then with the champion again."""
    moved: set[str] = set()
    back = []
    for answer in answers:
        if answer.version == "2":
            moved.add(answer.unit)
        elif answer.unit in moved:
            back.append(answer.unit)
    return back


async def change_under_load(server: Server, tables: Tables, plans: Sequence[RoutePlan]) -> Load:
    await tables.lay(plans[0])
    async with under_load(server) as load:
        await load.more()
        for plan in plans[1:]:
            await tables.lay(plan)
            await load.more()
    return load


@pytest.fixture(scope="module")
def changed(
    server: Server, router: ServerRouter, stored: tuple[StoredBundle, StoredBundle]
) -> tuple[Tables, Load]:
    """Twenty changes that have been made under load."""
    tables, plans = Tables(router), changes(stored, next_epoch(router))
    assert len(plans) == 1 + 20
    return tables, asyncio.run(change_under_load(server, tables, plans))


def test_twenty_changes_drop_no_request(changed: tuple[Tables, Load]) -> None:
    _, load = changed
    assert [caller.lost for caller in load.callers if caller.lost] == []
    assert [caller.refused for caller in load.callers if caller.refused] == []


def test_every_answer_is_by_a_table_that_was_in_force(changed: tuple[Tables, Load]) -> None:
    tables, load = changed
    plans = [table.plan for table in tables.laid]
    wrong = [
        answer
        for answer in load.answers
        if answer.version
        not in {version_by(plans[number], answer.unit) for number in tables.possible(answer)}
    ]
    assert wrong == []
    # Each table was in force alone for a while, and split its traffic.
    alone: dict[int, set[str]] = {}
    for answer in load.answers:
        if len(numbers := tables.possible(answer)) == 1:
            alone.setdefault(numbers[0], set()).add(answer.version)
    assert [alone[number] for number in range(len(plans))] == [
        {slot.version for slot in plan.slots if slot.share} for plan in plans
    ]


def test_while_a_share_grows_no_unit_flips_back(changed: tuple[Tables, Load]) -> None:
    tables, load = changed
    experiments = [table.plan.experiment for table in tables.laid]
    for experiment in sorted({name for name in experiments if name}):
        for caller in load.callers:
            answers = [
                answer
                for answer in caller.answers
                if {experiments[number] for number in tables.possible(answer)} == {experiment}
                # A kept connection stays with one worker: not one answer may go back. New ones meet both,
                # which take a table up to a tenth of a second apart: what was asked while both had the same.
                and (caller in load.kept or len(tables.possible(answer)) == 1)
            ]
            assert {answer.version for answer in answers} == {"1", "2"}
            assert flipped_back(answers) == []


SIDE_BY_SIDE = (
    (9_000, 500, 500),
    (8_000, 1_500, 500),
    (6_000, 1_500, 2_500),
    (2_000, 4_000, 4_000),
    (0, 5_000, 5_000),
)


def version_of_three(plan: RoutePlan, unit: str) -> str:
    """Return the version of a unit, worked out here: each challenger fills its half from the start."""
    half, place = divmod(bucket(unit, salt=plan.salt, experiment=plan.experiment or ""), 5_000)
    champion, *challengers = plan.slots
    return (challengers[half] if place < challengers[half].share else champion).version


async def grow_side_by_side(
    server: Server, tables: Tables, plans: Sequence[RoutePlan], refused: Sequence[RoutePlan]
) -> tuple[Load, list[str]]:
    """Let two challengers grow in turn under load; what would move units is sent in between."""
    codes = []
    await tables.lay(plans[0])
    async with under_load(server) as load:
        await load.more()
        for plan in plans[1:]:
            for wrong in refused:
                later = wrong.model_copy(update={"epoch": plan.epoch})
                with pytest.raises(DeploymentRefusedError) as refusal:
                    await asyncio.to_thread(tables.router.apply, later)
                codes.append(refusal.value.code)
            await load.more()
            await tables.lay(plan)
            await load.more(UNITS + 1)  # the first of them may have begun before
    return load, codes


def test_two_challengers_grow_side_by_side_and_take_units_from_the_champion_only(
    server: Server, router: ServerRouter, stored: tuple[StoredBundle, StoredBundle]
) -> None:
    bundles = (*stored, store_bundle(server.settings, make_bundle(seed=3)))
    split: dict[str, Any] = {"champion": stored[0].digest, "experiment": "side-by-side"}
    first = next_epoch(router)
    plans = [
        make_plan(*bundles, epoch=epoch, shares=shares, **split)
        for epoch, shares in enumerate(SIDE_BY_SIDE, start=first)
    ]
    refused = [
        make_plan(*bundles, epoch=1, shares=(5_000, 2_500, 2_500), **{**split, "salt": "another"}),
        make_plan(*stored, epoch=1, shares=(5_000, 5_000), **split),
    ]
    tables = Tables(router)
    load, codes = asyncio.run(grow_side_by_side(server, tables, plans, refused))
    assert codes == ["WS-SERVING-050", "WS-SERVING-051"] * (len(plans) - 1)
    assert [caller.lost + caller.refused for caller in load.callers if caller.lost + caller.refused] == []
    wrong = [
        answer
        for answer in load.answers
        if answer.version
        not in {version_of_three(plans[number], answer.unit) for number in tables.possible(answer)}
    ]
    assert wrong == []
    by_unit: dict[str, list[str]] = {}
    for caller in load.callers:
        for answer in caller.answers:
            if caller in load.kept or len(tables.possible(answer)) == 1:
                by_unit.setdefault(answer.unit, []).append(answer.version)
    moves = {tuple(version for version, _ in groupby(versions)) for versions in by_unit.values()}
    assert moves <= {("1", "2"), ("1", "3"), ("2",), ("3",)}
    assert {("1", "2"), ("1", "3")} <= moves


async def kill_one(server: Server, tables: Tables, plan: RoutePlan) -> tuple[Load, int]:
    await tables.lay(plan)
    async with under_load(server) as load:
        await load.more()
        before = server.worker_pids()
        killed = before[0]
        os.kill(killed, signal.SIGKILL)
        await load.more(2 * UNITS)
        async with asyncio.timeout(WAIT_SECONDS):
            while len(set(server.worker_pids()) - set(before)) != 1:
                await asyncio.sleep(0.05)
        await load.more()
    return load, killed


def test_a_killed_worker_takes_only_its_own_connections_with_it_and_is_replaced(
    server: Server, router: ServerRouter, stored: tuple[StoredBundle, StoredBundle]
) -> None:
    plan = make_plan(
        *stored,
        epoch=next_epoch(router),
        shares=(5_000, 5_000),
        champion=stored[0].digest,
        experiment="kill",
    )
    tables = Tables(router)
    load, killed = asyncio.run(kill_one(server, tables, plan))

    on_it = [caller for caller in load.kept if caller.worker == killed]
    elsewhere = [caller for caller in load.kept if caller.worker != killed]
    assert (len(on_it), len(elsewhere)) == (KEPT // 2, KEPT // 2)
    assert [len(caller.lost) for caller in on_it] == [1] * len(on_it)  # its one connection, and no more
    assert [caller.lost for caller in elsewhere if caller.lost] == []
    assert all(len(caller.lost) <= 1 for caller in load.new)  # at most the request that was in flight
    assert [caller.refused for caller in load.callers if caller.refused] == []
    assert [one for one in load.answers if one.version != version_by(plan, one.unit)] == []

    async def workers() -> set[int]:
        return {worker for worker, _ in await connections_on_each_worker(server)}

    assert killed not in (replaced := asyncio.run(workers()))
    assert len(replaced) == 2
    again = plan.model_copy(update={"epoch": plan.epoch + 1})
    assert router.apply(again).workers == 2
