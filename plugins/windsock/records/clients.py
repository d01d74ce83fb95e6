"""Clients of the server: their keys (never the secrets themselves), what they may do, how often."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from windsock.records.base import Digest, Moment, Record

SCOPES = ("predict", "outcomes", "monitor")
"""What a client may be allowed to do: ask for predictions, send outcomes, read metrics and drift."""
ALL_MODELS = "*"
MAX_CLIENTS = 4096
NAME_RULE = "small letters, digits, '.', '_' and '-', at most 60, beginning with a letter or a digit"

ClientName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}\z")]
KeyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{4,32}\z")]
HexDigest = Annotated[Digest, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
Scope = Annotated[str, StringConstraints(pattern=rf"^({'|'.join(SCOPES)})\z")]
ModelName = Annotated[str, StringConstraints(pattern=rf"^({re.escape(ALL_MODELS)}|[a-z][a-z0-9_]{{0,59}})\z")]


class ClientKey(Record):
    """One key of a client.

    :param id: what names it; it stands in the key itself and is no secret.
    :param sha256: SHA-256 of the whole key. A key holds 256 random bits, so nobody finds it by trying: a slow
        hash with salt, as passwords need it, would cost time at each request and protect nothing.
    :param created: when it was made.
    :param expires: from when it is no longer taken; ``None``: never.
    """

    id: KeyId
    sha256: HexDigest
    created: Moment
    expires: Moment | None = None

    def valid_at(self, moment: Moment) -> bool:
        """Return whether the key is taken at a moment."""
        return self.expires is None or moment < self.expires


class Client(Record):
    """One client.

    :param name: what the prediction log and the limits know it by.
    :param keys: its keys; several while one is replaced by the next.
    :param scopes: what it may do.
    :param models: which models it may do it with; ``*``: all.
    :param rate_per_second: requests that it may send per second in the long run; ``None``: any number.
    :param burst: requests that it may send at once after a pause; ``None`` where there is no rate.
    """

    name: ClientName
    keys: tuple[ClientKey, ...] = Field(default=(), max_length=100)
    scopes: frozenset[Scope] = Field(min_length=1)
    models: tuple[ModelName, ...] = Field(default=(ALL_MODELS,), min_length=1, max_length=1000)
    rate_per_second: float | None = Field(default=None, ge=0.001, le=1e6)
    burst: int | None = Field(default=None, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _burst_goes_with_a_rate(self) -> Self:
        if (self.rate_per_second is None) != (self.burst is None):
            raise ValueError("rate_per_second and burst stand together or not at all")
        return self


class Clients(Record):
    """All clients of a server: the content of ``clients.json``.

    :param clients: in the order in which they were added.
    """

    clients: tuple[Client, ...] = Field(default=(), max_length=MAX_CLIENTS)

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        keys = [key for client in self.clients for key in client.keys]
        _require_distinct("a client's name", (client.name for client in self.clients))
        _require_distinct("a key's id", (key.id for key in keys))
        _require_distinct("a key's digest", (key.sha256 for key in keys))
        return self

    def find(self, name: str) -> Client | None:
        """Return the client of a name, if there is one."""
        return next((client for client in self.clients if client.name == name), None)

    def with_client(self, client: Client) -> Self:
        """Return the clients with one added, or replaced where its name is known."""
        if self.find(client.name) is None:
            return self.replace(clients=(*self.clients, client))
        changed = tuple(client if known.name == client.name else known for known in self.clients)
        return self.replace(clients=changed)

    def without(self, name: str) -> Self:
        """Return the clients without one."""
        left = tuple(client for client in self.clients if client.name != name)
        return self.replace(clients=left)


def _require_distinct(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} stands there twice")
        seen.add(value)
