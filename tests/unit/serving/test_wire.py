"""Connections are counted, bounded and closed for others before anybody is known."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import pytest

from windsock.serving import wire as wire_module
from windsock.serving.wire import Turns, Wire, allow_files, private_limits
from windsock.settings import WireLimits

LIMITS = WireLimits(connections=4, connections_per_address=3)


class Holding:
    def __init__(self, since: float | None) -> None:
        self.since, self.given_up = since, False

    def waiting_since(self) -> float | None:
        return self.since

    def give_up(self) -> None:
        self.given_up = True


def admitted(wire: Wire, address: str, since: float | None) -> Holding:
    entry = wire.admit(address, 0.0)
    assert entry is not None
    entry.holder = Holding(since)
    return entry.holder


def test_connections_of_an_address_and_in_all() -> None:
    counted: list[str] = []
    wire = Wire(LIMITS, count=counted.append)
    first = [wire.admit("10.0.0.1", 0.0) for _ in range(4)]
    assert first[3] is None
    assert wire.admit("10.0.0.2", 0.0) is not None
    assert wire.admit("10.0.0.3", 0.5) is None  # all are young, so nobody is closed for it
    assert counted == ["connections", "connections"]
    for entry in first[:3]:
        assert entry is not None
        wire.leave(entry)
        wire.leave(entry)
    assert wire.admit("10.0.0.1", 0.0) is not None


def test_who_waits_longest_at_the_fullest_address_makes_room() -> None:
    wire = Wire(LIMITS)
    busy, old, young = (admitted(wire, "10.0.0.1", since) for since in (None, 2.0, 99.5))
    other = admitted(wire, "10.0.0.2", 1.0)
    assert wire.admit("10.0.0.3", 100.0) is not None
    assert [one.given_up for one in (busy, old, young, other)] == [False, True, False, True]


def test_a_handshake_that_does_not_end_makes_room() -> None:
    wire, ended = Wire(LIMITS), []
    for number in range(4):
        entry = wire.admit(f"10.0.0.{number}", 0.0)
        assert entry is not None
        entry.give_up = lambda number=number: ended.append(number)
    assert wire.admit("10.0.0.9", 5.0) is not None
    assert ended == [0, 1, 2, 3]


def test_memory_is_shared_and_given_back() -> None:
    wire = Wire(WireLimits(waiting_bytes=1024**2))
    assert wire.reserve(0, 1024**2, 0.0)
    assert not wire.reserve(0, 1, 0.0)
    assert wire.reserve(1024**2, 10, 0.0)
    assert wire.waiting_bytes == 10


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ([b"1.2.3.4"], "1.2.3.4"),
        ([b"9.9.9.9, 1.2.3.4, 10.0.0.8"], "1.2.3.4"),
        ([b"9.9.9.9", b"1.2.3.4"], "1.2.3.4"),
        ([b"1.2.3.4, nonsense"], None),
        ([b"10.0.0.8"], None),
        ([b""], None),
        ([], None),
        ([b"\xff\xfe"], None),
        ([b"2001:db8::1"], "2001:db8::1"),
    ],
)
def test_whom_a_trusted_proxy_names(said: list[bytes], address: str | None) -> None:
    wire = Wire(LIMITS, ["10.0.0.0/24", "::1"])
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value) for value in said)]
    assert wire.forwarded(headers) == address


def test_only_named_proxies_are_trusted_and_not_counted() -> None:
    wire = Wire(LIMITS, ["10.0.0.7"])
    assert [wire.trusts(address) for address in ("10.0.0.7", "::ffff:10.0.0.7", "10.0.0.8", "", "x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    entries = [wire.admit("10.0.0.7", 0.0) for _ in range(4)]
    assert all(entry is not None and entry.is_trusted for entry in entries)


def test_answers_take_turns() -> None:
    async def run() -> list[int]:
        turns, begun, seen = Turns(), [], []
        loop = asyncio.get_running_loop()
        for number in range(40):
            turns.take(lambda number=number: begun.append(number), loop)
        for _ in range(4):
            seen.append(len(begun))
            await asyncio.sleep(0)
        assert begun == list(range(40))
        return seen

    assert asyncio.run(run()) == [16, 32, 40, 40]


def test_the_private_listener_has_bounds_of_its_own() -> None:
    own = private_limits(WireLimits(private_connections=7, head_bytes=2048))
    assert (own.connections, own.connections_per_address, own.head_bytes) == (7, 8, 2048)


def test_fewer_files_fewer_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(wire_module.resource, "getrlimit", lambda _: (256, 1024))
    monkeypatch.setattr(wire_module.resource, "setrlimit", lambda _, limits: asked.append(limits))
    fewer = allow_files(WireLimits())
    assert (fewer.connections, fewer.connections_per_address) == (448, 448)
    monkeypatch.setattr(wire_module.resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    assert allow_files(WireLimits()) == WireLimits()
    assert asked == [(1024, 1024), (2576, resource.RLIM_INFINITY)]
