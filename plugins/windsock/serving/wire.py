"""``Wire``: the connections of one listener of a worker, counted and bounded before anybody is known."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Protocol

from windsock.exceptions import WindsockError
from windsock.settings import WireLimits

log = logging.getLogger(__name__)

LOG_SECONDS = 10.0
ROOM_SECONDS = 0.1
"""How often connections that wait are looked through, at most."""
YOUNG_SECONDS = 1.0
"""A connection that has waited for less than this is never closed to make room."""
STARTED_IN_A_TURN = 16
FILES = 512
"""Files that a worker opens beside its connections."""
MADE_ROOM = 100
"""Most connections that are closed at a time to make room."""
FULL = "WS-SERVING-060"
BOUNDS = "WS-SERVING-014"


def refusal(status: bytes, said: str, code: str, cure: str) -> bytes:
    """Return a whole answer to a request that never comes to the app; the connection is closed after it."""
    body = json.dumps({"error": said, "code": code, "next": cure}).encode()
    retry = b"retry-after: 1\r\n" if status.startswith(b"503") else b""
    return (
        b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-type: application/json\r\n%b"
        b"content-length: %d\r\n\r\n%b" % (status, retry, len(body), body)
    )


TOO_MANY = refusal(
    b"503 Service Unavailable",
    "the server holds as many connections as it may",
    FULL,
    "Use fewer connections at a time, or try again later.",
)


class TooManyError(WindsockError):
    """A request that there is no place for."""

    default_code = FULL
    default_next = "Use fewer connections at a time, or try again later."
    status = 503


class Holder(Protocol):
    """What a connection's protocol tells the :class:`Wire`."""

    def waiting_since(self) -> float | None:
        """Return since when nothing is in work, by the loop's clock; ``None``: something is."""

    def give_up(self) -> None:
        """Close the connection at once."""


class Entry:
    """One connection.

    :param address: whose it is.
    :param since: when it was accepted, by the loop's clock.
    :param is_trusted: whether it is of a trusted proxy, and not counted for its address.
    """

    __slots__ = ("address", "give_up", "holder", "is_trusted", "since")

    def __init__(self, address: str, since: float, *, is_trusted: bool) -> None:
        self.address, self.since, self.is_trusted = address, since, is_trusted
        self.holder: Holder | None = None
        self.give_up: Callable[[], Any] | None = None


class Turns:
    """Starts so many answers in one turn of the event loop; the others wait for the next.

    Hundreds of connections that send as fast as they can would otherwise make each turn so long that all
    else, such as the private listener, waits for seconds.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._next: asyncio.Handle | None = None

    def take(self, start: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Start now, or in a later turn."""
        if self._next is None:
            self._next = loop.call_soon(self._turn, loop)
        if self._taken < STARTED_IN_A_TURN and not self._waiting:
            self._taken += 1
            start()
        else:
            self._waiting.append(start)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._taken = min(STARTED_IN_A_TURN, len(self._waiting))
        self._next = loop.call_soon(self._turn, loop) if self._waiting else None
        for _ in range(self._taken):
            self._waiting.popleft()()


class Wire:
    """The connections of one listener: how many, whose, and how much memory their unfinished parts hold.

    :param limits: the bounds.
    :param trusted: addresses and networks of proxies whose X-Forwarded-For is believed.
    :param count: counts a refusal by one word.
    """

    def __init__(
        self,
        limits: WireLimits,
        trusted: Sequence[str] = (),
        count: Callable[[str], None] | None = None,
    ) -> None:
        self.limits = limits
        self.entries: dict[Entry, None] = {}
        self.waiting_bytes = 0
        self.in_work: Counter[str] = Counter()
        self.turns = Turns()
        self._by_address: Counter[str] = Counter()
        self._networks = [ip_network(network) for network in trusted]
        self._count = count
        self._looked = 0.0
        self._logged = -LOG_SECONDS
        self._unlogged = 0

    def admit(self, address: str, now: float) -> Entry | None:
        """Count a new connection; ``None``: there are too many.

        :param now: the loop's clock.
        """
        is_trusted = bool(self._networks) and self.trusts(address)
        if not is_trusted and self._by_address[address] >= self.limits.connections_per_address:
            self.refused("connections", f"one address has {self.limits.connections_per_address} connections")
            return None
        if len(self.entries) >= self.limits.connections:
            self.make_room(now)
        if len(self.entries) >= self.limits.connections:
            self.refused("connections", f"there are {self.limits.connections} connections")
            return None
        entry = Entry(address, now, is_trusted=is_trusted)
        self.entries[entry] = None
        if not is_trusted:
            self._by_address[address] += 1
        return entry

    def leave(self, entry: Entry) -> None:
        """Let a connection go; a second time changes nothing."""
        if entry not in self.entries:
            return
        del self.entries[entry]
        if not entry.is_trusted:
            self._by_address[entry.address] -= 1
            if not self._by_address[entry.address]:
                del self._by_address[entry.address]

    def make_room(self, now: float) -> None:
        """Close connections that only wait, first those of the address that has most, the longest first."""
        if now - self._looked < ROOM_SECONDS:
            return
        self._looked = now
        waiting = []
        for entry in self.entries:
            since = entry.since if entry.holder is None else entry.holder.waiting_since()
            if since is not None and now - since >= YOUNG_SECONDS:
                waiting.append((-self._by_address[entry.address], since, entry))
        waiting.sort(key=lambda one: one[:2])
        for _, _, entry in waiting[:MADE_ROOM]:
            self.leave(entry)
            if entry.holder is not None:
                entry.holder.give_up()
            elif entry.give_up is not None:
                entry.give_up()
        if waiting:
            self.refused("waiting", "connections that only waited were closed for others")

    def reserve(self, before: int, wanted: int, now: float) -> bool:
        """Change what a connection holds of the memory for unfinished parts; say whether it may.

        :param before: bytes that it holds.
        :param wanted: bytes that it needs.
        """
        self.waiting_bytes += wanted - before
        if wanted <= before or self.waiting_bytes <= self.limits.waiting_bytes:
            return True
        self.make_room(now)
        if self.waiting_bytes <= self.limits.waiting_bytes:
            return True
        self.waiting_bytes -= wanted - before
        self.refused("memory", "the memory for unfinished requests and unread answers is used up")
        return False

    def refused(self, reason: str, why: str) -> None:
        """Count what was refused; the log has one line in ten seconds."""
        if self._count is not None:
            self._count(reason)
        self._unlogged += 1
        now = time.monotonic()
        if now - self._logged >= LOG_SECONDS:
            log.warning("%s: %s; %d refused since the last such line", FULL, why, self._unlogged)
            self._logged, self._unlogged = now, 0

    def trusts(self, address: str) -> bool:
        """Return whether an address is a trusted proxy's."""
        try:
            known = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(known, "ipv4_mapped", None)
        return any(_within(mapped or known, network) for network in self._networks)

    def forwarded(self, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        """Return for whom a trusted proxy asks: the last address in X-Forwarded-For that is no such proxy's.

        :returns: ``None``, if it does not say so.
        """
        lines = [value for name, value in headers if name == b"x-forwarded-for"]
        for part in reversed(b",".join(lines).split(b",")):
            said = part.strip().decode("latin-1")
            try:
                address = str(ip_address(said))
            except ValueError:  # what stands before it was written by anybody
                return None
            if not self.trusts(address):
                return address
        return None


def _within(address: Any, network: IPv4Network | IPv6Network) -> bool:
    return bool(address.version == network.version and address in network)


def private_limits(limits: WireLimits) -> WireLimits:
    """Return the bounds of the private listener: its own number of connections, for any address.

    On loopback all who ask have one address: so the bound is that of all, beyond which those that only wait
    are closed for new ones.
    """
    most = limits.private_connections
    return limits.replace(connections=most, connections_per_address=most + 1)


def allow_files(limits: WireLimits) -> WireLimits:
    """Let the process open as many files as the connections need; return the bounds that are possible."""
    own = FILES + limits.private_connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = limits.connections + own
    if hard == resource.RLIM_INFINITY or needed <= hard:
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = max(1, hard - own)
    log.warning(
        "WS-SERVING-065: the system lets a process open %d files: at most %d connections, not %d",
        hard,
        most,
        limits.connections,
    )
    fewer = {"connections": most, "connections_per_address": min(most, limits.connections_per_address)}
    return WireLimits.model_validate({**limits.model_dump(), **fewer})
