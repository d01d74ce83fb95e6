"""Errors as JSON, security headers, and a last net: no answer ever holds a value, a path or a traceback."""

from __future__ import annotations

import json
import logging
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from windsock.exceptions import (
    DeploymentRefusedError,
    ServerUnavailableError,
    StaleEpochError,
    UnverifiedBundleError,
    WindsockError,
)
from windsock.serving.metrics import Metrics
from windsock.serving.places import place_of
from windsock.serving.slots import UnanswerableError
from windsock.serving.strict_json import RequestRefusedError

log = logging.getLogger(__name__)

SECURITY_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}


class AdminRefusedError(WindsockError):
    """An admin call without the admin token, or with a wrong one."""

    default_code = "WS-SERVING-016"
    default_next = "Send the admin token that `windsock keys init` made, as `Authorization: Bearer TOKEN`."

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotAcknowledgedError(ServerUnavailableError):
    """Not every worker serves by the new table yet; it stands and they go on trying."""

    default_code = "WS-SERVING-015"
    default_next = "Read the server's log; the same call again waits again."


STATUS: tuple[tuple[type[WindsockError], int], ...] = (
    (StaleEpochError, 409),
    (DeploymentRefusedError, 422),
    (UnverifiedBundleError, 422),
    (UnanswerableError, 422),
    (NotAcknowledgedError, 504),
)
FAILED = {
    "error": "the server failed at this request",
    "code": "WS-SERVING-018",
    "next": "Read the server's log; it names the place.",
}
UNAVAILABLE = 503
"""Status of all other errors of ours: settings, storage, slots. They may pass."""


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in JSON without NaN."""
    return Response(json_bytes(content), status_code=status, media_type="application/json", headers=headers)


def json_bytes(content: Any) -> bytes:
    """Return JSON without NaN."""
    return json.dumps(content, allow_nan=False, ensure_ascii=False).encode()


def error_response(error: WindsockError) -> Response:
    """Return an error of ours as JSON: ``error``, ``code``, ``next``; ``detail`` of an invalid request."""
    status, headers, content = error_parts(error)
    return Response(content, status_code=status, media_type="application/json", headers=headers)


def error_parts(error: WindsockError) -> tuple[int, dict[str, str], bytes]:
    """Return an error's status, headers and body."""
    content: dict[str, Any] = {"error": error.message, "code": error.code, "next": error.next_action}
    headers: dict[str, str] = dict(getattr(error, "headers", {}))
    if isinstance(error, RequestRefusedError):
        content["error"] = "the request is not what the contract says"
        content["detail"] = [
            {"field": fault.field, "got": fault.got, "expected": fault.expected} for fault in error.faults
        ]
        if error.status in (408, 413):
            headers["Connection"] = "close"
    status = status_of(error)
    if status in (401, 403) and isinstance(error, AdminRefusedError):
        headers["WWW-Authenticate"] = "Bearer"
    if status == UNAVAILABLE:
        headers["Retry-After"] = "1"
    return status, headers, json_bytes(content)


def status_of(error: WindsockError) -> int:
    """Return the HTTP status of an error of ours."""
    own = getattr(error, "status", None)
    if isinstance(own, int):
        return own
    return next((known for kind, known in STATUS if isinstance(error, kind)), UNAVAILABLE)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, WindsockError)  # noqa: S101 - it is registered for these only
    return error_response(error)


async def _web(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 422
    what = {404: "there is no such page", 405: "this page does not take this method"}
    content = {
        "error": what.get(status, "the request cannot be read"),
        "code": "WS-SERVING-017",
        "next": "Look at GET /docs for what this server answers.",
    }
    headers = getattr(error, "headers", None)
    return json_response(content, status, dict(headers) if headers else None)


def add_error_handlers(app: FastAPI) -> None:
    """Let the app answer every error as JSON, without anything of the request in it."""
    app.add_exception_handler(WindsockError, _ours)
    app.add_exception_handler(HTTPException, _web)
    app.add_exception_handler(RequestValidationError, _web)


class Guard:
    """Outermost layer: security headers on every answer; an unforeseen error becomes a plain 500.

    :param app: the app.
    :param metrics: where such errors are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = False

        async def guarded_send(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                given = {name.lower() for name, _ in message["headers"]}
                own = [(name, value) for name, value in SECURITY_HEADERS.items() if name not in given]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        try:
            await self.app(scope, receive, guarded_send)
        except Exception as error:
            self.metrics.rejected("internal")
            log.error("WS-SERVING-018: %s", place_of(error))
            if began:
                raise ConnectionAbortedError from None  # the server closes the connection
            await json_response(FAILED, 500)(scope, receive, guarded_send)
