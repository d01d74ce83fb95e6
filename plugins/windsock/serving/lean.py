"""The lean path: predictions without a web framework between the server and the model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from windsock.exceptions import WindsockError
from windsock.serving.answers import RowAnswer, write_answers
from windsock.serving.clients import ClientRefusedError
from windsock.serving.contract import PredictRequest, Sender, read_predict
from windsock.serving.entrance import (
    ADMIN_ELSEWHERE,
    ELSEWHERE,
    PRIVATE,
    head_fault,
    is_admin_path,
    is_private_path,
    read_head,
)
from windsock.serving.errors import FAILED, SECURITY_HEADERS, error_parts, json_bytes
from windsock.serving.places import place_of
from windsock.serving.predicting import begin_to_predict
from windsock.serving.requests import check_length, read_body
from windsock.serving.served import ServedModel
from windsock.serving.service import Service
from windsock.serving.strict_json import read_json

log = logging.getLogger(__name__)

HEADERS = [
    (b"content-type", b"application/json"),
    *((name, SECURITY_HEADERS[name]) for name in (b"x-content-type-options", b"cache-control")),
    (b"content-security-policy", SECURITY_HEADERS[b"content-security-policy"]),
]
"""Those that mean something for JSON; the server looks at each header of each answer."""
PREFIX, SUFFIX = "/models/", "/predict"
LARGE_BODY = 64 * 1024
CHANGING = frozenset(("POST", "PUT", "PATCH", "DELETE"))
PAGE_REFUSED = ClientRefusedError(
    "a web page may not ask a server without clients",
    status=403,
    code="WS-SERVING-042",
    next_action="Set up clients (`windsock clients add`) and send a key, or ask from a program.",
)
"""Any page that somebody of this machine looks at could tell outcomes otherwise."""

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers beyond the usual ones, body."""
Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""


class LeanPredict:
    """Answers ``POST /predict`` and ``POST /models/NAME/predict``; the app behind it answers all else.

    Before either, what a head says is held against what is spoken here, and the private listener answers
    nothing but health and admin.

    :param app: the documented API.
    :param predictor: answers.
    :param private_port: port of the private listener; ``None``: there is none.
    """

    def __init__(self, app: ASGIApp, predictor: Predictor, *, private_port: int | None = None) -> None:
        self.app = app
        self.predictor = predictor
        self.private_port = private_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            self.predictor.service.metrics.rejected(getattr(refusal, "reason", "unavailable"))
            await send_answer(send, error_parts(refusal))
            return
        if scope["method"] == "POST":
            name = model_asked(scope["path"])
            if name is not None:
                await send_answer(send, await self.predictor.answer(scope, receive, name or None))
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> WindsockError | None:
        """Return why a request is not looked at any further; ``None``: it is."""
        head = read_head(scope["headers"])
        fault = head_fault(head, scope["http_version"])
        if fault is not None:
            return fault
        service = self.predictor.service
        server = scope.get("server")
        if self.private_port is not None and server is not None and server[1] == self.private_port:
            scope[PRIVATE] = True
            if not is_private_path(scope["path"]):
                return ELSEWHERE
        elif not service.settings.public_admin and is_admin_path(scope["path"]):
            return ADMIN_ELSEWHERE
        if head.origin and scope["method"] in CHANGING and not service.clients.required:
            return PAGE_REFUSED
        return None


def model_asked(path: str) -> str | None:
    """Return the model whose predictions a path asks for.

    :returns: empty for the only one; ``None`` if the path asks for no predictions.
    """
    if path == SUFFIX:
        return ""
    if not (path.startswith(PREFIX) and path.endswith(SUFFIX)):
        return None
    name = path[len(PREFIX) : -len(SUFFIX)]
    return name if name and "/" not in name else None


class Predictor:
    """Prediction requests of one worker, from their bytes to their answers' bytes.

    :param service: what is served.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    async def answer(self, scope: Scope, receive: Receive, name: str | None) -> Answer:
        """Return the answer to a prediction request, also to a wrong one.

        :param name: the model's; ``None``: the only one.
        """
        try:
            caller = self._caller(scope["headers"], name)
            body = await read_body(receive, caller.length, self.service.limits)
            caller.sender.began = monotonic()
            content = self._begin(caller, body, name)
            return 200, {}, content if isinstance(content, bytes) else await content
        except Exception as error:
            return self._refusal(error)

    def begin(
        self, headers: Headers, body: bytes, name: str | None, began: float | None = None
    ) -> Answer | Coroutine[Any, Any, Answer]:
        """Do what :meth:`answer` does with a request that has come whole, as far as it need not wait.

        :param began: when its last byte was read, by the monotonic clock; default: now.
        :returns: the answer; else what must be awaited, once, for it.
        """
        try:
            caller = self._caller(headers, name)
            caller.sender.began = monotonic() if began is None else began
            check_length(len(body), self.service.limits)
            content = self._begin(caller, body, name)
        except Exception as error:
            return self._refusal(error)
        return (200, {}, content) if isinstance(content, bytes) else self._wait_for(content)

    async def _wait_for(self, content: Coroutine[Any, Any, bytes]) -> Answer:
        try:
            return 200, {}, await content
        except Exception as error:
            return self._refusal(error)

    def _refusal(self, error: Exception) -> Answer:
        if isinstance(error, WindsockError):
            self.service.metrics.rejected(getattr(error, "reason", "unavailable"))
            return error_parts(error)
        self.service.metrics.rejected("internal")
        log.error("WS-SERVING-018: %s", place_of(error))
        return 500, {}, json_bytes(FAILED)

    def _caller(self, headers: Headers, name: str | None) -> _Caller:
        service = self.service
        receive_time = service.now()
        authorization = key = length = None
        for header, value in headers:
            if header == b"authorization":
                authorization = authorization or value
            elif header == b"x-api-key":
                key = key or value
            elif header == b"content-length":
                length = value
        key = authorization or key
        client = service.clients.admit(key, "predict", name or service.only_name)
        return _Caller(key, length, Sender(client, receive_time))

    def _begin(self, caller: _Caller, body: bytes, name: str | None) -> bytes | Coroutine[Any, Any, bytes]:
        """Answer a request whose body is there, as far as nothing must be waited for."""
        served = self.service.model(name)
        if name is None:  # which model it is may have changed since
            self.service.clients.admit(caller.key, "predict", served.plan.model, 0)
        request = served.reader.read(body) if served.reader is not None else None
        if request is None:
            if len(body) > LARGE_BODY:
                return self._read_apart(served, body, caller.sender)
            request = _read_strictly(body)
        answers = begin_to_predict(self.service, served, request, caller.sender)
        if isinstance(answers, list):
            return write_answers(answers, single=request.single)
        return _written(answers, single=request.single)

    async def _read_apart(self, served: ServedModel, body: bytes, sender: Sender) -> bytes:
        """Answer a large request that is not as usual: it is read in a thread."""
        request = await asyncio.to_thread(_read_strictly, body)
        answers = begin_to_predict(self.service, served, request, sender)
        return write_answers(answers if isinstance(answers, list) else await answers, single=request.single)


class _Caller(NamedTuple):
    """Who asks, by which key, and how long the body is by its header."""

    key: bytes | None
    length: bytes | None
    sender: Sender


async def _written(answers: Coroutine[Any, Any, list[RowAnswer]], *, single: bool) -> bytes:
    return write_answers(await answers, single=single)


def _read_strictly(body: bytes) -> PredictRequest:
    return read_predict(read_json(body))


class Waiting:
    """An ASGI app that sends one answer which is still to come.

    :param answer: what must be awaited for it.
    """

    def __init__(self, answer: Coroutine[Any, Any, Answer]) -> None:
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send_answer(send, await self.answer)


def answer_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return all headers of an answer."""
    _, more, body = answer
    headers = [*HEADERS, (b"content-length", b"%d" % len(body))]
    if more:
        headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
    return headers


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole answer."""
    headers = answer_headers(answer)
    await send({"type": "http.response.start", "status": answer[0], "headers": headers})
    await send({"type": "http.response.body", "body": answer[2]})
