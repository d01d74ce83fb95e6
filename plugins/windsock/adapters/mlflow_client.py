"""``MlflowService``: the way to MLflow, with bounded waits and typed errors, and no state of MLflow's own.

Nothing here sets MLflow's global tracking URI or its active run: a task may use MLflow for itself.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from socket import create_connection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from windsock.adapters.quiet import quiet_libraries
from windsock.exceptions import SettingsError, StorageError, TrackingUnavailableError, WindsockError
from windsock.library_texts import library_text
from windsock.locations import when_down
from windsock.private_files import make_file, make_folder, rights
from windsock.proxies import go_direct, through_proxy

if TYPE_CHECKING:
    from mlflow import MlflowClient

LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.5",
}
"""The client's limits where the environment names none; with its own a dead server blocks for minutes."""
PROBE_SECONDS = 5
LOCK_SECONDS = 120.0
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
UNAVAILABLE = frozenset({"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"})
SHOWN = 300
START = "See that MLflow is up (`windsock up` starts one), then clear this task; nothing is written twice."


class MlflowService:
    """One MLflow: a tracking server by URL, or a database that this process opens itself.

    :param tracking_uri: ``http(s)://...``, ``sqlite:///FILE`` or another SQLAlchemy URL.
    :param home: Windsock's folder; artifacts of a database without a server lie in its ``mlartifacts``.
    """

    def __init__(self, tracking_uri: str, home: Path) -> None:
        self.tracking_uri = tracking_uri
        self.home = home

    @property
    def is_server(self) -> bool:
        """Whether there is a tracking server in between, which then decides where artifacts lie."""
        return self.tracking_uri.startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
        """The tracking URI as it may stand in a log: without user, password and query."""
        return without_login(self.tracking_uri).partition("?")[0]

    @property
    def _proxy(self) -> str:
        """The proxy that calls take, as a part of a sentence; empty: none."""
        return through_proxy(self.tracking_uri) if self.is_server else ""

    def _next(self) -> str:
        """Return what to do where it does not answer."""
        if self._proxy:
            return (
                "See that the proxy lets calls to it through, or name its host in NO_PROXY, then clear this "
                "task; nothing is written twice."
            )
        if not self.is_server:
            return "See that the database is up, then clear this task; nothing is written twice."
        return when_down(self.home, "mlflow", START, address=self.tracking_uri)

    @property
    def artifact_root(self) -> Path | None:
        """The folder of artifacts, or ``None`` where a server decides."""
        if self.is_server:
            return None
        file = self._sqlite_file
        return (file.parent if file else self.home) / "mlartifacts"

    @contextmanager
    def reach(self, doing: str) -> Iterator[MlflowClient]:
        """Give a client of an MLflow that answers.

        :param doing: what it is needed for, for the error: ``record a run``.
        :raises TrackingUnavailableError: if MLflow does not answer, now or while the client is used.
        :raises SettingsError: if the tracking URI cannot be read, or MLflow refuses what it is asked.
        :raises StorageError: if artifacts cannot be written to this machine's disk.
        """
        begun = time.monotonic()
        self._require_readable()
        try:
            with quiet_libraries():
                self._probe()
                yield self._client
        except WindsockError:
            raise
        except Exception as error:
            translated = self._translated(error, doing, time.monotonic() - begun)
            if translated is None:
                raise
            raise translated from None  # MLflow's own errors repeat the URI with its password

    def require_answer(self, doing: str) -> None:
        """See that MLflow gives a sign of life, without loading MLflow: cheap enough to be asked early.

        :param doing: what it will be needed for.
        :raises TrackingUnavailableError: if it gives none.
        :raises SettingsError: if the tracking URI cannot be read.
        """
        import requests

        begun = time.monotonic()
        self._require_readable()
        try:
            if self.is_server:
                requests.get(
                    f"{self.tracking_uri.rstrip('/')}/health", timeout=PROBE_SECONDS, verify=_verify()
                )
            else:
                self._probe_database()
        except (requests.RequestException, sqlite3.Error, OSError) as error:
            raise TrackingUnavailableError(
                f"MLflow at {self.shown} did not answer within {time.monotonic() - begun:.1f} s "
                f"({type(error).__name__}); it is needed to {doing}",
                next_action=START,
            ) from None  # the text of the fault repeats the address with its password

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        if self.is_server:
            return MlflowClient(self.tracking_uri, self.tracking_uri)
        with self._first_contact():
            client = MlflowClient(self.tracking_uri, self.tracking_uri)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
        return client

    @contextmanager
    def _first_contact(self) -> Iterator[None]:
        """Let one process at a time make or check the tables of a file: two at once break the migration."""
        file = self._sqlite_file
        if file is None:
            yield
            return
        from filelock import FileLock

        for slow in ("tracking", "model_registry"):  # imported before the lock: others wait for it
            import_module(f"mlflow.store.{slow}.sqlalchemy_store")
        with FileLock(f"{file}.lock", timeout=LOCK_SECONDS, mode=rights().file):
            yield

    @contextmanager
    def alone(self, model: str) -> Iterator[None]:
        """Let one process at a time write a model's runs into a file; a server orders its writers itself.

        :raises TimeoutError: if others write for minutes.
        """
        file = self._sqlite_file
        if file is None:
            yield
            return
        from filelock import FileLock

        with FileLock(f"{file}.{model}.lock", timeout=LOCK_SECONDS, mode=rights().file):
            yield

    @property
    def _sqlite_file(self) -> Path | None:
        scheme, _, place = self.tracking_uri.partition("://")
        return Path(place.partition("?")[0][1:]).absolute() if scheme.startswith("sqlite") else None

    def _require_readable(self) -> None:
        """Refuse a URI that is read otherwise than it was meant, and say nothing of its text."""
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            if self.is_server:
                parts = urlsplit(self.tracking_uri)
                readable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.path
            else:
                url = make_url(self.tracking_uri)
                host, database = url.host or "", url.database or ""
                readable = self._sqlite_file is not None or not ("@" in host or "@" in database)
        except (ArgumentError, ValueError):
            readable = False
        if not readable:
            raise SettingsError(
                "the address of MLflow cannot be read (it is not shown: it may hold a password)",
                code="WS-TRACKING-007",
                next_action="Write it as http://HOST:PORT or DIALECT://USER:PASSWORD@HOST/NAME, with `@`, "
                "`/`, `:` and `?` of the password percent-encoded (`%40`, `%2F`, `%3A`, `%3F`).",
            ) from None

    def _probe(self) -> None:
        """Ask for a sign of life before anything that waits long: the limits alone allow half a minute."""
        for name, value in LIMITS.items():
            os.environ.setdefault(name, value)
        if self.is_server:
            go_direct(self.tracking_uri)
            from mlflow.utils.credentials import get_default_host_creds
            from mlflow.utils.rest_utils import http_request

            creds = get_default_host_creds(self.tracking_uri)  # type: ignore[no-untyped-call]
            http_request(  # type: ignore[no-untyped-call]
                creds, "/health", "GET", timeout=PROBE_SECONDS, max_retries=1, raise_on_status=False
            )
        else:
            self._probe_database()

    def _probe_database(self) -> None:
        if (file := self._sqlite_file) is not None:
            make_folder(file.parent)
            make_file(file)
            with sqlite3.connect(file, timeout=PROBE_SECONDS) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            connection.close()
        else:
            from sqlalchemy import make_url

            url = make_url(self.tracking_uri)
            if url.host:
                port = url.port or PORTS.get(url.get_backend_name(), 0)
                create_connection((url.host, port), timeout=PROBE_SECONDS).close()

    def _translated(self, error: Exception, doing: str, seconds: float) -> WindsockError | None:
        from filelock import Timeout
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        if isinstance(error, MlflowException) and error.error_code not in UNAVAILABLE:
            return SettingsError(
                f"cannot {doing}: MLflow at {self.shown}{self._proxy} refused it ({error.error_code}):"
                f" {_told(error)}",
                code="WS-TRACKING-003",
                next_action="Mend what MLflow names; about rights, check the login of mlflow_default.",
            )
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageError(
                f"cannot {doing}: the disk is full at {self.artifact_root or self.shown}",
                code="WS-STORAGE-002",
            )
        known = (MlflowException, RequestException, SQLAlchemyError, sqlite3.Error, Timeout, OSError)
        if isinstance(error, known):
            why = type(error).__name__ if self.is_server else f"{type(error).__name__}: {_told(error)}"
            return TrackingUnavailableError(
                f"cannot {doing}: MLflow at {self.shown}{self._proxy} did not answer within {seconds:.1f} s"
                f" ({why})",
                next_action=self._next(),
            )
        return None


def _verify() -> bool | str:
    """Return how MLflow's own client would check the server's certificate."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True


def without_login(text: str) -> str:
    """Return a text without the user and password of any URL in it: cut at the last ``@`` of its word."""
    return re.sub(r"://\S*@", "://", text)


def _told(error: Exception) -> str:
    return library_text(error, shown=SHOWN)


def ping(tracking_uri: str, home: Path | None = None) -> str:
    """Ask MLflow for its experiments.

    :returns: one sentence for people.
    :raises TrackingUnavailableError: if it does not answer.
    """
    service = MlflowService(tracking_uri, home or Path.cwd())
    begun = time.monotonic()
    with service.reach("look at the experiments") as client:
        found = client.search_experiments(max_results=100)
    return f"MLflow at {service.shown} answered in {time.monotonic() - begun:.1f} s: {len(found)} experiments"


def web_address(tracking_uri: str, ui_url: str | None) -> str | None:
    """Return the address of MLflow's pages without login and closing slash, or ``None`` if it has none.

    :param ui_url: where the pages of a database without a server are shown, if they are.
    """
    address = ui_url or tracking_uri
    if not address.startswith(("http://", "https://")):
        return None
    parts = urlsplit(without_login(address))
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
