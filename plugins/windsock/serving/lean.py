"""The lean path: predictions without a web framework between the server and the model."""

from __future__ import annotations

import asyncio
import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from windsock.exceptions import WindsockError
from windsock.serving.answers import write_answers
from windsock.serving.clients import ClientRefusedError
from windsock.serving.contract import PredictRequest, read_predict
from windsock.serving.errors import FAILED, SECURITY_HEADERS, error_parts, json_bytes
from windsock.serving.places import place_of
from windsock.serving.predicting import predict
from windsock.serving.requests import read_body
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


class LeanPredict:
    """Answers ``POST /predict`` and ``POST /models/NAME/predict``; the app behind it answers all else.

    :param app: the documented API.
    :param predictor: answers.
    """

    def __init__(self, app: ASGIApp, predictor: Predictor) -> None:
        self.app = app
        self.predictor = predictor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] in CHANGING and self._is_of_a_page(scope):
            await _send(send, error_parts(PAGE_REFUSED))
            return
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            if path.endswith(SUFFIX):
                name = path[len(PREFIX) : -len(SUFFIX)] if path.startswith(PREFIX) else None
                if path == SUFFIX or (name and "/" not in name):
                    await _send(send, await self.predictor.answer(scope, receive, name))
                    return
        await self.app(scope, receive, send)

    def _is_of_a_page(self, scope: Scope) -> bool:
        """Return whether a web page sends this to a server that asks nobody for a key."""
        is_open = not self.predictor.service.clients.required
        return is_open and any(name == b"origin" for name, _ in scope["headers"])


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
            return 200, {}, await self._predict(scope, receive, name)
        except WindsockError as error:
            self.service.metrics.rejected(getattr(error, "reason", "unavailable"))
            return error_parts(error)
        except Exception as error:
            self.service.metrics.rejected("internal")
            log.error("WS-SERVING-018: %s", place_of(error))
            return 500, {}, json_bytes(FAILED)

    async def _predict(self, scope: Scope, receive: Receive, name: str | None) -> bytes:
        service = self.service
        receive_time = service.now()
        key, length = _headers(scope)
        client = service.clients.admit(key, "predict", name or service.only_name)
        body = await read_body(receive, length, service.limits)
        served = service.model(name)
        if name is None:  # which model it is may have changed since
            service.clients.admit(key, "predict", served.plan.model, 0)
        request = await read_request(served, body)
        answers = await predict(service, served, request, client=client, receive_time=receive_time)
        return write_answers(answers, single=request.single)


async def read_request(served: ServedModel, body: bytes) -> PredictRequest:
    """Return the request that a body holds; a large one that is not as usual is read in a thread.

    :raises RequestRefusedError: if it is none.
    """
    request = served.reader.read(body) if served.reader is not None else None
    if request is not None:
        return request
    if len(body) > LARGE_BODY:
        return await asyncio.to_thread(_read_strictly, body)
    return _read_strictly(body)


def _read_strictly(body: bytes) -> PredictRequest:
    return read_predict(read_json(body))


def _headers(scope: Scope) -> tuple[bytes | None, bytes | None]:
    """Return what names the client, and the length of the body."""
    authorization = key = length = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = authorization or value
        elif name == b"x-api-key":
            key = key or value
        elif name == b"content-length":
            length = value
    return authorization or key, length


async def _send(send: Send, answer: Answer) -> None:
    status, more, body = answer
    headers = [*HEADERS, (b"content-length", b"%d" % len(body))]
    if more:
        headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
