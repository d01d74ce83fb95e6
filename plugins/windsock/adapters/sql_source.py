"""SQL sources: a table or a query, read only, in chunks, without a word of its credentials.

What a model's file says runs in a process of its own, whose time and memory the system limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from windsock.adapters.plain_values import read_column
from windsock.adapters.query_limits import QueryLimits
from windsock.adapters.query_process import QueryEndedError, QueryLimitError, QueryRefusedError, ask
from windsock.adapters.source_limits import MAX_ROWS, require_columns, require_rows
from windsock.exceptions import (
    DataRefusedError,
    SettingsError,
    SourceUnavailableError,
    TransportError,
    WindsockError,
)
from windsock.library_texts import library_text
from windsock.spec import SqlSource, digest_of

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection, Engine

CHUNK_ROWS = 50_000
SECONDS = 3600.0
MEMORY_MB = 4096
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\$(\w*)\$.*?\$\1\$", re.DOTALL)
READS = ("select", "with", "values", "table", "from")
READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
TRANSIENT = re.compile(
    r"locked|unable to open|disk i/o|timeout|timed out|connection|server|closed", re.IGNORECASE
)
"""SQLite and MySQL say by the same exception that a column is unknown and that the file is locked."""


def source_limits(seconds: float = SECONDS, memory_mb: int = MEMORY_MB) -> QueryLimits:
    """Return the limits of reading one source."""
    return QueryLimits(
        seconds=seconds,
        memory_mb=memory_mb,
        seconds_setting="WINDSOCK_SOURCE_SECONDS",
        memory_setting="WINDSOCK_SOURCE_MEMORY_MB",
    )


def read_sql(source: SqlSource, url: str, limits: QueryLimits) -> tuple[pd.DataFrame, str]:
    """Read a table or a query whole.

    :param url: SQLAlchemy URL; it appears in no message.
    :param limits: of the process that reads.
    :returns: the rows, and kind and place of the source.
    :raises DataRefusedError: if the query or the table is wrong, or goes beyond a limit.
    :raises SourceUnavailableError: if the database does not answer.
    """
    described = f"sql: {source.conn_id}/{source.table or 'query ' + digest_of(source.query)[:12]}"
    if source.query:
        _require_reading(source.query, described)
    request = {
        "url": url,
        "conn_id": source.conn_id,
        "described": described,
        "table": source.table,
        "query": source.query,
        "chunk_rows": CHUNK_ROWS,
        "most_rows": MAX_ROWS,
    }
    try:
        return _received(ask("windsock.adapters.source_process", request, limits), described), described
    except QueryLimitError as error:
        raise DataRefusedError(
            f"{described}: {error}",
            code="WS-DATA-019",
            next_action="Read less (fewer columns, a narrower time, a view), or raise the setting.",
        ) from None
    except QueryRefusedError as error:
        raise _said_by_process(error, described) from None
    except QueryEndedError as error:
        raise SourceUnavailableError(f"{described}: reading failed: {error}") from None


def _received(answers: Iterator[Any], described: str) -> pd.DataFrame:
    import pandas as pd

    names: list[str] = [str(name) for name in next(answers)]
    require_columns(names, described)
    parts, rows = [], 0
    for piece in answers:
        if isinstance(piece, int):
            require_rows(piece, described)
        columns = [read_column(column) for column in piece]
        rows += len(columns[0])
        parts.append(
            pd.DataFrame(
                {name: pd.Series(values, dtype=object) for name, values in zip(names, columns, strict=True)}
            )
        )
    require_rows(rows, described)
    return pd.concat(parts, ignore_index=True)


def _said_by_process(error: QueryRefusedError, described: str) -> WindsockError:
    kinds = {kind.__name__: kind for kind in (DataRefusedError, SettingsError, SourceUnavailableError)}
    if error.kind in kinds:
        return kinds[error.kind](error.message, code=error.code, next_action=error.next_action)
    return SourceUnavailableError(f"{described}: reading failed with {error.kind[:60]}")


@contextmanager
def reading(url: str, conn_id: str, described: str) -> Iterator[Connection]:
    """Open a database to read from it; what it says is turned into our words.

    :param url: SQLAlchemy URL; it appears in no message.
    :param described: what is read, for messages.
    :raises DataRefusedError: if a statement is wrong.
    :raises SourceUnavailableError: if the database does not answer.
    :raises SettingsError: if the connection cannot be used.
    """
    engine = _engine(url, conn_id)
    try:
        with _connected(engine, conn_id) as connection, _spoken(engine, described):
            yield connection
    finally:
        engine.dispose()


def _require_reading(query: str, described: str) -> None:
    plain = QUOTED.sub("''", COMMENT.sub(" ", query)).strip().rstrip(";").lstrip("( \t\r\n")
    first = plain.split(None, 1)[0].lower() if plain else "nothing"
    if first in READS and ";" not in plain:
        return
    what = "holds more than one statement" if ";" in plain else f"begins with {first[:30]!r}"
    raise DataRefusedError(
        f"{described}: a source only reads: the query must be one SELECT (or WITH), but it {what}",
        code="WS-DATA-017",
        next_action="Write one SELECT in `data.source.query`.",
    )


def _engine(url: str, conn_id: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError
    from sqlalchemy.pool import NullPool

    try:
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        missing = getattr(error, "name", None)
        raise SettingsError(
            f"connection {conn_id!r} cannot be used: "
            + (f"its driver {missing!r} is not installed" if missing else type(error).__name__),
            code="WS-SETTINGS-004",
            next_action="Mend the connection, or install the driver of its database.",
        ) from None


@contextmanager
def _connected(engine: Engine, conn_id: str) -> Iterator[Connection]:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        connection = engine.connect()
        if statement := READ_ONLY.get(engine.dialect.name):
            connection.exec_driver_sql(statement)
            connection.rollback()
    except (SQLAlchemyError, OSError) as error:
        raise SourceUnavailableError(
            f"the database of connection {conn_id!r} does not answer ({_class_of(error)})",
            next_action="See that it is up, and that host, user and password of the connection are right.",
        ) from None
    with connection:
        yield connection
        connection.rollback()


@contextmanager
def _spoken(engine: Engine, described: str) -> Iterator[None]:
    """Turn what the database says into our words: its messages may quote values, so few of them pass."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except WindsockError:
        raise
    except DBAPIError as error:
        raise _database_error(error, engine, described) from None
    except (SQLAlchemyError, OSError) as error:
        raise SourceUnavailableError(f"{described}: reading failed with {type(error).__name__}") from None


def _database_error(error: Any, engine: Engine, described: str) -> DataRefusedError | TransportError:
    from sqlalchemy.exc import DataError, InternalError, NotSupportedError, OperationalError, ProgrammingError

    said = library_text(error.orig)
    ambiguous = isinstance(error, OperationalError) and engine.dialect.name in ("sqlite", "mysql", "mariadb")
    refused = (ProgrammingError, DataError, NotSupportedError, InternalError)
    wrong = isinstance(error, refused) or (ambiguous and not TRANSIENT.search(str(error.orig)))
    if error.connection_invalidated or not wrong:
        return SourceUnavailableError(f"{described}: the database failed while reading ({_class_of(error)})")
    shown = "" if isinstance(error, DataError) else f": {said}"
    return DataRefusedError(
        f"{described}: the database refuses the query ({_class_of(error)}){shown}",
        code="WS-DATA-017",
        next_action="Mend the query or the table's name in `data.source`.",
    )


def _class_of(error: Exception) -> str:
    return type(getattr(error, "orig", None) or error).__name__
