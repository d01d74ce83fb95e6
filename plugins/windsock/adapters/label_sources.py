"""Labels where they arrive: posted to the server, in a table, or in a file; read in pieces, never whole."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.csv_layout import DELIMITERS
from windsock.adapters.log_format import OUTCOMES
from windsock.adapters.log_reading import LogReader, moments_of
from windsock.adapters.sql_source import reading
from windsock.exceptions import DataRefusedError, MonitoringError, SourceUnavailableError, WindsockError
from windsock.records import Span
from windsock.spec import LabelsBlock
from windsock.statistics.labels import plain_label

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FILE_CODE = "WS-MONITORING-042"
TABLE_CODE = "WS-MONITORING-043"
CHUNK_ROWS = 50_000
BLOCK = 16 * 1024 * 1024
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
"""A label's time may be a mere date: labels of a day before the stretch are read, too."""
COLUMNS = ("prediction_id", "unit", "event_id", "outcome", "label_time", "at")
"""Of every piece. ``outcome`` is as it came; ``at`` is when what it says happened."""
CSV_ENDINGS, PARQUET_ENDINGS = (".csv", ".tsv", ".txt"), (".parquet", ".pq")


@dataclass
class Damage:
    """Lines of the outcomes' log that could not be read."""

    lines: int = 0


def posted_labels(
    reader: LogReader, model: str, start: datetime, as_of: datetime, damage: Damage
) -> Iterator[pd.DataFrame]:
    """Yield labels that were posted to the server, with those of an hour after ``as_of`` to be counted.

    :raises StorageError: if the log cannot be read.
    """
    span = Span(start=start, end=max(as_of, start) + HOUR)
    names = ["prediction_id", "unit", "event_id", "outcome", "event_time", "receive_time"]
    for name in reader.hours(OUTCOMES, model, span):
        with reader.hour(OUTCOMES, model, name) as hour:
            for table in hour.tables(moments_of(span), columns=names):
                yield _posted(table.select(names))
        damage.lines += hour.damaged


def _posted(table: pa.Table) -> pd.DataFrame:
    import msgspec
    import pandas as pd
    import pyarrow as pa

    decode = msgspec.json.Decoder().decode
    said = table["outcome"].to_pylist()
    known: dict[str, Any] = {text: decode(text) for text in set(said) if text is not None}
    names = ["prediction_id", "unit", "event_id", "receive_time", "event_time"]
    texts = {name: table[name].cast(pa.string()) for name in names[:3]}
    frame: pd.DataFrame = pa.table({**texts, **{name: table[name] for name in names[3:]}}).to_pandas()
    frame["outcome"] = pd.Series([known.get(text) for text in said], dtype=object, index=frame.index)
    frame["at"] = frame["event_time"].fillna(frame["receive_time"])
    return frame.rename(columns={"receive_time": "label_time"})[list(COLUMNS)]


def table_labels(
    labels: LabelsBlock, connections: Callable[[str], str], start: datetime
) -> Iterator[pd.DataFrame]:
    """Yield labels of a table, without a word of its credentials; in no order.

    Where rows have a time, those that are older than the stretch are not read. Labels without one are, so
    that they can be counted; a row with neither is not known yet.

    :raises SourceUnavailableError: if the database does not answer.
    :raises MonitoringError: if the table or a column is not there, or its times cannot be read.
    """
    assert labels.conn_id is not None  # noqa: S101 - the spec says so
    described = f"the labels' table {labels.table!r} of connection {labels.conn_id!r}"
    try:
        with reading(connections(labels.conn_id), labels.conn_id, described) as connection:
            statement = _statement(connection, labels, start, described)
            result = connection.execution_options(stream_results=True).execute(statement)
            for chunk in result.yield_per(CHUNK_ROWS).partitions():
                yield _piece(dict(zip(_wanted(labels), zip(*chunk, strict=True), strict=True)), labels)
    except DataRefusedError as error:
        raise _refused_by(error.message) from None
    except ValueError as error:  # a driver's message may quote a value
        if isinstance(error, WindsockError):
            raise
        raise _refused_by(f"{described}: a value cannot be read as its column's type") from None


def _refused_by(message: str) -> MonitoringError:
    return MonitoringError(
        message,
        code=TABLE_CODE,
        next_action="Mend `monitoring.labels` in the model's YAML file, or the table.",
    )


def _wanted(labels: LabelsBlock) -> list[str]:
    names = [labels.prediction_id, labels.outcome]
    return [*names, labels.label_time] if labels.label_time else names


def _statement(connection: Any, labels: LabelsBlock, start: datetime, described: str) -> Any:
    from sqlalchemy import Date, DateTime, MetaData, Table, and_, or_, select
    from sqlalchemy.exc import NoSuchTableError

    schema, _, name = (labels.table or "").rpartition(".")
    try:
        table = Table(name, MetaData(), schema=schema or None, autoload_with=connection)
    except NoSuchTableError:
        raise _refused_by(f"{described} is not there") from None
    missing = [column for column in _wanted(labels) if column not in table.c]
    if missing:
        raise _refused_by(f"{described} has no column {', '.join(map(repr, missing))}")
    statement = select(*[table.c[column] for column in _wanted(labels)])
    if labels.label_time is None:
        return statement
    column = table.c[labels.label_time]
    dated: Any = column.is_not(None)
    if isinstance(column.type, DateTime | Date):
        earliest = start - DAY
        bound = earliest if getattr(column.type, "timezone", False) else earliest.replace(tzinfo=None)
        dated = column >= bound
    undated = and_(column.is_(None), table.c[labels.outcome].is_not(None))
    return statement.where(or_(dated, undated))


def file_labels(labels: LabelsBlock, roots: tuple[Path, ...]) -> Iterator[pd.DataFrame]:
    """Yield labels of a CSV or Parquet file that lies below one of the roots, in the order of its rows.

    :raises MonitoringError: if it lies elsewhere, is not there, is of another kind, damaged, or lacks a
        column.
    :raises SourceUnavailableError: if it cannot be read.
    """
    file = _find(labels.path or "", roots)
    try:
        if file.suffix.lower() in PARQUET_ENDINGS:
            yield from _parquet_pieces(file, labels)
        else:
            yield from _csv_pieces(file, labels)
    except OSError as error:
        raise SourceUnavailableError(
            f"the labels' file {file} cannot be read: {error.strerror or type(error).__name__}",
            next_action="Give this user the right to read it, or see to its disk.",
        ) from None


def _find(path: str, roots: tuple[Path, ...]) -> Path:
    places = [root.resolve() for root in roots]
    given = Path(path)
    candidates = [given.resolve()] if given.is_absolute() else [(root / given).resolve() for root in places]
    inside = [file for file in candidates if any(file.is_relative_to(root) for root in places)]
    shown = ", ".join(map(str, places))
    if not inside:
        raise _refused(f"the labels' file {path!r} does not lie below the folders of sources: {shown}")
    found = next((file for file in inside if file.is_file()), None)
    if found is None:
        raise _refused(f"the labels' file {path!r} is not there; looked below {shown}")
    if found.suffix.lower() not in (*CSV_ENDINGS, *PARQUET_ENDINGS):
        known = ", ".join((*CSV_ENDINGS, *PARQUET_ENDINGS))
        raise _refused(f"the labels' file {path!r} is neither CSV nor Parquet; known endings: {known}")
    return found


def _parquet_pieces(file: Path, labels: LabelsBlock) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        content = parquet.ParquetFile(file)
        _require(content.schema_arrow.names, labels, file)
        for batch in content.iter_batches(batch_size=CHUNK_ROWS, columns=_wanted(labels)):
            yield _piece({name: batch[name].to_pylist() for name in _wanted(labels)}, labels)
    except pa.ArrowException as error:
        raise _refused(f"the labels' file {file} is no whole Parquet file: {type(error).__name__}") from None


def _csv_pieces(file: Path, labels: LabelsBlock) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names, delimiter = _header(file, labels)
    wanted = _wanted(labels)
    try:
        with arrow_csv.open_csv(
            file,
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=BLOCK, column_names=names, skip_rows=1
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                strings_can_be_null=False,
            ),
        ) as batches:
            for batch in batches:
                columns = {name: [text or None for text in batch[name].to_pylist()] for name in wanted}
                yield _piece(columns, labels)
    except pa.ArrowException as error:  # its message would quote a row
        raise _refused(f"the labels' file {file} cannot be cut into rows: {type(error).__name__}") from None


def _header(file: Path, labels: LabelsBlock) -> tuple[list[str], str]:
    """Return the names in the first row, and the delimiter that finds the needed ones there."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
    except UnicodeDecodeError:
        raise _refused(f"the labels' file {file} is not UTF-8 text") from None
    for delimiter in DELIMITERS:
        names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        if set(_wanted(labels)) <= set(names):
            _require(names, labels, file)
            return names, delimiter
    _require([name.strip() for name in next(csv.reader([first]), [])], labels, file)
    raise AssertionError("a needed column is not there")  # pragma: no cover


def _require(names: list[str], labels: LabelsBlock, file: Path) -> None:
    missing = [name for name in _wanted(labels) if names.count(name) != 1]
    if missing:
        raise _refused(f"the labels' file {file} has not one column {', '.join(map(repr, missing))}")


def _refused(message: str) -> MonitoringError:
    return MonitoringError(
        message,
        code=FILE_CODE,
        next_action="Mend `monitoring.labels` in the model's YAML file, or the file.",
    )


def _piece(columns: Mapping[str, Any], labels: LabelsBlock) -> pd.DataFrame:
    """Return labels of a table or a file in the common columns."""
    import pandas as pd

    identifiers = [_identifier(value) for value in columns[labels.prediction_id]]
    made = pd.DataFrame({"prediction_id": pd.Series(identifiers, dtype=object)})
    made["unit"], made["event_id"] = None, None
    made["outcome"] = pd.Series(list(columns[labels.outcome]), dtype=object)
    times = pd.Series(pd.NaT, index=made.index, dtype="datetime64[us, UTC]")
    if labels.label_time:
        given = pd.Series([_moment(value) for value in columns[labels.label_time]], dtype=object)
        times = pd.to_datetime(given, utc=True, errors="coerce", format="ISO8601").astype(times.dtype)
    made["label_time"], made["at"] = times, times
    return made


def _identifier(value: Any) -> str | None:
    if isinstance(value, Decimal):
        value = plain_label(value)
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _moment(value: Any) -> Any:
    """Return a time as ISO text; a number has no unit, so it is no time."""
    if value is None or isinstance(value, int | float):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value).strip()
