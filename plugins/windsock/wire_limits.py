"""What the server bounds before it knows who asks, as its environment says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from windsock.exceptions import SettingsError
from windsock.spec import Frozen
from windsock.spec.faults import closest

PREFIX = "WINDSOCK_SERVING_"


class WireLimits(Frozen):
    """What one worker of the server bounds before it knows who asks; each is a variable of the environment.

    ``head_bytes`` is ``WINDSOCK_SERVING_HEAD_BYTES``, and so on.

    :param head_bytes: most bytes of a request's line and headers, beyond the read that they began in.
    :param head_count: most headers of a request.
    :param head_seconds: longest time from a connection, or a request's first byte, to the end of its head.
    :param body_bytes: largest body of a request.
    :param body_seconds: longest time that a body may take to arrive, trailers included.
    :param trailer_bytes: most bytes of trailers, and of what frames the chunks of a body beyond eight for
        each byte of it.
    :param idle_seconds: longest time that a connection may wait for its next request.
    :param write_seconds: longest time that a client may leave an answer unread.
    :param handshake_seconds: longest time of a TLS handshake.
    :param connections: most connections.
    :param connections_per_address: most connections of one address that is no trusted proxy; behind a trusted
        proxy: most requests in work of one address.
    :param pipelined: so many requests of a connection may wait for the answer before theirs; what has come
        behind them is not looked at until they are answered.
    :param waiting_bytes: memory for unfinished heads, waiting requests and unread answers of all connections.
    :param private_connections: most connections of the private listener, beside the others.
    """

    head_bytes: int = Field(default=64 * 1024, ge=1024, le=1024**2)
    head_count: int = Field(default=100, ge=8, le=10_000)
    head_seconds: float = Field(default=30.0, gt=0, le=3600)
    body_bytes: int = Field(default=1024**2, ge=1024, le=1024**3)
    body_seconds: float = Field(default=30.0, gt=0, le=3600)
    trailer_bytes: int = Field(default=16 * 1024, ge=0, le=1024**2)
    idle_seconds: float = Field(default=75.0, gt=0, le=3600)
    write_seconds: float = Field(default=30.0, gt=0, le=3600)
    handshake_seconds: float = Field(default=10.0, gt=0, le=600)
    connections: int = Field(default=2000, ge=1, le=100_000)
    connections_per_address: int = Field(default=1000, ge=1, le=100_000)
    pipelined: int = Field(default=8, ge=1, le=10_000)
    waiting_bytes: int = Field(default=32 * 1024**2, ge=1024**2, le=64 * 1024**3)
    private_connections: int = Field(default=64, ge=1, le=10_000)


OTHERS = frozenset({"OPEN", "PRIVATE", "PUBLIC_ADMIN"})
"""Variables of the server that are no bounds."""


def wire_limits(env: Mapping[str, str]) -> WireLimits:
    """Read the bounds from the environment.

    :raises SettingsError: if a value cannot be used, or a variable with this beginning is not known: a
        mistyped bound would leave another one in force.
    """
    names = {field: f"{PREFIX}{field.upper()}" for field in WireLimits.model_fields}
    known = {*names.values(), *(f"{PREFIX}{name}" for name in OTHERS)}
    if unknown := sorted(name for name in env if name.startswith(PREFIX) and name not in known):
        near = closest(unknown[0], sorted(known))
        raise SettingsError(
            f"{unknown[0]} is no setting of the server",
            next_action=f"Unset it: {near}"
            if near
            else f"Unset it; these are known: {', '.join(sorted(known))}.",
        )
    given: dict[str, Any] = {field: env[name] for field, name in names.items() if env.get(name)}
    try:
        return WireLimits.model_validate_strings(given)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        name = names[str(fault["loc"][0])]
        said = fault["msg"].removeprefix("Input ")
        raise SettingsError(
            f"{name} cannot be used: it {said}", next_action=f"Set {name} to such a number, or unset it."
        ) from None
