"""``ClientBook``: who may ask, in one look-up; each worker has one and follows the file."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from windsock.exceptions import StorageError, WindsockError
from windsock.records.clients import ALL_MODELS, Client, ClientKey, Clients
from windsock.serving.client_file import ClientFile, ClientFileError, Signature
from windsock.serving.rate_limit import RATES_FILE, RATES_VARIABLE, SECOND, RateLimit, RateTable
from windsock.settings import Settings

log = logging.getLogger(__name__)

LONGEST_HEADER = 512
NEVER: Signature = (-1, -1, -1, -1)


class ClientRefusedError(WindsockError):
    """A request without a key that may do this.

    :param status: 401 no key or an unknown one; 403 a known client that may not do this; 503 the clients
        cannot be told.
    """

    default_code = "WS-SERVING-026"
    default_next = (
        "Send your key as `Authorization: Bearer KEY` or `X-API-Key: KEY`; ask who runs the server for one."
    )

    def __init__(
        self, message: str, *, status: int, code: str | None = None, next_action: str | None = None
    ) -> None:
        super().__init__(message, code=code, next_action=next_action)
        self.status = status
        self.reason = {401: "unauthenticated", 403: "forbidden"}.get(status, "unavailable")
        self.headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status, {})


class RateLimitedError(WindsockError):
    """A client that asks more often than it may.

    :param retry_after: seconds until the next request would be admitted.
    """

    default_code = "WS-SERVING-028"
    default_next = "Wait as long as Retry-After says; ask who runs the server for a higher rate."
    status = 429
    reason = "rate"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.headers = {"Retry-After": str(math.ceil(retry_after))}


class Grant(NamedTuple):
    """What one key may do; ``models`` is ``None`` for all of them."""

    client: str
    expires: float
    scopes: frozenset[str]
    models: frozenset[str] | None
    limit: RateLimit | None


class ClientBook:
    """The clients as they stand in the file; a file that cannot be used leaves the last valid ones in place.

    :param file: the file of the clients.
    :param rates: what the workers of a server share; default: a table of this process alone.
    :param now: seconds since 1970, for the expiry of keys.
    :param clock: monotonic nanoseconds, for the rates.
    """

    def __init__(
        self,
        file: Path,
        rates: RateTable | None = None,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.file = ClientFile(file)
        self.rates = rates or RateTable()
        self.fault: str | None = None
        self._now = now
        self._clock = clock
        self._grants: dict[bytes, Grant] | None = None
        self._seen: Signature | None = NEVER
        self.refresh()

    @property
    def required(self) -> bool:
        """Whether a key is asked for: from the first client on, also when the file is lost."""
        return self._grants is not None

    def refresh(self) -> None:
        """Look at the file; if it is another one, admit by it. Costs one ``stat`` where nothing changed."""
        signature = self.file.signature()
        if signature == self._seen and (signature is not None or self.required == self.rates.required):
            return
        try:
            clients = self.file.read()
            if clients is not None:
                self._grants = self._granted(clients)
                self.rates.require()
        except (ClientFileError, StorageError) as error:
            self._remain(f"{error.message} The clients known before stay as they are.", error.code)
            if self._grants is None:  # there is a file, so keys are asked for; none is known
                self._grants = {}
                self.rates.require()
        else:
            if clients is None and self.rates.required:
                self._grants = {}
                self._remain(
                    f"the clients' file {self.file.file} is gone: everybody is refused", "WS-SERVING-029"
                )
            elif self.fault is not None:
                log.info("the clients' file %s can be used again", self.file.file)
                self.fault = None
        self._seen = signature

    def _remain(self, fault: str, code: str) -> None:
        if fault != self.fault:
            log.error("%s: %s", code, fault)
        self.fault = fault

    def _granted(self, clients: Clients) -> dict[bytes, Grant]:
        limited = [client.name for client in clients.clients if client.rate_per_second is not None]
        places = self.rates.places(limited)
        return {
            bytes.fromhex(key.sha256): self._grant(client, key, places)
            for client in clients.clients
            for key in client.keys
        }

    def _grant(self, client: Client, key: ClientKey, places: dict[str, int]) -> Grant:
        limit = None
        if client.rate_per_second is not None and client.burst is not None:
            limit = RateLimit(
                self.rates.words,
                places[client.name],
                rate=client.rate_per_second,
                burst=client.burst,
                clock=self._clock,
            )
        return Grant(
            client=client.name,
            expires=math.inf if key.expires is None else key.expires.timestamp(),
            scopes=client.scopes,
            models=None if ALL_MODELS in client.models else frozenset(client.models),
            limit=limit,
        )

    def admit(self, header: bytes | None, scope: str, model: str | None, cost: int = 1) -> str | None:
        """Return the name of the client that asks; ``None`` where no client was ever set up.

        The key is found by its SHA-256. How long the look-up takes tells at most something of that digest,
        from which no key can be made; so it needs no comparison in constant time.

        :param header: value of ``Authorization`` (``Bearer KEY``), else of ``X-API-Key``, as it came.
        :param scope: ``predict``, ``outcomes`` or ``monitor``.
        :param model: the model that is asked for; ``None`` if the call is about no one model.
        :param cost: how many requests the call counts as; 0 for a second look at the same request, which is
            never refused for its rate. Requests are counted, not rows, as API gateways do.
        :raises ClientRefusedError: 401 without a valid key, 403 if the client may not do this, 503 if the
            clients cannot be told.
        :raises RateLimitedError: if the client asks too often.
        """
        grants = self._grants
        if grants is None:
            return None
        if header is None or len(header) > LONGEST_HEADER:
            raise self._unknown(header)
        key = header[7:] if header[:7].lower() == b"bearer " else header
        grant = grants.get(sha256(key.strip()).digest())
        if grant is None or self._now() >= grant.expires:
            raise self._unknown(header)
        if scope not in grant.scopes or (
            grant.models is not None and model is not None and model not in grant.models
        ):
            raise _forbidden(scope, in_scope=scope in grant.scopes)
        if grant.limit is not None:
            wait = grant.limit.take(cost)
            if wait:
                raise RateLimitedError("the client asks more often than it may", retry_after=wait / SECOND)
        return grant.client

    def knows(self, header: bytes | None) -> bool:
        """Return whether a key is some client's, whatever it may do; also where no key is asked for.

        :param header: as :meth:`admit` takes it.
        """
        if self._grants is None:
            return True
        if header is None or len(header) > LONGEST_HEADER:
            return False
        key = header[7:] if header[:7].lower() == b"bearer " else header
        grant = self._grants.get(sha256(key.strip()).digest())
        return grant is not None and self._now() < grant.expires

    def _unknown(self, header: bytes | None) -> ClientRefusedError:
        if not self._grants and self.fault is not None:
            return ClientRefusedError(
                "keys cannot be checked just now",
                status=503,
                code="WS-SERVING-029",
                next_action="Try again later; who runs the server reads its log.",
            )
        what = "this call needs a key" if header is None else "the key is not known, or it has expired"
        return ClientRefusedError(what, status=401)


def _forbidden(scope: str, *, in_scope: bool) -> ClientRefusedError:
    return ClientRefusedError(
        "the client may not ask this model" if in_scope else f"the client has not the scope {scope}",
        status=403,
        code="WS-SERVING-027",
        next_action="Ask who runs the server for this right; `windsock clients list` shows the rights.",
    )


def make_client_book(settings: Settings) -> ClientBook:
    """Return the book of one worker; the rates are shared with the others that the supervisor started.

    :raises StorageError: if there is no memory for the rates.
    """
    folder = os.environ.get(RATES_VARIABLE)
    return ClientBook(settings.clients_file, RateTable(Path(folder) / RATES_FILE if folder else None))
