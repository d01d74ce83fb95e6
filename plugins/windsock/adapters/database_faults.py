"""What a control database refuses, and what it does not answer: only the latter is tried again."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.exceptions import DatabaseRefusedError, DatabaseUnavailableError, WindsockError
from windsock.library_texts import library_text

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

PASSING = frozenset({"08", "40", "53", "55", "57", "58", "25", "XX"})
"""Classes of SQLSTATE that pass by themselves: connection, conflict, resources, locks, shutdown, faults."""
REFUSING_SQLITE = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
    }
)
"""SQLite's codes of what stays as it is: rights, a file that is no database or damaged, a table not there."""
NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})
AT_CONNECT = (
    (re.compile(r"password authentication failed|no password supplied|fe_sendauth"), "28P01"),
    (re.compile(r"no pg_hba\.conf entry|is not permitted to log in|role \"[^\"]*\" does not exist"), "28000"),
    (re.compile(r"database \"[^\"]*\" does not exist"), "3D000"),
    (re.compile(r"permission denied for database"), "42501"),
)
"""What PostgreSQL says before a session has begun: drivers hand on its text, and no SQLSTATE."""
FOREIGN = "WS-DATABASE-006"
LOGIN = "WS-DATABASE-007"


def translated(error: BaseException, shown: str, url: URL) -> WindsockError:
    """Return Windsock's error for what a driver raised.

    :param shown: the database, for the message.
    """
    cause = getattr(error, "orig", None) or error
    said = f"{type(cause).__name__}: {library_text(cause)}"
    state = sqlstate(cause)
    if state is not None and state[:2] not in PASSING:
        return _refused(state, said, shown, url)
    if _is_refusing_sqlite(cause):
        return DatabaseRefusedError(
            f"the control database {shown} cannot be used: {said}",
            next_action="See that it is the right file (WINDSOCK_DATABASE_URL, WINDSOCK_HOME), a whole one, "
            "and that this user may write it and its folder; else restore it from a backup.",
        )
    if isinstance(cause, OSError) and cause.errno in NOT_WRITABLE:
        return DatabaseRefusedError(
            f"the control database {shown} cannot be written: {cause.strerror}",
            next_action="Give this user the right to write the file and its folder, or name another one with "
            "WINDSOCK_DATABASE_URL or WINDSOCK_HOME.",
        )
    return DatabaseUnavailableError(f"the control database {shown} does not answer: {said}")


def sqlstate(cause: Any) -> str | None:
    """Return the SQLSTATE of what a driver raised; ``None``: it has none."""
    found = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if found:
        return str(found)
    text = str(cause)
    return next((state for pattern, state in AT_CONNECT if pattern.search(text)), None)


def foreign_tables(
    connection: Connection, shown: str, tables: Sequence[str], versions: str
) -> DatabaseRefusedError:
    """Return the refusal of a schema that holds tables of others.

    :param tables: names that this version needs.
    :param versions: the table that says of which revision a schema of Windsock is.
    """
    where, cure = "it", "Name another file with WINDSOCK_DATABASE_URL."
    if connection.dialect.name == "postgresql":
        role, schema, database = _names(connection)
        where, cure = f"its schema {schema}", _own_schema(role, database)
    return DatabaseRefusedError(
        f"the control database {shown}: {where} holds {', '.join(tables)} already, and no {versions}"
        " that says that Windsock made them; nothing was changed",
        code=FOREIGN,
        next_action=cure,
    )


def _refused(state: str, said: str, shown: str, url: URL) -> DatabaseRefusedError:
    role, database = _quoted(url.username or "ROLE"), _quoted(url.database or "DATABASE")
    code, cure = None, "Fix what the database names, as its administrator, then run it again."
    if state == "42501":
        cure = (
            "Windsock's role makes and changes its own tables. Run as the database's administrator: GRANT "
            f"CONNECT ON DATABASE {database} TO {role}; GRANT USAGE, CREATE ON SCHEMA {_schema(said)} TO "
            f"{role}; tables of another owner: ALTER TABLE NAME OWNER TO {role};"
        )
    elif state == "3F000":
        cure = f"Its search_path names no schema that is there. {_own_schema(role, database)}"
    elif state in ("42P07", "42P01", "42703", "42P06", "42704", "42804"):
        code = FOREIGN
        cure = f"The schema holds tables that are not those of this Windsock. {_own_schema(role, database)}"
    elif state in ("28P01", "28000"):
        code, cure = LOGIN, "Correct user and password in WINDSOCK_DATABASE_URL, or let the role log in."
    elif state == "3D000":
        code = LOGIN
        cure = f"Run as the database's administrator: CREATE DATABASE {database} OWNER {role};"
    return DatabaseRefusedError(
        f"the control database {shown} refuses: {said} (SQLSTATE {state})", code=code, next_action=cure
    )


def _own_schema(role: str, database: str) -> str:
    return (
        f"Run as the database's administrator: CREATE SCHEMA windsock AUTHORIZATION {role}; ALTER ROLE "
        f"{role} IN DATABASE {database} SET search_path = windsock;"
    )


def _schema(said: str) -> str:
    found = re.search(r"permission denied for schema (\w+)", said)
    return found[1] if found else "public"


def _names(connection: Connection) -> tuple[str, str, str]:
    from sqlalchemy import text

    query = text("SELECT current_user, current_schema(), current_database()")
    role, schema, database = connection.execute(query).one()
    return _quoted(str(role)), str(schema), _quoted(str(database))


def _quoted(name: str) -> str:
    """Return a name as SQL takes it."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"{}"'.format(name.replace('"', '""'))


def _is_refusing_sqlite(cause: BaseException) -> bool:
    code = getattr(cause, "sqlite_errorcode", None)
    return isinstance(cause, sqlite3.Error) and code is not None and code & 0xFF in REFUSING_SQLITE
