"""``DuckdbBusinessQuery``: a number of the business, by SQL over rows in memory and over nothing else."""

from __future__ import annotations

import math
import re
from threading import Timer
from typing import TYPE_CHECKING, Any

from windsock.exceptions import MonitoringError
from windsock.library_texts import library_text

if TYPE_CHECKING:
    import pandas as pd

CODE = "WS-MONITORING-044"
SECONDS = 60.0
"""A query that takes longer is stopped."""
MEMORY = "1GB"
QUERY = re.compile(r"\s*(select|with|from|values)\b", re.IGNORECASE)
CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": MEMORY,
    "threads": "2",
}
"""No file, no network, no variable of this process: the query sees the rows that it is given."""


class DuckdbBusinessQuery:
    """Runs one query on an empty database in memory, which is closed again.

    :param seconds: a query that takes longer is stopped.
    """

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self.seconds = seconds

    def number(self, sql: str, frame: pd.DataFrame) -> float | None:
        """Return the one number that a query gives; see :class:`~windsock.ports.BusinessQuery`."""
        import duckdb

        statement = sql if QUERY.match(sql) else f"SELECT {sql} FROM predictions"  # noqa: S608 - the owner wrote it
        try:
            with duckdb.connect(":memory:", config=dict(CLOSED)) as connection:
                connection.register("predictions", _typed(frame))
                connection.execute("SET lock_configuration = true")
                rows = self._rows(connection, statement)
        except duckdb.InterruptException:
            raise _refused(f"it took longer than {self.seconds:g} s and was stopped") from None
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise _refused(library_text(error)) from None
        except duckdb.Error as error:  # its message may quote a value
            raise _refused(f"DuckDB says {type(error).__name__}") from None
        return _number(rows)

    def _rows(self, connection: Any, statement: str) -> list[Any]:
        statements = connection.extract_statements(statement)
        if len(statements) != 1:
            raise _refused(f"it holds {len(statements)} statements; one is needed")
        timer = Timer(self.seconds, connection.interrupt)
        timer.start()
        try:
            rows: list[Any] = connection.execute(statements[0]).fetchmany(2)
        finally:
            timer.cancel()
        return rows


def _number(rows: list[Any]) -> float | None:
    if len(rows) != 1 or len(rows[0]) != 1:
        seen = f"{len(rows[0])} columns" if rows else "no row"
        raise _refused(f"it gives {seen if len(rows) < 2 else 'more than one row'}; one number is needed")
    value = rows[0][0]
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _refused(f"it gives a {type(value).__name__}; a number is needed") from None
    if math.isinf(number):
        raise _refused("it gives an infinite number")
    return None if math.isnan(number) else number


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Give columns of Python objects the type that all their values have; text where there are several."""
    import pandas as pd

    columns = {name: _column(frame[name]) for name in frame.columns}
    return pd.DataFrame(columns, index=frame.index)


def _column(values: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC").dt.tz_localize(None)
    if values.dtype != object:
        return values
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "boolean":
        return values.astype("boolean")
    if kind in ("integer", "floating", "mixed-integer-float"):
        return pd.to_numeric(values.where(values.notna(), math.nan)).astype("float64")
    known = values.map(_text, na_action="ignore")
    return known.where(values.notna(), None).astype("string")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refused(why: str) -> MonitoringError:
    return MonitoringError(
        f"`monitoring.performance.business.sql` gives no number: {why}",
        code=CODE,
        next_action="Mend the query in the model's YAML file; docs/labels.md lists the columns.",
    )
