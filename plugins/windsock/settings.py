"""Where an installation keeps its things: from environment variables, overridden by Airflow connections."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field

from windsock.exceptions import SettingsError
from windsock.locations import HOME, MODELS, Location, locate, with_stack
from windsock.private_files import rights
from windsock.spec import Frozen
from windsock.wire_limits import WireLimits as WireLimits
from windsock.wire_limits import wire_limits

CounterEngine = Literal["parquet", "ibis"]
MOST_SECONDS = 7 * 86_400.0
MOST_MEMORY_MB = 1024 * 1024
MOST_FREE_MB = 1024 * 1024 * 1024


class Settings(Frozen):
    """Addresses and folders of one installation.

    What it writes is its owner's alone; ``WINDSOCK_FILES_GROUP`` names a group that may read it
    (:mod:`windsock.private_files`).

    :param home: Windsock's own folder: keys, and the default place of all else (``WINDSOCK_HOME``).
    :param database_url: control database, as a SQLAlchemy URL (``WINDSOCK_DATABASE_URL``).
    :param storage_url: root of snapshots, bundles and prediction logs: a folder or an fsspec URL
        (``WINDSOCK_STORAGE_URL``).
    :param tracking_uri: MLflow (``WINDSOCK_TRACKING_URI``).
    :param server_url: the serving app's address (``WINDSOCK_SERVER_URL``).
    :param models_dir: folder of the model files (``WINDSOCK_MODELS_DIR``).
    :param source_roots: folders against which relative file sources are looked up, in order
        (``WINDSOCK_SOURCE_ROOTS``, separated like PATH; default: the project folder above ``include``).
    :param admin_token: token of the server's admin call (``WINDSOCK_ADMIN_TOKEN``; default: the file that
        ``windsock keys init`` writes).
    :param server_ca: certificates of the authorities that the server's certificate is checked against, in PEM
        (``WINDSOCK_SERVER_CA``; default: those of the system). For ``https`` addresses.
    :param server_client_cert: certificate that is shown to the server, where it asks for one
        (``WINDSOCK_SERVER_CLIENT_CERT``).
    :param server_client_key: its private key (``WINDSOCK_SERVER_CLIENT_KEY``).
    :param clients: the file of the server's clients (``WINDSOCK_CLIENTS_FILE``; default: ``clients.json``
        among the keys).
    :param slot_image: image of the slots of models with ``serving.target: docker`` (``WINDSOCK_SLOT_IMAGE``).
    :param task_logs: folder of Airflow's logs of tasks that the retention removes old ones from
        (``WINDSOCK_TASK_LOGS``; default: ``airflow/logs`` in the home, as `windsock up` has it).
    :param admin_url: address of the server's private listener, for the admin calls of this installation
        (``WINDSOCK_ADMIN_URL``; default: the server's address, which answers them, too).
    :param private_listen: where the server's private listener listens, ``HOST:PORT``
        (``WINDSOCK_SERVING_PRIVATE``; default: the next port on 127.0.0.1, or another one if that is taken).
    :param public_admin: whether admin calls are answered at the server's first listener, too
        (``WINDSOCK_SERVING_PUBLIC_ADMIN``; default: 1).
    :param trusted_proxies: addresses and networks whose X-Forwarded-For is believed
        (``WINDSOCK_TRUSTED_PROXIES``, separated by commas; default: none).
    :param wire: what the server bounds before it knows who asks.
    :param home_from: what named the home: an option, a variable, or the default; for messages.
    :param models_from: what named the models folder.
    :param lacking: variables of the stack that runs there which this process needs and cannot know.
    :param counter: what counts the windows of the prediction log (``WINDSOCK_COUNTER``): ``parquet`` reads
        with numpy, ``ibis`` queries in DuckDB.
    :param business_seconds: how long a query of ``business.sql`` may take (``WINDSOCK_BUSINESS_SECONDS``).
    :param business_memory_mb: how much memory its process may take, in MiB
        (``WINDSOCK_BUSINESS_MEMORY_MB``).
    :param source_seconds: how long reading an SQL source may take (``WINDSOCK_SOURCE_SECONDS``).
    :param source_memory_mb: how much memory the process that reads it may take, and how large the rows may
        be, in MiB (``WINDSOCK_SOURCE_MEMORY_MB``).
    :param minimum_free_mb: free space of home and storage root below which a disk is nearly full, in MiB
        (``WINDSOCK_MINIMUM_FREE_MB``).
    """

    home: Path
    database_url: str
    storage_url: str
    tracking_uri: str
    server_url: str
    models_dir: Path
    source_roots: tuple[Path, ...]
    admin_token: str | None = None
    server_ca: Path | None = None
    server_client_cert: Path | None = None
    server_client_key: Path | None = None
    clients: Path | None = None
    counter: CounterEngine = "parquet"
    slot_image: str = "windsock/serve"
    task_logs: Path | None = None
    business_seconds: float = Field(default=60.0, gt=0, le=MOST_SECONDS)
    business_memory_mb: int = Field(default=1024, ge=64, le=MOST_MEMORY_MB)
    source_seconds: float = Field(default=3600.0, gt=0, le=MOST_SECONDS)
    source_memory_mb: int = Field(default=4096, ge=256, le=MOST_MEMORY_MB)
    minimum_free_mb: int = Field(default=1024, ge=0, le=MOST_FREE_MB)
    admin_url: str | None = None
    private_listen: str | None = None
    public_admin: bool = True
    trusted_proxies: tuple[str, ...] = ()
    wire: WireLimits = WireLimits()
    home_from: str = ""
    models_from: str = ""
    lacking: tuple[str, ...] = ()

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        home: Path | None = None,
        editing: bool = False,
    ) -> Self:
        """Read the settings; nothing is created and nothing is contacted.

        An option counts before a variable, a variable before what the stack that runs in the home was started
        with, and that before the default (:mod:`windsock.locations`).

        :param environment: default: ``os.environ``.
        :param home: what ``--home`` says.
        :param editing: model files are to be written or checked, not the copies that a demo works on.
        :raises SettingsError: if ``WINDSOCK_COUNTER`` is no word that is known, ``WINDSOCK_FILES_GROUP`` no
            group that files can be given to, or a limit, a proxy or a switch cannot be used.
        """
        given = os.environ if environment is None else environment
        rights(given)
        location = locate(given, home=home)
        env, noted = with_stack(given, location, editing=editing)
        home = location.home
        models = _models_dir(env, location)
        roots = env.get("WINDSOCK_SOURCE_ROOTS")
        default_roots = (models.parent.parent, models)
        return cls(
            home=home,
            database_url=env.get("WINDSOCK_DATABASE_URL") or f"sqlite:///{home / 'control.db'}",
            storage_url=env.get("WINDSOCK_STORAGE_URL") or str(home / "storage"),
            tracking_uri=env.get("WINDSOCK_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
            server_url=_server_url(env),
            models_dir=models,
            source_roots=tuple(Path(root).absolute() for root in roots.split(os.pathsep))
            if roots
            else default_roots,
            admin_token=env.get("WINDSOCK_ADMIN_TOKEN"),
            server_ca=_path(env.get("WINDSOCK_SERVER_CA")),
            server_client_cert=_path(env.get("WINDSOCK_SERVER_CLIENT_CERT")),
            server_client_key=_path(env.get("WINDSOCK_SERVER_CLIENT_KEY")),
            clients=_path(env.get("WINDSOCK_CLIENTS_FILE")),
            slot_image=env.get("WINDSOCK_SLOT_IMAGE") or "windsock/serve",
            task_logs=_path(env.get("WINDSOCK_TASK_LOGS")),
            counter=_counter(env.get("WINDSOCK_COUNTER") or "parquet"),
            business_seconds=_limit(env, "WINDSOCK_BUSINESS_SECONDS", 60, least=0.1, most=MOST_SECONDS),
            business_memory_mb=int(
                _limit(env, "WINDSOCK_BUSINESS_MEMORY_MB", 1024, least=64, most=MOST_MEMORY_MB)
            ),
            source_seconds=_limit(env, "WINDSOCK_SOURCE_SECONDS", 3600, least=0.1, most=MOST_SECONDS),
            source_memory_mb=int(
                _limit(env, "WINDSOCK_SOURCE_MEMORY_MB", 4096, least=256, most=MOST_MEMORY_MB)
            ),
            minimum_free_mb=int(_limit(env, "WINDSOCK_MINIMUM_FREE_MB", 1024, least=0, most=MOST_FREE_MB)),
            admin_url=(env.get("WINDSOCK_ADMIN_URL") or "").rstrip("/") or None,
            private_listen=env.get("WINDSOCK_SERVING_PRIVATE") or None,
            public_admin=_switch(env, "WINDSOCK_SERVING_PUBLIC_ADMIN", default=True),
            trusted_proxies=_networks(env, "WINDSOCK_TRUSTED_PROXIES"),
            wire=wire_limits(env),
            home_from=location.home_from,
            models_from=_models_from(env, noted, location),
            lacking=tuple(
                name for name in (location.stack.hidden if location.stack else ()) if not env.get(name)
            ),
        )

    @property
    def admin_address(self) -> str:
        """The address of the server's admin calls."""
        return self.admin_url or self.server_url

    @property
    def elsewhere(self) -> str:
        """What to do where this is not the installation that was meant; the beginning of a sentence."""
        named = self.home_from or HOME
        return f"If the installation is not {self.home} (by {named}), name it with {HOME} or --home"

    @property
    def include_dir(self) -> Path:
        """The folder that people edit: models, expectations, windsock.yaml."""
        return self.models_dir.parent

    @property
    def shared_file(self) -> Path:
        """The file of what models share."""
        return self.include_dir / "windsock.yaml"

    @property
    def expectations_dir(self) -> Path:
        """The folder of expectation suites, ``NAME.json`` each."""
        return self.include_dir / "expectations"

    @property
    def contracts_dir(self) -> Path:
        """The folder of the data contracts that people keep, ``NAME.yaml`` each."""
        return self.include_dir / "contracts"

    @property
    def keys_dir(self) -> Path:
        """The folder of the signing key and the admin token."""
        return self.home / "keys"

    @property
    def clients_file(self) -> Path:
        """The file of the server's clients and the digests of their keys."""
        return self.clients or self.keys_dir / "clients.json"

    @property
    def log_folders(self) -> tuple[Path, Path]:
        """The folders of logs that the retention removes old ones from: of programs, and of tasks."""
        return self.home / "logs", self.task_logs or self.home / "airflow" / "logs"

    @property
    def serving_dir(self) -> Path:
        """The server's state folder: routing table, its own copies of bundles."""
        return self.home / "serving"

    def read_admin_token(self) -> str:
        """Return the admin token.

        :raises SettingsError: if there is none.
        """
        if self.admin_token:
            return self.admin_token
        file = self.keys_dir / "admin_token"
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"no admin token: {file} cannot be read ({type(error).__name__})",
                code="WS-SETTINGS-002",
                next_action=f"{self.elsewhere}. Else run `windsock keys init`, which makes it where it is "
                "missing, or set WINDSOCK_ADMIN_TOKEN.",
            ) from error


def _models_dir(env: Mapping[str, str], location: Location) -> Path:
    project = Path(env["AIRFLOW_HOME"]) if env.get("AIRFLOW_HOME") else location.project
    return Path(env.get(MODELS) or project / "include" / "models").expanduser().absolute()


def _models_from(env: Mapping[str, str], noted: frozenset[str], location: Location) -> str:
    """Return what named the models folder."""
    if MODELS in noted:
        return "the stack that runs there"
    if env.get(MODELS):
        return MODELS
    return "AIRFLOW_HOME" if env.get("AIRFLOW_HOME") else f"the project folder {location.project}"


def _server_url(env: Mapping[str, str]) -> str:
    """Return the server's address: named as a whole, or by the port that a stack here would take."""
    port = env.get("WINDSOCK_SERVER_PORT", "")
    default = f"http://127.0.0.1:{port if port.isdigit() else 8181}"
    return (env.get("WINDSOCK_SERVER_URL") or default).rstrip("/")


def _counter(word: str) -> CounterEngine:
    known: tuple[CounterEngine, ...] = get_args(CounterEngine)
    for engine in known:
        if word == engine:
            return engine
    raise SettingsError(
        f"WINDSOCK_COUNTER is {word!r}, and nothing of that name counts windows",
        next_action=f"Set WINDSOCK_COUNTER to one of {', '.join(known)}, or unset it.",
    )


def _limit(env: Mapping[str, str], name: str, default: float, *, least: float, most: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise SettingsError(
            f"{name} is {text[:40]!r}; a number from {least:g} to {most:,.0f} is needed",
            next_action=f"Set {name} to such a number, or unset it: {default:,.0f} then holds.",
        )
    return value


def _networks(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    given = tuple(part.strip() for part in (env.get(name) or "").split(",") if part.strip())
    for number, part in enumerate(given, start=1):
        try:
            ip_network(part)
        except ValueError:
            raise SettingsError(
                f"{name}: entry {number} is neither an address nor a network",
                next_action="Write numeric addresses such as 10.0.0.7, or networks such as 10.0.0.0/24.",
            ) from None
    return given


def _switch(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    word = (env.get(name) or "").strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    if word:
        raise SettingsError(f"{name} is neither 1 nor 0", next_action=f"Set {name} to 1 or 0, or unset it.")
    return default


def _path(value: str | None) -> Path | None:
    return Path(value).expanduser().absolute() if value else None
