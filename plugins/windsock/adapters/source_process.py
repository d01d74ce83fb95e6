"""The process of an SQL source: it reads a table or a query and hands the rows over as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from windsock.adapters.plain_values import write_column
from windsock.adapters.query_process import ROWS, Answer, serve
from windsock.adapters.source_limits import require_columns, require_rows
from windsock.exceptions import DataRefusedError

if TYPE_CHECKING:
    from sqlalchemy import Connection

CELLS = 1_000_000
"""Most values of a piece, so that a process of little memory can read wide tables."""


def read_rows(asked: Mapping[str, Any], payload: IO[bytes], answer: Answer) -> None:
    """Answer with the columns' names, then with pieces of rows, column by column.

    :param asked: ``url``, ``conn_id``, ``described``, ``table`` or ``query``, ``chunk_rows``, ``most_rows``,
        and the limits.
    """
    from windsock.adapters.sql_source import reading

    answer.begin(asked)
    described = str(asked["described"])
    with reading(str(asked["url"]), str(asked["conn_id"]), described) as connection:
        statement = asked["query"] or _select(connection, str(asked["table"]), described)
        _send_rows(connection, statement, asked, answer)


def _send_rows(connection: Connection, statement: Any, asked: Mapping[str, Any], answer: Answer) -> None:
    plain = isinstance(statement, str)
    reading = connection.execution_options(stream_results=True, no_parameters=plain)
    result = reading.exec_driver_sql(statement) if plain else reading.execute(statement)
    names = [str(name) for name in list(result.keys())]
    require_columns(names, str(asked["described"]))
    answer.send(ROWS, names)
    rows = 0
    for piece in result.yield_per(max(1, min(int(asked["chunk_rows"]), CELLS // len(names)))).partitions():
        rows += len(piece)
        if rows > int(asked["most_rows"]):
            break  # whoever asked says so
        answer.send(ROWS, [write_column(values) for values in zip(*piece, strict=True)])
    if rows > int(asked["most_rows"]):
        answer.send(ROWS, rows)
    elif rows == 0:
        require_rows(rows, str(asked["described"]))


def _select(connection: Connection, table: str, described: str) -> Any:
    from sqlalchemy import MetaData, Table, select
    from sqlalchemy.exc import NoSuchTableError

    schema, _, name = table.rpartition(".")
    try:
        found = Table(name, MetaData(), schema=schema or None, autoload_with=connection)
    except NoSuchTableError:
        raise DataRefusedError(
            f"{described}: the database has no table {table!r}",
            code="WS-DATA-017",
            next_action="Mend the table's name; write SCHEMA.TABLE where it is not in the default schema.",
        ) from None
    return select(found)


def main() -> None:
    """Read the source on the standard input."""
    serve(read_rows)
