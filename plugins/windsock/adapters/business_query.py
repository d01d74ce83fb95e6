"""``DuckdbBusinessQuery``: a number of the business, by SQL over rows in memory and over nothing else.

The query runs in a process of its own, whose time and memory the system limits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from windsock.adapters.business_process import statement_of
from windsock.adapters.query_limits import QueryLimits
from windsock.adapters.query_process import QueryEndedError, QueryLimitError, QueryRefusedError, ask
from windsock.exceptions import MonitoringError
from windsock.library_texts import library_text

if TYPE_CHECKING:
    import pandas as pd

CODE = "WS-MONITORING-044"
LIMIT_CODE = "WS-MONITORING-047"
SECONDS = 60.0
MEMORY_MB = 1024


class DuckdbBusinessQuery:
    """Runs one query on an empty database in the memory of a process that ends with it.

    :param seconds: a query that takes longer is killed.
    :param memory_mb: a query that needs more memory, beyond the rows, is stopped, in MiB.
    """

    def __init__(self, *, seconds: float = SECONDS, memory_mb: int = MEMORY_MB) -> None:
        self.limits = QueryLimits(
            seconds=seconds,
            memory_mb=memory_mb,
            seconds_setting="WINDSOCK_BUSINESS_SECONDS",
            memory_setting="WINDSOCK_BUSINESS_MEMORY_MB",
        )

    def number(self, sql: str, frame: pd.DataFrame) -> float | None:
        """Return the one number that a query gives; see :class:`~windsock.ports.BusinessQuery`."""
        try:
            answers = list(
                ask(
                    "windsock.adapters.business_process",
                    {"sql": sql},
                    self.limits,
                    payload=_arrow_stream(frame),
                    bare=True,
                )
            )
        except QueryLimitError as error:
            raise MonitoringError(
                f"`monitoring.performance.business.sql` gives no number: {error}",
                code=LIMIT_CODE,
                next_action="Write a query that takes less, or raise the setting for the programs that "
                "monitor.",
            ) from None
        except (QueryEndedError, QueryRefusedError) as error:
            raise _refused(f"its process failed ({getattr(error, 'kind', error)})") from None
        told = answers[0]
        if "refused" in told:
            raise _refused(str(told["refused"]))
        return _number(told["value"])


def syntax_fault(sql: str) -> str | None:
    """Return why a query of the business cannot be read as SQL; ``None``: it can, whatever its columns are.

    Nothing is run, and no rows are needed.
    """
    import duckdb

    try:
        statements = duckdb.extract_statements(statement_of(sql))
    except duckdb.Error as error:
        return library_text(error)
    return None if len(statements) == 1 else f"it holds {len(statements)} statements; one is needed"


def _number(value: float | None) -> float | None:
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        raise _refused("it gives an infinite number")
    return float(value)


def _arrow_stream(frame: pd.DataFrame) -> memoryview:
    import pyarrow as pa

    table = pa.Table.from_pandas(_typed(frame), preserve_index=False).replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


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
