"""The control database: one SQLAlchemy engine for each URL, its schema brought up to date by Alembic."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.database_faults import foreign_tables, translated
from windsock.adapters.database_file import file_of, is_replaced, remember_file
from windsock.exceptions import DatabaseUnavailableError, SettingsError
from windsock.private_files import make_file, make_folder, rights, tighten

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "windsock_schema"
HEAD = "0006"
"""Revision that this code needs; a test holds it against the newest file of ``migrations/versions``."""

COLUMNS = {
    "alert_history": "id key model record",
    "alerts": "key last_at model record state",
    "ledger": "action actor at body digest epoch form hash model previous seq signature version",
    "monitor_windows": "digest kind model record status window_end window_start",
    "retrain_episodes": "claimed_by digest key model outcome record seq state",
    "retrain_leases": "holder model record",
    "rollout_counts": "experiment generation model record signature step",
    "rollout_decisions": "action experiment judged_at model number record signature",
    "step_records": "created_at key model record step",
    "step_results": "created_at digest model signature step",
}
"""The tables of this revision and their columns; a test holds them against a new database."""

LOCK_SECONDS = 60
BUSY_SECONDS = 30
CONNECT_SECONDS = 5
ADVISORY_LOCK = 0x77696E64
"""Key of the advisory lock under which a PostgreSQL schema is upgraded: "wind" in ASCII."""

WRITES = "windsock_writes"
UNSIGNED = frozenset({"0001", "0002", "0003", "0004"})
"""Revisions whose ledger had no signatures."""

_anchors: dict[str, dict[str, Callable[[Connection], None]]] = {}


def at_upgrade(url: str, anchor: Callable[[Connection], None]) -> None:
    """Say who signs for old rows of a table when a database from before signatures is upgraded.

    :param anchor: is called once with the connection of the upgrade, in its transaction.
    """
    _anchors.setdefault(url, {})[anchor.__qualname__] = anchor


def open_database(url: str) -> Engine:
    """Return the engine of a control database whose schema is up to date.

    The first call of a process looks at the schema's revision and upgrades it where it is behind; only then
    is Alembic imported. Many processes may start at once. An SQLite file that was replaced since, such as by
    a restore, is opened anew.

    :param url: a SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql://...``.
    :raises DatabaseUnavailableError: if the database does not answer.
    :raises SettingsError: if the URL cannot be used, or the database belongs to a newer Windsock.
    """
    engine = _opened(url, os.getpid())
    with translating(url):
        if not is_replaced(engine):
            return engine
    engine.dispose()
    _opened.cache_clear()
    return _opened(url, os.getpid())


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """Give a connection on one unchanging view of the database.

    :raises DatabaseUnavailableError: if the database does not answer.
    """
    with translating(url), open_database(url).connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(url: str) -> Iterator[Connection]:
    """Give a connection in a transaction that is committed at the end, or rolled back by an exception.

    :raises DatabaseUnavailableError: if the database does not answer.
    """
    with translating(url), open_database(url).connect() as connection:
        connection = connection.execution_options(**{WRITES: True})
        with connection.begin():
            yield connection


def take_turn(connection: Connection, name: str) -> None:
    """Let one writer of something in at a time, up to the end of its transaction; SQLite does so by itself.

    :param name: what is written.
    """
    from sqlalchemy import text

    if connection.dialect.name == "postgresql":
        query = "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"
        connection.execute(text(query), {"name": name})


def shown_url(url: str) -> str:
    """Return a database URL for messages: no password and no query."""
    return _parsed(url).set(query={}).render_as_string(hide_password=True)


def unopened(url: str) -> Engine:
    """Return an engine of a database as it is: nothing is made or upgraded in it.

    :raises SettingsError: if the URL cannot be used.
    """
    return _make_engine(_parsed(url))


@lru_cache(maxsize=16)
def _opened(url: str, pid: int) -> Engine:  # an engine must not cross a fork: hence the process id
    with translating(url):
        engine = _make_engine(_parsed(url))
        revision = _revision(engine)
        if revision != HEAD and not _goes_on(engine, url):
            _require_own(engine, url, revision)
            _upgrade(engine, url)
        remember_file(engine)
    return engine


def _require_own(engine: Engine, url: str, revision: str | None) -> None:
    """Refuse to make tables beside others of the same names that no Windsock has made.

    :raises DatabaseRefusedError: if there are such tables.
    """
    from sqlalchemy import inspect

    if revision is None and (there := sorted(COLUMNS.keys() & set(inspect(engine).get_table_names()))):
        with engine.connect() as connection:
            raise foreign_tables(connection, shown_url(url), there, VERSION_TABLE)


def _goes_on(engine: Engine, url: str) -> bool:
    """Return whether the tables are those of this version, whatever the table of revisions says.

    It is one line of text that anybody may change who may write to the database: it stops no roll back. A
    migration that changes what these tables mean changes a column of one of them.
    """
    from sqlalchemy import inspect

    inspector = inspect(engine)
    for table, columns in COLUMNS.items():
        if not inspector.has_table(table):
            return False
        if {column["name"] for column in inspector.get_columns(table)} != set(columns.split()):
            return False
    log.error(
        "WS-LEDGER-030: the table %s of %s does not say revision %s, but every other table is of it: "
        "Windsock goes on. Find out who changed it, then write the one row '%s' into its column version_num.",
        VERSION_TABLE,
        shown_url(url),
        HEAD,
        HEAD,
    )
    return True


def _parsed(url: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if url.startswith("postgres://"):  # as Airflow and hosting services write it; SQLAlchemy knows it no more
        url = f"postgresql+psycopg://{url.removeprefix('postgres://')}"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "the control database's URL cannot be read",
            code="WS-DATABASE-003",
            next_action="Set WINDSOCK_DATABASE_URL to sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
        ) from None  # its text may hold a part of the password
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql") or not parsed.database or parsed.database == ":memory:":
        raise SettingsError(
            f"the control database cannot be kept in {kind if kind != 'sqlite' else 'memory'}",
            code="WS-DATABASE-003",
            next_action="Set WINDSOCK_DATABASE_URL to sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
        )
    return parsed


def _make_engine(url: URL) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError

    if url.get_backend_name() == "sqlite":
        return _make_sqlite(url)
    try:
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=2,
            hide_parameters=True,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
    except (ImportError, NoSuchModuleError) as error:
        raise SettingsError(
            f"no driver for {url.drivername} is installed",
            code="WS-DATABASE-003",
            next_action="Install airflow-windsock[postgres].",
        ) from error


def _make_sqlite(url: URL) -> Engine:
    from sqlalchemy import create_engine, event

    if (file := file_of(url)) is not None:  # a URI of SQLite's own says itself what is made
        make_folder(file.parent)
        make_file(file)  # SQLite gives its own files, -wal and -shm, the rights of the database
        for name in (file.name, f"{file.name}-wal", f"{file.name}-shm", f"{file.name}.lock"):
            tighten(file.with_name(name))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver opens no transactions of its own; "begin" below does
        connection.execute("PRAGMA foreign_keys=ON")
        # A text that is no UTF-8 is that row's fault, not that of every row that is read with it.
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that will write takes the lock at once: one that reads first and writes later fails
        # without waiting when another one wrote in between.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return _revision_of(connection)


def _revision_of(connection: Connection) -> str | None:
    from sqlalchemy import inspect, text

    inspector = inspect(connection)
    if not inspector.has_table(VERSION_TABLE):
        return None
    if "version_num" not in {column["name"] for column in inspector.get_columns(VERSION_TABLE)}:
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    return str(found) if found else None


def _upgrade(engine: Engine, url: str) -> None:
    if engine.dialect.name == "sqlite":
        _upgrade_sqlite(engine, url)
    else:
        _upgrade_postgresql(engine, url)
    log.info("the schema of %s is at revision %s", shown_url(url), HEAD)


def _upgrade_sqlite(engine: Engine, url: str) -> None:
    from filelock import FileLock, Timeout

    file = Path(str(engine.url.database)).absolute()
    try:
        with FileLock(file.with_name(f"{file.name}.lock"), timeout=LOCK_SECONDS, mode=rights().file):
            before = _revision(engine)
            if before == HEAD:
                return
            raw = engine.raw_connection()  # the journal's kind cannot be changed in a transaction
            raw.cursor().execute("PRAGMA journal_mode=WAL")
            raw.close()
            with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
                _run_migrations(connection)
                _sign_old_rows(connection, before, url)
    except Timeout as error:
        raise DatabaseUnavailableError(
            f"another process has been upgrading {file.name} for {LOCK_SECONDS} s",
            next_action="See what holds the lock file beside it, then clear this task.",
        ) from error


def _upgrade_postgresql(engine: Engine, url: str) -> None:
    from sqlalchemy import text

    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        before = _revision_of(connection)
        _run_migrations(connection)
        _sign_old_rows(connection, before, url)


def _sign_old_rows(connection: Connection, before: str | None, url: str) -> None:
    """Have the ledger's rows from before signatures signed for, in the transaction of the upgrade.

    :param before: revision before the upgrade.
    """
    from sqlalchemy import text

    if before not in UNSIGNED or connection.execute(text("SELECT count(*) FROM ledger")).scalar() == 0:
        return
    if url not in _anchors:
        raise SettingsError(
            "the control database is from before signatures, and nothing here can sign for the ledger's rows",
            code="WS-DATABASE-004",
            next_action="Run `windsock ledger NAME` once where the signing key is, beside the scheduler.",
        )
    for anchor in _anchors[url].values():
        anchor(connection)


def _run_migrations(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    for name in ("alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise SettingsError(
            f"the control database's schema is not one that this version knows; it needs revision {HEAD}",
            code="WS-DATABASE-002",
            next_action="Install the Windsock version that the rest of the installation uses.",
        ) from error


@contextmanager
def translating(url: str) -> Iterator[None]:
    """Turn what the driver says about its database into Windsock's own error."""
    from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    try:
        yield
    except (IntegrityError, DataError):
        raise
    except (DBAPIError, PoolTimeoutError, OSError) as error:
        # Without a cause: a driver's text repeats the whole statement, and there is nothing to learn from it.
        raise translated(error, shown_url(url), _parsed(url)) from None
