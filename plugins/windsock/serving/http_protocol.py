"""HTTP as uvicorn speaks it, with an answer's headers and body in one write."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from windsock.serving.lean import HEADERS, Answer, LeanPredict, Waiting, answer_headers, model_asked

END_OF_HEADERS = b"\r\n\r\n"
BEGIN_OF_ANSWER = b"HTTP/1.1 "
LATE, TOO_LARGE = b"408 Request Timeout", b"431 Request Header Fields Too Large"
LAST_HEADERS = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
HEAD_BYTES = 64 * 1024
"""Most bytes of a request's line and headers, beyond the read that they began in."""
HEAD_SECONDS = 30.0
"""Longest time from a connection, or from a request's first byte, to the end of its head."""
OK = 200
AT_ONCE = 16
"""Most requests of one read that are answered before others have their turn."""
UNUSUAL = frozenset((b"expect", b"origin", b"transfer-encoding", b"upgrade"))
"""A request with one of these headers goes the long way."""
LONGEST_ADDRESS = 300
PLAIN_ADDRESS = re.compile(rb"[/\w.~-]+")


class OneWrite:
    """A transport that holds an answer's headers back until its body comes, or the loop's next turn.

    A write to a socket costs as much as reading a request: one for headers and body instead of two.

    :param transport: the connection's.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write, or hold back."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.endswith(END_OF_HEADERS) and data.startswith(BEGIN_OF_ANSWER):
            self._held = data
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write what is held back."""
        if self._held:
            data, self._held = self._held, b""
            self._transport.write(data)

    def close(self) -> None:
        """Write what is held back, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's protocol over :class:`OneWrite`; size and time of a request's head are bounded.

    A prediction request that has come whole is answered at once, without a task and without ASGI between
    the parser and the model: that costs as much as the prediction. All else, and what must be waited for,
    goes the way that uvicorn goes. Both ways share the :class:`~windsock.serving.lean.Predictor`.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; its first request must begin soon."""
        self._head_is_open, self._head_bytes, self._is_usual = True, 0, True
        self._head_timer: asyncio.TimerHandle | None = None
        self._predictor = self.app.predictor if isinstance(self.app, LeanPredict) else None
        self._held: bytes | None = None
        self._at_once = 0
        self._idle_since: float | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        super().connection_made(cast("asyncio.Transport", OneWrite(transport, self.loop)))
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go."""
        self._unwatch_head()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is too long or does not end closes the connection."""
        self._at_once = AT_ONCE
        self._head_bytes += len(data)
        super().data_received(data)
        if self._held is not None and not self.transport.is_closing():
            self._give_to_app()  # the rest of its body is still to come
        if not self._head_is_open:
            self._unwatch_head()
            return
        if self._head_bytes > HEAD_BYTES:
            self._refuse(TOO_LARGE)
        elif self._head_timer is None:
            self._watch_head()

    def on_message_begin(self) -> None:
        """Begin a request; what uvicorn makes for an app is made when one gets it."""
        # How much of this read is its head is not known, as others may stand before it.
        self._head_is_open, self._head_bytes = True, 1
        self._idle_since = None
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._is_usual = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        name = name.lower()
        if name in UNUSUAL:
            self._is_usual = False
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """End a request's head."""
        self._head_is_open = False
        if self._predictor is not None and self._may_be_answered_at_once():
            self._held = b""
        else:
            self._give_to_app()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        """End a request: one that was held back is answered."""
        if self._held is None:
            super().on_message_complete()
            return
        body, self._held = self._held, None
        predictor, name = self._predictor, _model_asked(self.url)
        if predictor is None or name is None:  # such a request is never held back
            return
        answer = predictor.begin(self.headers, body, name or None)
        if isinstance(answer, tuple):
            self._write(answer)
        else:
            self._give_to_app(Waiting(answer))
            super().on_message_complete()

    def _may_be_answered_at_once(self) -> bool:
        """Return whether a request is for predictions, and nothing about it is unusual but its body.

        Only a few of those that come in one read: one connection must not hold up the others.
        """
        parser, limit = self.parser, self.limit_concurrency
        cycle: Any = self.cycle
        return (
            self._at_once > 0
            and parser.get_method() == b"POST"
            and len(self.url) <= LONGEST_ADDRESS
            and _model_asked(self.url) is not None
            and (cycle is None or cycle.response_complete)
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and (limit is None or (len(self.connections) < limit and len(self.tasks) < limit))
            and self._is_usual
        )

    def _give_to_app(self, app: Any = None) -> None:
        """Go on with a request whose head has been read as uvicorn does.

        :param app: who answers it; default: the app.
        """
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        body, self._held = self._held, None
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        own, self.app = self.app, app or self.app
        try:
            super().on_headers_complete()
        finally:
            self.app = own
        if body:
            super().on_body(body)

    def _write(self, answer: Answer) -> None:
        """Write a whole answer."""
        self._at_once -= 1
        self.server_state.total_requests += 1
        status, more, body = answer
        if status == OK and not more:
            head = _head_of_ok(self.server_state.default_headers)
            self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        else:
            headers = [*self.server_state.default_headers, *answer_headers(answer)]
            lines = b"".join([b"%b: %b\r\n" % header for header in headers])
            self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], lines, body))
            if more.get("Connection") == "close":
                self.transport.close()
                return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._watch_idle(self.timeout_keep_alive)

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
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, LATE)

    def _unwatch_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: bytes) -> None:
        """Close a connection whose request never came to an app."""
        self._unwatch_head()
        if not self.transport.is_closing():
            if self._head_bytes:
                self.transport.write(BEGIN_OF_ANSWER + status + LAST_HEADERS)
            self.transport.close()


@lru_cache(maxsize=256)
def _model_asked(url: bytes) -> str | None:
    """Return the model that a plainly written address asks; ``None``: it asks none, or must be looked at."""
    return model_asked(url.decode()) if PLAIN_ADDRESS.fullmatch(url) is not None else None


_ok: tuple[Any, bytes] = (None, b"")


def _head_of_ok(default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the head of an answer, up to its length; uvicorn makes its headers anew each second."""
    global _ok
    known, head = _ok
    if known is not default_headers:
        lines = [b"%b: %b\r\n" % header for header in [*default_headers, *HEADERS]]
        head = STATUS_LINE[OK] + b"".join(lines) + b"content-length: "
        _ok = default_headers, head
    return head
