"""``InstallationSurroundings``: server, MLflow, disks and keys, each asked within seconds."""

from __future__ import annotations

import shutil
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from windsock.adapters.bundle_files import bundle_place
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.log_format import PREDICTIONS, hour_start
from windsock.adapters.log_reading import LogReader
from windsock.adapters.mlflow_client import PORTS, without_login
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.signing import Signer
from windsock.adapters.storage import Storage
from windsock.adapters.tls import client_context
from windsock.exceptions import (
    LostBundleError,
    SettingsError,
    StorageError,
    UnverifiedBundleError,
    WindsockError,
)
from windsock.records import ServerFacts, Space
from windsock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import httpx

CHAMPION_ALIAS = "champion"
"""As windsock.door names it, which adapters do not know."""
SECONDS = 3.0
"""How long the server and MLflow have to answer."""
MEBIBYTE = 2**20
WHOLE_BYTES = 64 * MEBIBYTE
"""Up to so many bytes a champion's bundle is read whole at each look; a larger one now and then."""
WRITTEN = ("snapshots", "bundles", "evidence", "predictions")
"""Below the storage root: what is written by retrains and by the prediction log."""


class InstallationSurroundings:
    """What an installation's settings name; see :class:`~windsock.ports.surroundings.Surroundings`.

    :param settings: its addresses and folders.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def server(self) -> ServerFacts:
        """Return what the server says of itself, at its private listener where it has one."""
        address = self.settings.admin_address
        tls = partial(client_context, self.settings, address)
        router = ServerRouter(address, lambda: "", tls, self.settings.serving_dir)
        try:
            said = router.health(SECONDS)
        except WindsockError as error:
            cure = error.next_action or ""
            return ServerFacts(
                address=address,
                why=f"{error.code}: {error.message}",
                next_action=cure if "WINDSOCK_" in cure else "",  # others speak of a task that is retried
            )
        return _server_facts(address, said)

    def tracking(self) -> tuple[str, str]:
        """Return MLflow's address, and why it does not answer."""
        uri = self.settings.tracking_uri
        shown = without_login(uri).partition("?")[0]
        try:
            return shown, _no_answer(uri)
        except (ValueError, TypeError):
            return "an address that cannot be read", "its address is no URL (WS-TRACKING-007)"

    def alias(self, model: str) -> str | None:
        """Return the version that the champion's alias names in a tracking server."""
        uri = self.settings.tracking_uri
        if not uri.startswith(("http://", "https://")):
            return None
        asked = {"name": model, "alias": CHAMPION_ALIAS}
        answer = _get(uri, "/api/2.0/mlflow/registered-models/alias", asked)
        if answer.status_code in (400, 404):  # no such model, or it has no such alias
            return ""
        try:
            return str(answer.raise_for_status().json()["model_version"]["version"])
        except (KeyError, TypeError, ValueError):
            return None

    def spaces(self) -> tuple[Space, ...]:
        """Return how much space the home and a storage root on this machine have left; each disk once."""
        storage = Storage(self.settings.storage_url)
        named = {"home": self.settings.home, "storage root": storage.local_path("")}
        found: dict[int, Space] = {}
        for what, folder in named.items():
            if folder is None:
                continue
            there = _nearest(folder)
            usage, disk = shutil.disk_usage(there), there.stat().st_dev
            found.setdefault(
                disk,
                Space(
                    what=what,
                    path=str(folder),
                    free=usage.free,
                    total=usage.total,
                    limit=self.settings.minimum_free_mb * MEBIBYTE,
                ),
            )
        return tuple(found.values())

    def unwritable(self) -> tuple[str, ...]:
        """Return why home and storage root cannot be written, by writing a small file to each."""
        found = []
        try:
            with TemporaryDirectory(prefix=".probe-", dir=_nearest(self.settings.home)) as folder:
                (Path(folder) / "probe").write_bytes(b"windsock")
        except OSError as error:
            why = error.strerror or type(error).__name__
            found.append(f"nothing can be written to the home {self.settings.home}: {why}")
        storage = Storage(self.settings.storage_url)
        if storage.is_local and not storage.exists(storage.root):
            return tuple(found)  # the first snapshot makes it
        try:
            storage.require_writable(*WRITTEN)
        except StorageError as error:
            found.append(f"{error.code}: {error.message}")
        return tuple(found)

    def broken_bundle(self, uri: str, digest: str, *, large: bool) -> str | None:
        """Return why a stored bundle is not what was signed; empty: it is; ``None``: it was not read."""
        storage = Storage(self.settings.storage_url)
        if not large and _stored_size(storage, uri) > WHOLE_BYTES:
            return None
        try:
            SignedBundleStore(storage, self.settings.keys_dir).describe(uri, digest)
        except (UnverifiedBundleError, LostBundleError) as error:
            return f"{error.code}: {error.message}"
        return ""

    def no_key(self) -> str:
        """Return why nothing can be signed."""
        try:
            Signer(self.settings.keys_dir).sign(b"")
        except SettingsError as error:
            return f"{error.code}: {error.message}"
        return ""

    def newest_hour(self, model: str) -> datetime | None:
        """Return the newest hour of the prediction log."""
        reader = LogReader(self.settings.serving_dir, Storage(self.settings.storage_url))
        names = reader.archived(PREDICTIONS, model) | reader.live(PREDICTIONS, model).keys()
        return max((start for name in names if (start := hour_start(name)) is not None), default=None)


def _stored_size(storage: Storage, uri: str) -> int:
    """Return how many bytes a bundle has in the storage root; 0 where it is gone."""
    try:
        place = bundle_place(storage, uri)
        return storage.size(place)
    except StorageError:
        return 0


def _nearest(folder: Path) -> Path:
    """Return a folder, or the first one above it that is there."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def _server_facts(address: str, said: Mapping[str, Any]) -> ServerFacts:
    faults = said.get("faults")
    return ServerFacts(
        address=address,
        status=str(said.get("status") or "unknown"),
        faults=tuple(map(str, faults)) if isinstance(faults, list) else (),
        workers=_number(said.get("workers")),
        waiting=_number(said.get("log_waiting")),
        uptime=float(said["uptime_seconds"]) if isinstance(said.get("uptime_seconds"), int | float) else None,
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _no_answer(uri: str) -> str:
    """Return why MLflow does not answer; empty: it does, or is a database that is not there yet."""
    if uri.startswith(("http://", "https://")):
        return _no_http_answer(uri)
    if uri.startswith("sqlite"):
        return ""  # a file of this process's own: nothing answers or does not
    from socket import create_connection

    parts = urlsplit(uri)
    if not parts.hostname:
        return ""
    port = parts.port or PORTS.get(parts.scheme.partition("+")[0], 0)
    try:
        create_connection((parts.hostname, port), timeout=SECONDS).close()
    except OSError as error:
        return f"its database cannot be reached ({type(error).__name__})"
    return ""


def _get(uri: str, path: str, params: Mapping[str, str] | None = None) -> httpx.Response:
    import httpx

    parts = urlsplit(uri)
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    host = parts.netloc.rpartition("@")[2]
    # A proxy of the environment is for the world outside, and not for this machine.
    is_local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    with httpx.Client(timeout=SECONDS, trust_env=not is_local, auth=login) as client:
        return client.get(f"{parts.scheme}://{host}{parts.path.rstrip('/')}{path}", params=params)


def _no_http_answer(uri: str) -> str:
    import httpx

    try:
        answer = _get(uri, "/health")
    except httpx.TimeoutException:
        return f"no answer within {SECONDS:g} s: it is away or hangs"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"nothing answers there ({type(error).__name__})"
    return "" if answer.is_success else f"it answered {answer.status_code}"
