"""The process of a business query: one query on an empty DuckDB in memory that holds the given rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, Any

from windsock.adapters.query_limits import THREADS
from windsock.adapters.query_process import OVER_MEMORY, ROWS, Answer, serve
from windsock.library_texts import library_text

QUERY = re.compile(r"\s*(select|with|from|values)\b", re.IGNORECASE)
CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "threads": str(THREADS),
}
"""No file, no network, no variable of this process: the query sees the rows that it is given."""


def statement_of(sql: str) -> str:
    """Return the query that is run for a text: itself, or that of an expression over the rows."""
    return sql if QUERY.match(sql) else f"SELECT {sql} FROM predictions"  # noqa: S608 - the owner wrote it


def run_query(asked: Mapping[str, Any], payload: IO[bytes], answer: Answer) -> None:
    """Answer with the type and the value of the only value that the query gives.

    :param asked: ``sql``, and the limits.
    :param payload: the rows, as a stream of Arrow.
    """
    import duckdb
    import pyarrow as pa

    statement = statement_of(str(asked["sql"]))
    table = pa.ipc.open_stream(payload).read_all()
    with duckdb.connect(":memory:", config=dict(CLOSED)) as connection:
        connection.register("predictions", table)
        connection.execute("SELECT count(*) FROM predictions").fetchall()  # its libraries are loaded by now
        connection.execute(f"SET memory_limit = '{int(asked['memory_mb'])}MiB'")
        connection.execute("SET lock_configuration = true")
        answer.begin(asked, writes=False)
        try:
            answer.send(ROWS, _told(connection, statement))
        except duckdb.OutOfMemoryException:
            answer.send(OVER_MEMORY)
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            answer.send(ROWS, {"refused": library_text(error)})
        except duckdb.Error as error:  # its message may quote a value
            answer.send(ROWS, {"refused": f"DuckDB says {type(error).__name__}"})


def _told(connection: Any, statement: str) -> dict[str, Any]:
    """Return the one value as a number, or why there is none."""
    statements = connection.extract_statements(statement)
    if len(statements) != 1:
        return {"refused": f"it holds {len(statements)} statements; one is needed"}
    rows = connection.execute(statements[0]).fetchmany(2)
    if len(rows) != 1 or len(rows[0]) != 1:
        seen = f"{len(rows[0])} columns" if rows else "no row"
        seen = seen if len(rows) < 2 else "more than one row"
        return {"refused": f"it gives {seen}; one number is needed"}
    value = rows[0][0]
    try:
        return {"value": None if value is None else float(value)}
    except (TypeError, ValueError):
        return {"refused": f"it gives a {type(value).__name__}; a number is needed"}


def main() -> None:
    """Answer the query on the standard input."""
    serve(run_query)
