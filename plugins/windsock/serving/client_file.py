"""``clients.json``: read by every worker, changed by ``windsock clients`` under a lock, replaced whole."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from windsock.exceptions import SettingsError
from windsock.ports import utc_now
from windsock.records.clients import ALL_MODELS, MAX_CLIENTS, NAME_RULE, SCOPES, Client, ClientKey, Clients
from windsock.serving.files import locked, replace_file

KEY_PREFIX = "wsk"
ID_BYTES = 5
SECRET_BYTES = 32
MAX_FILE_BYTES = 64 * 1024 * 1024
WRITABLE_BY_OTHERS = 0o022

Signature = tuple[int, int, int, int]
"""What tells one version of the file from another: inode, times of change of content and facts, size."""


class ClientFileError(SettingsError):
    """The file of the clients cannot be used: nobody new is let in by it."""

    default_code = "WS-SERVING-029"
    default_next = (
        "Put back a whole clients.json, or take its rights from others; `windsock clients list` reads it."
    )


class ClientFile:
    """The clients on the disk.

    :param file: where they stand.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def signature(self) -> Signature | None:
        """Return what tells this version of the file from another; ``None`` if there is no file."""
        try:
            facts = self.file.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size

    def read(self) -> Clients | None:
        """Return the clients; ``None`` if no client was ever set up: there is no file.

        :raises ClientFileError: if the file holds something else, cannot be read, or others may write it.
        """
        try:
            with self.file.open("rb") as stream:
                mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
                content = stream.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ClientFileError(
                f"the clients' file {self.file} cannot be read: {error.strerror or type(error).__name__}"
            ) from error
        if mode & WRITABLE_BY_OTHERS:
            raise ClientFileError(
                f"the clients' file {self.file} has mode {mode:04o}: others than its owner may write it",
                next_action=f"Run `chmod 600 {self.file}`, then look at `windsock clients list`.",
            )
        if len(content) > MAX_FILE_BYTES:
            raise ClientFileError(f"the clients' file {self.file} is larger than {MAX_FILE_BYTES} bytes")
        try:
            return Clients.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "its top level"
            raise ClientFileError(f"{self.file} is no file of clients: {place}: {first['msg']}") from None

    def change(self, changed: Callable[[Clients], Clients]) -> None:
        """Replace the clients by what a function makes of them; one change at a time.

        :raises ClientFileError: if the file is there and cannot be used.
        :raises SettingsError: if its folder is not there.
        :raises StorageError: if it cannot be written; the old one stands then.
        """
        if not self.file.parent.is_dir():
            raise SettingsError(
                f"there is no folder {self.file.parent} to keep clients in",
                code="WS-SETTINGS-012",
                next_action="Run `windsock keys init` first, or set WINDSOCK_CLIENTS_FILE.",
            )
        with locked(self.file.with_suffix(".lock")):
            clients = changed(self.read() or Clients())
            content = json.dumps(clients.model_dump(mode="json"), indent=1, sort_keys=True)
            replace_file(self.file, content + "\n")  # mode 0600, as mkstemp makes it


class ClientRegistry:
    """What an administrator does with clients. A key is returned once, by the call that makes it.

    :param file: the file of the clients.
    :param now: the clock.
    """

    def __init__(self, file: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self.file = ClientFile(file)
        self.now = now

    def list(self) -> tuple[Client, ...]:
        """Return the clients.

        :raises ClientFileError: if the file cannot be used.
        """
        return (self.file.read() or Clients()).clients

    def add(
        self,
        name: str,
        *,
        scopes: Iterable[str] = ("predict", "outcomes"),
        models: Iterable[str] = (ALL_MODELS,),
        rate: float | None = None,
        burst: int | None = None,
        lifetime: timedelta | None = None,
    ) -> str:
        """Add a client and return its first key.

        :param rate: requests per second in the long run; ``None``: any number.
        :param burst: requests at once after a pause; default: those of two seconds.
        :param lifetime: how long the key is taken; ``None``: until it is rotated or revoked.
        :raises SettingsError: if the name is taken, or a value is not allowed.
        """
        key, secret = self._make_key(lifetime)
        if rate is not None and burst is None and math.isfinite(rate):
            burst = max(1, math.ceil(2 * rate))
        try:
            client = Client(
                name=name,
                keys=(key,),
                scopes=frozenset(scopes),
                models=tuple(dict.fromkeys(models)),
                rate_per_second=rate,
                burst=burst,
            )
        except ValidationError as error:
            raise _not_allowed(error) from None

        def adding(clients: Clients) -> Clients:
            if clients.find(name) is not None:
                raise SettingsError(
                    f"there is a client {name} already",
                    code="WS-SETTINGS-011",
                    next_action=f"Run `windsock clients rotate {name}` for a new key, or take another name.",
                )
            if len(clients.clients) >= MAX_CLIENTS:
                raise SettingsError(f"there are {MAX_CLIENTS} clients already, the most that are kept")
            return clients.with_client(client)

        self.file.change(adding)
        return secret

    def rotate(self, name: str, *, grace: timedelta, lifetime: timedelta | None = None) -> str:
        """Give a client a new key and return it; its other keys expire after a time of grace.

        :param grace: how long the other keys are still taken; none that ends sooner is prolonged.
        :param lifetime: how long the new key is taken.
        :raises SettingsError: if there is no such client.
        """
        key, secret = self._make_key(lifetime)
        now = self.now()

        def rotating(clients: Clients) -> Clients:
            client = _require(clients, name)
            last = now + grace
            kept = tuple(
                old.replace(expires=last if old.expires is None else min(old.expires, last))
                for old in client.keys
                if old.valid_at(now)
            )
            left = tuple(old for old in kept if old.valid_at(now))
            return clients.with_client(client.replace(keys=(*left[-98:], key)))

        self.file.change(rotating)
        return secret

    def revoke(self, name: str, key_id: str | None = None) -> int:
        """Take a client's keys away at once and return how many; it stays a client without keys.

        :param key_id: the only key to take away; ``None``: all.
        :raises SettingsError: if there is no such client, or it has no such key.
        """
        taken: list[ClientKey] = []

        def revoking(clients: Clients) -> Clients:
            client = _require(clients, name)
            taken.extend(key for key in client.keys if key_id in (None, key.id))
            if key_id is not None and not taken:
                raise SettingsError(
                    f"the client {name} has no key of that id",
                    code="WS-SETTINGS-010",
                    next_action="See the ids with `windsock clients list`.",
                )
            left = tuple(key for key in client.keys if key not in taken)
            return clients.with_client(client.replace(keys=left))

        self.file.change(revoking)
        return len(taken)

    def remove(self, name: str) -> int:
        """Remove a client with its keys; return how many clients are left.

        :raises SettingsError: if there is no such client.
        """
        left: list[int] = []

        def removing(clients: Clients) -> Clients:
            _require(clients, name)
            changed = clients.without(name)
            left.append(len(changed.clients))
            return changed

        self.file.change(removing)
        return left[0]

    def _make_key(self, lifetime: timedelta | None) -> tuple[ClientKey, str]:
        key_id = secrets.token_hex(ID_BYTES)
        secret = f"{KEY_PREFIX}_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
        now = self.now()
        key = ClientKey(
            id=key_id,
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
            created=now,
            expires=None if lifetime is None else now + lifetime,
        )
        return key, secret


def _require(clients: Clients, name: str) -> Client:
    client = clients.find(name)
    if client is None:
        raise SettingsError(
            "there is no client of that name",
            code="WS-SETTINGS-010",
            next_action="See the names with `windsock clients list`.",
        )
    return client


ALLOWED = {
    "name": NAME_RULE,
    "scopes": f"one or more of {', '.join(SCOPES)}",
    "models": f"names of models, or {ALL_MODELS} for all",
    "rate_per_second": "a number of requests per second between 0.001 and 1000000",
    "burst": "a whole number of requests between 1 and 1000000",
}


def _not_allowed(error: ValidationError) -> SettingsError:
    """Return the error of a client that may not be so; what was given is not repeated."""
    place = error.errors(include_input=False, include_url=False)[0]["loc"]
    field = str(place[0]) if place else ""
    said = (
        f"{field.split('_')[0]}: allowed is {ALLOWED[field]}" if field in ALLOWED else "a burst needs a rate"
    )
    return SettingsError(
        f"the client is not added: {said}",
        code="WS-SETTINGS-013",
        next_action="Mend the option that is named; `windsock clients add --help` lists them.",
    )
