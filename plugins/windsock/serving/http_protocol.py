"""HTTP as uvicorn speaks it, but for predictions: they are answered between parser and model."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from windsock.serving.bounded_protocol import (
    BODY,
    DROPPED,
    HEAD,
    LARGE,
    LINES,
    SMALL,
    TOO_LARGE,
    BoundedProtocol,
    RefusedError,
)
from windsock.serving.lean import HEADERS, Answer, LeanPredict, Waiting, answer_headers, model_asked
from windsock.serving.proxied import CountedApp

OK = 200
AT_ONCE = 16
"""Most requests of one read that are answered before others have their turn."""
LONGEST_ADDRESS = 300
PLAIN_ADDRESS = re.compile(rb"[/\w.~-]+")


class HttpProtocol(BoundedProtocol):
    """Uvicorn's protocol within bounds, and a shorter way for predictions.

    A prediction request that has come whole is answered at once, without a task and without ASGI between
    the parser and the model: that costs as much as the prediction. All else, and what must be waited for,
    goes the way that uvicorn goes. Both ways share the :class:`~windsock.serving.lean.Predictor`.

    :ivar is_private: whether it is of the private listener, which answers no predictions.
    """

    is_private = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        may_predict = isinstance(self.app, LeanPredict) and not self.is_private
        self._predictor = self.app.predictor if may_predict else None
        self._held: bytes | None = None
        self._read_at = 0.0
        self._at_once = 0
        self._is_proxied = self.entry is not None and self.entry.is_trusted
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes; what is out of bounds closes the connection."""
        self._at_once = AT_ONCE
        self._read_at = monotonic()
        if self._rest:
            self._rest += data
        elif len(data) <= SMALL or (len(data) <= LARGE and data.count(b"\n") <= LINES):
            super().data_received(data)
        else:
            self._receive_in_slices(data)
        if self._held is not None and not self.transport.is_closing():
            self._give_to_app()  # the rest of its body is still to come
        if self._phase or self.pipeline or self._reserved:
            self._take_stock(len(data))
        elif self._idle_timer is None:
            self._watch_again()
        if not self._phase:
            self._unwatch_head()

    def _body_so_far(self) -> int:
        return self._body_bytes if self._held is None else len(self._held)

    def _body_to_come(self) -> int:
        """Return what is left of a body of a known length that is held back: it needs no cutting up.

        Its request has no ``Transfer-Encoding``; the parser has checked the length.
        """
        if self._held is None:
            return 0
        length = next((int(value) for name, value in self.headers if name == b"content-length"), 0)
        return length - len(self._held)

    def on_headers_complete(self) -> None:
        """End a request's head."""
        self._phase = BODY
        if self._predictor is not None and self._may_be_answered_at_once():
            self._held = b""
        elif len(self.headers) > self._limits.head_count:
            self._phase = HEAD
            self._refuse(TOO_LARGE)
            raise RefusedError
        else:
            self._give_to_app()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if self._held is None:
            self._body_bytes += len(body)
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        """End a request: one that was held back is answered."""
        self._phase = 0
        if self._held is None:
            if self._body_timer is not None:
                self._body_timer.cancel()
                self._body_timer = None
            super().on_message_complete()
            return
        body, self._held = self._held, None
        predictor, name = self._predictor, _model_asked(self.url)
        if predictor is None or name is None:  # such a request is never held back
            return
        answer = predictor.begin(self.headers, body, name or None, self._read_at)
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
            and self._hosts == 1
            and len(self.headers) <= self._limits.head_count
        )

    def _give_to_app(self, app: Any = None) -> None:
        """Go on with a request whose head has been read as uvicorn does.

        :param app: who answers it; default: the app.
        """
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        body, self._held = self._held, None
        HttpToolsProtocol.on_message_begin(self)  # ours makes less
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        own, self.app = self.app, app or self.app
        if self._is_proxied:
            self.app = self._for_another(self.app)
        try:
            super().on_headers_complete()
        finally:
            self.app = own
        self.headers = DROPPED
        if self.parser.should_upgrade():  # what follows is in no protocol that is spoken here
            self.cycle.keep_alive = False
        self._body_bytes = 0
        if body:
            self._body_bytes = len(body)
            super().on_body(body)

    def _for_another(self, app: Any) -> Any:
        """Return the app for a request that a trusted proxy passes on, and note whose it is."""
        address = self.wire.forwarded(self.headers) if self.wire is not None else None
        if self.wire is None or address is None:
            return app
        self.scope["client"] = (address, 0)
        return CountedApp(app, self.wire, address)

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
