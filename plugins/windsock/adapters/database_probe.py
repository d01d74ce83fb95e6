"""What a control database is like, asked without making or changing anything in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.database import (
    COLUMNS,
    HEAD,
    VERSION_TABLE,
    WRITES,
    shown_url,
    translating,
    unopened,
)
from windsock.adapters.database_faults import foreign_tables
from windsock.exceptions import DatabaseRefusedError

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, kw_only=True)
class DatabaseState:
    """How a control database answered.

    :param shown: its address without a password.
    :param seconds: how long the answers took.
    :param revision: of its schema; ``None``: it has no tables of Windsock yet.
    :param clock_ahead: seconds that its clock is ahead of this one's; ``None``: it has no clock of its own.
    """

    shown: str
    seconds: float
    revision: str | None
    needed: str = HEAD
    clock_ahead: float | None = None


def probe_database(url: str) -> DatabaseState:
    """Ask a control database whether Windsock can work with it.

    :raises DatabaseRefusedError: if a right, a schema or a table is not as it must be.
    :raises DatabaseUnavailableError: if it does not answer.
    :raises SettingsError: if the address cannot be used.
    """
    shown, begun = shown_url(url), time.monotonic()
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return DatabaseState(shown=shown, seconds=0.0, revision=None)
    with translating(url):
        engine = unopened(url)
        try:
            with engine.connect() as connection, connection.begin():
                ahead = _rights(connection) if connection.dialect.name == "postgresql" else None
                revision = _revision(connection, shown)
            if connection.dialect.name == "sqlite":
                _write_nothing(engine)
        finally:
            engine.dispose()
    return DatabaseState(shown=shown, seconds=time.monotonic() - begun, revision=revision, clock_ahead=ahead)


def _revision(connection: Connection, shown: str) -> str | None:
    from sqlalchemy import inspect, text

    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        if there := sorted(COLUMNS.keys() & tables):
            raise foreign_tables(connection, shown, there, VERSION_TABLE)
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    return str(found) if found else None


def _rights(connection: Connection) -> float:
    """See that the role may make tables where it would make them; return how far the clock is ahead."""
    from sqlalchemy import text

    asked = datetime.now(UTC)
    now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    middle = asked + (datetime.now(UTC) - asked) / 2
    row = connection.execute(text("SELECT current_user, current_schema(), current_database()")).one()
    role, schema, database = (None if part is None else str(part) for part in row)
    if schema is None:
        raise DatabaseRefusedError(
            f"the role {role} has no schema: its search_path names none that is there",
            next_action=f"Run as the database's administrator: CREATE SCHEMA windsock AUTHORIZATION {role}; "
            f"ALTER ROLE {role} IN DATABASE {database} SET search_path = windsock;",
        )
    may = text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
    if not connection.execute(may).scalar_one():
        raise DatabaseRefusedError(
            f"the role {role} may not make tables in the schema {schema}: the next upgrade fails",
            next_action="Run as the database's administrator: GRANT USAGE, CREATE ON SCHEMA "
            f"{schema} TO {role};",
        )
    return float((now - middle).total_seconds())


def _write_nothing(engine: Any) -> None:
    """Take the writers' turn and give it back: another writer that holds it, or a right, shows there."""
    with (
        engine.connect().execution_options(**{WRITES: True}) as connection,
        connection.begin() as transaction,
    ):
        transaction.rollback()
