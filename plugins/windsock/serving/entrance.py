"""What a request's head must say, and which paths each listener answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from windsock.exceptions import WindsockError
from windsock.serving.strict_json import Fault, RequestRefusedError

PRIVATE = "windsock.private"
"""Key of the ASGI scope of a request that came to the private listener."""
PRIVATE_PATHS = frozenset(
    ("/health", "/ready", "/metrics", "/ping", "/version", "/v2", "/v2/health/live", "/v2/health/ready")
)


class NotHereError(WindsockError):
    """A path that another listener answers."""

    default_code = "WS-SERVING-064"
    status = 404
    reason = "elsewhere"


ELSEWHERE = NotHereError(
    "the private listener answers health, metrics and admin calls only",
    next_action="Ask the server's first address for predictions and all else.",
)
ADMIN_ELSEWHERE = NotHereError(
    "admin calls are answered at the private listener only",
    next_action="Set WINDSOCK_ADMIN_URL to its address, which server.json names as `private`.",
)


class Head(NamedTuple):
    """What is looked at in a request's head.

    :param hosts: how many ``Host`` it has.
    :param encoding: how the body is encoded, by ``Content-Encoding``.
    :param transfer: how it is transferred, by ``Transfer-Encoding``.
    :param origin: whether it comes from a web page.
    """

    hosts: int
    encoding: bytes
    transfer: bytes
    origin: bool


def read_head(headers: Sequence[tuple[bytes, bytes]]) -> Head:
    """Return what is looked at in a head.

    :param headers: names in lower case, and values.
    """
    hosts, origin = 0, False
    encodings: list[bytes] = []
    transfers: list[bytes] = []
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-encoding":
            encodings.append(value)
        elif name == b"transfer-encoding":
            transfers.append(value)
        elif name == b"origin":
            origin = True
    return Head(hosts, b",".join(encodings), b",".join(transfers), origin)


def head_fault(head: Head, http_version: str) -> RequestRefusedError | None:
    """Return what is wrong with a request's head.

    :param http_version: ``1.0`` needs no ``Host``.
    """
    if head.hosts > 1 or (head.hosts == 0 and http_version != "1.0"):
        got = "none" if head.hosts == 0 else "several"
        return RequestRefusedError(400, "host", Fault("Host", got, "exactly one"), code="WS-SERVING-061")
    if any(part.strip().lower() not in (b"", b"identity") for part in head.encoding.split(b",")):
        fault = Fault("Content-Encoding", "an encoding that is not supported", "a body that is not encoded")
        return RequestRefusedError(415, "encoding", fault, code="WS-SERVING-062")
    if head.transfer and head.transfer.strip().lower() != b"chunked":
        fault = Fault("Transfer-Encoding", "a coding that is not supported", "chunked, or Content-Length")
        return RequestRefusedError(415, "encoding", fault, code="WS-SERVING-062")
    return None


def is_private_path(path: str) -> bool:
    """Return whether the private listener answers a path."""
    return path in PRIVATE_PATHS or is_admin_path(path)


def is_admin_path(path: str) -> bool:
    """Return whether a path is an admin call's."""
    return path.startswith("/admin/")
