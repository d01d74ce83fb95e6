"""Uvicorn's protocol within bounds: what a connection may cost before anybody is known."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from windsock.serving.one_write import OneWrite
from windsock.serving.wire import BOUNDS, FULL, Entry, Wire, refusal
from windsock.settings import WireLimits

LATE, TOO_LARGE, TOO_LONG, FULL_MEMORY = (
    refusal(status, said, code, cure)
    for status, said, code, cure in (
        (b"408 Request Timeout", "the request did not arrive in time", BOUNDS, "Send it in one go."),
        (
            b"431 Request Header Fields Too Large",
            "the request has too many headers, or too long ones",
            BOUNDS,
            "Send what belongs to the request only.",
        ),
        (
            b"413 Content Too Large",
            "the body has too long trailers, or too much that frames its chunks",
            BOUNDS,
            "Send larger chunks, without trailers and extensions.",
        ),
        (
            b"503 Service Unavailable",
            "the memory for unfinished requests is used up",
            FULL,
            "Send the request in one go, or try again later.",
        ),
    )
)
HOST = b"host"
WATCHED = frozenset((HOST, b"content-encoding", b"expect", b"origin", b"transfer-encoding", b"upgrade"))
"""A request with one of these headers, or with another number of ``Host`` than one, goes the long way."""
HEAD, BODY = 1, 2
"""What of a request is still to come; 0: nothing."""
LINES, SMALL, LARGE = 128, 512, 16 * 1024
"""A read with more lines is parsed in slices of ``SMALL`` bytes, another one in slices of ``LARGE``."""
WAITING_REQUEST = 6144
"""About the memory of a request that waits for the answer before its own."""
FRAMING = 8
"""Most bytes that frame a byte of a body, as in chunks of one byte each."""
CLOSE_SECONDS = 5.0
"""How long a closed connection may take to send what it holds, and a refused body to come to its end."""
BODY_GRACE = 5.0
"""How much later than the app, which answers, the connection ends a body that does not arrive."""
DEFAULTS = WireLimits()


class RefusedError(Exception):
    """Ends the parser's work on a connection that has been refused."""


class _Dropped(list[tuple[bytes, bytes]]):
    """A list that keeps nothing: trailers go there."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Keep nothing."""


DROPPED = _Dropped()


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol over :class:`OneWrite`; size, time and memory are bounded before anybody is known.

    :ivar wire: the connections that this one is counted among; ``None``: it stands alone, as in tests.
    :ivar entry: its place among them.
    """

    wire: Wire | None = None
    entry: Entry | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; its first request must begin soon."""
        self._limits = DEFAULTS if self.wire is None else self.wire.limits
        self._phase, self._is_new, self._is_usual, self._hosts = HEAD, False, True, 0
        self._head_is_in_count, self._rest = False, b""
        self._bytes = self._first_read = self._body_bytes = self._reserved = self._unread = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        super().connection_made(cast("asyncio.Transport", OneWrite(transport, self.loop)))
        if self.entry is not None:
            self.entry.holder = self
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go, and what it holds: nobody knows when the garbage collector comes."""
        self.headers, self._rest = DROPPED, b""
        self.pipeline.clear()
        cycle: Any = self.cycle
        if cycle is not None:
            cycle.body = bytearray()
        for timer in (self._head_timer, self._body_timer, self._write_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._release()
        if self.wire is not None and self.entry is not None:
            self.wire.leave(self.entry)
            self.entry.holder = None
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def _receive_in_slices(self, data: bytes) -> None:
        """Parse a large read in parts: it may hold thousands of headers or of requests, or a long trailer."""
        framing = end = counted = 0
        step = LARGE
        while end < len(data):
            begin, size = end, self._body_to_come()
            if size < LARGE:  # what is a body's alone is not counted: that takes longer than to parse it
                if begin >= counted:  # once for each window: to count takes as long as to parse
                    step = SMALL if data.count(b"\n", begin, begin + LARGE) > LINES else LARGE
                    counted = begin + LARGE
                size = max(size, step)
            end = begin + size
            body, part = self._body_so_far() if self._phase == BODY else 0, data[begin:end]
            super().data_received(part)
            framing += len(part) - (FRAMING + 1) * max(0, self._body_so_far() - body)
            if self._phase != BODY:
                framing = 0
            if self.transport.is_closing():
                return
            if self._phase == HEAD and len(self.headers or ()) > self._limits.head_count:
                self._refuse(TOO_LARGE)
            elif len(self.pipeline) >= self._limits.pipelined:
                self._rest = data[end:]
                return
            elif framing > self._limits.trailer_bytes:
                self._refuse(TOO_LONG)

    def _body_so_far(self) -> int:
        """Return how much of a body has come."""
        return self._body_bytes

    def _body_to_come(self) -> int:
        """Return how many of the next bytes are a body's and nothing else; 0: not known."""
        return 0

    def _take_stock(self, received: int) -> None:
        """Hold what is unfinished against the bounds, after a read."""
        if self.transport.is_closing():
            return
        limits = self._limits
        if self._is_new:  # how much of this read is the request's is not known, as others may stand before it
            self._is_new, self._bytes, self._first_read = False, 1, received
        else:
            self._bytes += received
        needed = len(self.pipeline) * WAITING_REQUEST + len(self._rest)
        if self._phase == HEAD:
            if self._bytes > limits.head_bytes or len(self.headers or ()) > limits.head_count:
                self._refuse(TOO_LARGE)
                return
            self._head_is_in_count = True
            needed += 2 * (self._bytes + self._first_read)  # the bytes, and the objects that they become
            if self._head_timer is None:
                self._watch_head()
        elif self._phase == BODY:
            needed += self._body_needs()
        if self.transport.is_closing():
            return
        if needed != self._reserved and not self._reserve(needed):
            self._refuse(FULL_MEMORY)

    def _body_needs(self) -> int:
        """Return the bytes that frame a body; too many of them end the connection."""
        if self._head_is_in_count:
            self._head_is_in_count, self._bytes = False, 1
        if self._body_timer is None:
            seconds = self._limits.body_seconds + BODY_GRACE
            self._body_timer = self.loop.call_later(seconds, self._refuse, LATE)
        if self._bytes - (FRAMING + 1) * self._body_bytes > self._limits.trailer_bytes:
            self._refuse(TOO_LONG)
        cycle: Any = self.cycle
        unread = 0 if cycle is None or cycle.response_complete else len(cycle.body)
        return max(0, self._bytes - self._body_bytes) + unread

    def _reserve(self, needed: int) -> bool:
        may = self.wire is None or self.wire.reserve(self._reserved, needed, self.loop.time())
        if may:
            self._reserved = needed
        return may

    def on_message_begin(self) -> None:
        """Begin a request; what uvicorn makes for an app is made when one gets it."""
        self._phase, self._is_new, self._hosts = HEAD, True, 0
        self._idle_since = None
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._is_usual = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        name = name.lower()
        if name in WATCHED:
            if name == HOST:
                self._hosts += 1
            else:
                self._is_usual = False
                if name == b"expect" and value.lower() == b"100-continue":
                    self.expect_100_continue = True
        self.headers.append((name, value))

    def on_response_complete(self) -> None:
        """Go on after an answer; a body that nobody wants any more must end soon."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()  # uvicorn would read on, however many wait
        elif self._rest:
            self.flow.pause_reading()
            self.loop.call_soon(self._go_on)
        if self._reserved:
            self._reserve(len(self.pipeline) * WAITING_REQUEST + len(self._rest))
        if self.cycle.response_complete:
            self.cycle.body = bytearray()
        if self._phase == BODY and self.cycle.response_complete and not self.transport.is_closing():
            if self._body_timer is not None:
                self._body_timer.cancel()
            self._body_timer = self.loop.call_later(CLOSE_SECONDS, self._refuse, None)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start to answer: so many requests at a time that other connections have their turn."""
        if self.wire is None:
            super()._start_asgi_task(cycle, app)
        else:
            self.wire.turns.take(partial(super()._start_asgi_task, cycle, app), self.loop)

    def _go_on(self) -> None:
        """Go on with a read of which only a part has been parsed."""
        rest, self._rest = self._rest, b""
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(rest)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless the connection is closed already or earlier answers stand out."""
        if self.transport.is_closing():
            return
        if self._may_be_refused():
            super().send_400_response(msg)
        else:
            self._refuse(None)

    def pause_writing(self) -> None:
        """Note that the client reads no answers."""
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        if self.wire is not None and not self.wire.reserve(0, self._unread, self.loop.time()):
            self._unread = 0
            self.give_up()
        else:
            self._write_timer = self.loop.call_later(self._limits.write_seconds, self.give_up)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self.wire is not None:
            self.wire.reserve(self._unread, 0, 0.0)
        self._unread = 0

    def waiting_since(self) -> float | None:
        """Return since when nothing is in work, by the loop's clock; ``None``: something is."""
        cycle: Any = self.cycle
        if self.entry is None or (cycle is not None and not cycle.response_complete):
            return None
        if self._head_timer is not None:
            return self._head_timer.when() - self._limits.head_seconds
        if self._idle_since is not None:
            return self._idle_since
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        return self.entry.since

    def give_up(self) -> None:
        """Close the connection at once."""
        self._release()
        self.transport.abort()

    def _release(self) -> None:
        if self.wire is not None:
            self.wire.reserve(self._reserved + self._unread, 0, 0.0)
        self._reserved = self._unread = 0

    def _watch_idle(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        """Close a connection on which nothing came for as long as uvicorn allows.

        One timer looks on for many answers: to set one at each of them costs as much as reading a request.
        """
        self._idle_timer = None
        if self._idle_since is None:  # something came, or its answer is uvicorn's to watch
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._watch_idle(left)
        else:
            self.timeout_keep_alive_handler()

    def _watch_head(self) -> None:
        self._head_timer = self.loop.call_later(self._limits.head_seconds, self._refuse, LATE)

    def _unwatch_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_again(self) -> None:
        """Watch an idle connection on which something came that began no request, such as an empty line."""
        cycle: Any = self.cycle
        answered = cycle is None or cycle.response_complete
        if answered and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._idle_since = self.loop.time()
            self._watch_idle(self.timeout_keep_alive)

    def _may_be_refused(self) -> bool:
        """Return whether an answer can be written that is not an earlier request's."""
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            return not (self._phase == BODY and cycle is not None)
        return self._phase == BODY and not self.pipeline and not cycle.response_started

    def _refuse(self, answer: bytes | None) -> None:
        """Close a connection whose request is out of bounds.

        :param answer: what to say before; ``None``: nothing. Nothing is said to who has sent nothing, either.
        """
        self._unwatch_head()
        if self.transport.is_closing():
            return
        has_begun = self._is_new or self._bytes > 0
        if answer is not None and has_begun and self._may_be_refused():
            self.transport.write(answer)
        self._rest = b""
        if self._phase == HEAD:
            self.headers = []
        if self.wire is not None and has_begun:
            self.wire.refused("wire", "a request was out of the bounds of size or time")
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
