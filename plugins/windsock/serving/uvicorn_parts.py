"""Whether the installed uvicorn is one that the server's own protocol was tested with."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import PackageNotFoundError, version

TESTED = (0, 34), (0, 55)
"""First version, and first one beyond; the same range as in pyproject.toml."""
PROTOCOL_METHODS = (
    "connection_made",
    "connection_lost",
    "data_received",
    "on_message_begin",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "on_response_complete",
    "send_400_response",
    "pause_writing",
    "resume_writing",
    "shutdown",
    "timeout_keep_alive_handler",
    "_start_asgi_task",
    "_unset_keepalive_if_required",
)
PROTOCOL_FIELDS = (
    "app",
    "connections",
    "cycle",
    "flow",
    "headers",
    "limit_concurrency",
    "loop",
    "parser",
    "pipeline",
    "scope",
    "server_state",
    "tasks",
    "timeout_keep_alive",
    "timeout_keep_alive_task",
    "transport",
)
CYCLE_FIELDS = (
    "body",
    "disconnected",
    "keep_alive",
    "message_event",
    "response_complete",
    "response_started",
)
STATE_FIELDS = ("connections", "default_headers", "tasks", "total_requests")


def why_not_bounded() -> str | None:
    """Return why the server's own protocol cannot be used with the installed uvicorn; ``None``: it can."""
    try:
        installed = version("uvicorn")
    except PackageNotFoundError:
        return "the version of uvicorn is not known"
    found = re.match(r"(\d+)\.(\d+)", installed)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    if not TESTED[0] <= number < TESTED[1]:
        first, beyond = (".".join(map(str, part)) for part in TESTED)
        return f"uvicorn {installed} is not tested; from {first} to below {beyond} is"
    missing = missing_parts()
    return f"uvicorn {installed} lacks {', '.join(missing)}" if missing else None


def missing_parts() -> list[str]:
    """Return the private parts of uvicorn that the server's own protocol needs and that are not there."""
    try:
        from uvicorn.protocols.http.flow_control import FlowControl
        from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
        from uvicorn.server import Server, ServerState
    except ImportError as error:
        return [f"a part ({error.name})"]
    missing = [
        f"HttpToolsProtocol.{name}" for name in PROTOCOL_METHODS if not hasattr(HttpToolsProtocol, name)
    ]
    missing += _unset("HttpToolsProtocol", HttpToolsProtocol, PROTOCOL_FIELDS)
    missing += _unset("RequestResponseCycle", RequestResponseCycle, CYCLE_FIELDS)
    missing += _unset("ServerState", ServerState, STATE_FIELDS)
    missing += _unset("FlowControl", FlowControl, ("write_paused",))
    missing += [f"Server.{name}" for name in ("startup", "shutdown") if not hasattr(Server, name)]
    if "self.servers" not in inspect.getsource(Server.shutdown):
        missing.append("Server.servers")
    if not isinstance(STATUS_LINE.get(200), bytes):
        missing.append("STATUS_LINE")
    return missing


def _unset(name: str, kind: type, fields: tuple[str, ...]) -> list[str]:
    """Return the fields that a class does not set when it is made."""
    code = kind.__init__.__code__  # type: ignore[misc]
    return [f"{name}.{field}" for field in fields if field not in code.co_names]
