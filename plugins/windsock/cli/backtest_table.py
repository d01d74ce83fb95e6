"""A dated table with its target, read as the rows that a model would have been asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.data.reading import read_column
from windsock.exceptions import MonitoringError, SpecError
from windsock.monitoring.backtest_history import DatedRows
from windsock.ports import LoadedBundle, Ports, SourceRead
from windsock.records import ColumnKind, ColumnRole, Span, ValueForm, entity_text
from windsock.spec import FileSource, ModelSpec, parse_duration
from windsock.training.preprocessing import to_features

if TYPE_CHECKING:
    import pandas as pd

CODE = "WS-MONITORING-075"
YEARS = (1970, 2200)
"""Times beyond these are slips of the pen."""


def read_table(spec: ModelSpec, ports: Ports, file: Path | None) -> SourceRead:
    """Read a file, or the model's source.

    :param file: CSV or Parquet; ``None``: the source.
    :raises SpecError: if there is none.
    :raises DataRefusedError: if it cannot be read as a table.
    """
    if file is not None:
        return ports.sources.read(FileSource(path=str(file.absolute())))
    if spec.data.source is None:
        raise SpecError(
            "the model names no source of data to replay",
            key="data.source",
            code="WS-SPEC-010",
            next_action="Write data.source, or name a file with --data.",
        )
    return ports.sources.read(spec.data.source)


def dated_rows(
    table: SourceRead, spec: ModelSpec, bundle: LoadedBundle, span: Span, *, event_time: str | None
) -> tuple[DatedRows, tuple[str, ...]]:
    """Return the rows of the span, those before it that look-backs and retrains reach, and what was noticed.

    :param event_time: the column that dates a row; ``None``: the spec's.
    :raises MonitoringError: if no column dates the rows, or none lies in the span.
    :raises DataRefusedError: if a feature is missing, or a value is of another kind.
    """
    import pandas as pd

    frame = table.frame
    times = _times(frame, event_time or spec.data.event_time, table.form)
    block = spec.monitoring
    reach = max(parse_duration(block.performance.window), parse_duration(block.retrain.recent))
    earliest, end = pd.Timestamp(span.start - reach), pd.Timestamp(span.end)
    undated = int(times.isna().sum())
    inside = ((times >= earliest) & (times < end)).to_numpy(dtype=bool)
    if not (times[inside] >= pd.Timestamp(span.start)).any():
        raise _none_inside(times, span)
    kept = times[inside].sort_values(kind="stable")
    rows = frame.loc[kept.index].reset_index(drop=True)
    features = to_features(
        _typed(rows, [field.name for field in bundle.schema.fields], table.form), bundle.schema.fields
    )
    outcomes, findings = _outcomes(rows, spec, table.form)
    if undated:
        findings += (f"{undated:,} of {len(frame):,} rows have no time and are left out",)
    made = DatedRows(
        times=kept.dt.tz_localize(None).to_numpy().astype("datetime64[us]"),
        features=features,
        outcomes=outcomes,
        units=_units(rows, spec),
    )
    return made, findings


def _times(frame: pd.DataFrame, name: str | None, form: ValueForm | None) -> pd.Series[Any]:
    if name is None or name not in frame:
        what = (
            "no column dates the rows"
            if name is None
            else f"the table has no column {name!r} to date its rows"
        )
        raise MonitoringError(
            f"{what}: a history is replayed in the order of its time",
            code=CODE,
            next_action="Name the column with --event-time, or as data.event_time in the model's file.",
        )
    read = read_column(frame[name], name, role=ColumnRole.EVENT_TIME, form=form)
    if read.kind is not ColumnKind.DATETIME:
        raise MonitoringError(
            f"column {name!r} is to date the rows, but holds {read.kind.value} values",
            code=CODE,
            next_action="Write times as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, or name another column.",
        )
    return read.values.reset_index(drop=True).set_axis(frame.index)


def _none_inside(times: pd.Series[Any], span: Span) -> MonitoringError:
    known = times.dropna()
    seen = (
        f"its rows are of {known.min():%Y-%m-%d %H:%M} to {known.max():%Y-%m-%d %H:%M}" if len(known) else ""
    )
    return MonitoringError(
        f"none of {len(times):,} rows lies between {span.start:%Y-%m-%d %H:%M} and {span.end:%Y-%m-%d %H:%M} "
        f"UTC; {seen or 'none has a time'}",
        code="WS-MONITORING-076",
        next_action="Move --from and --to to where the history has rows.",
    )


def _typed(rows: pd.DataFrame, names: list[str], form: ValueForm | None) -> pd.DataFrame:
    import pandas as pd

    columns = {name: read_column(rows[name], name, form=form).values for name in names if name in rows}
    return pd.DataFrame(columns, index=rows.index)


def _outcomes(
    rows: pd.DataFrame, spec: ModelSpec, form: ValueForm | None
) -> tuple[list[Any], tuple[str, ...]]:
    target = spec.data.target
    if target not in rows:
        unknown = f"the table has no column {target!r}: nothing is known of realised performance"
        return [None] * len(rows), (unknown,)
    values = read_column(rows[target], target, role=ColumnRole.TARGET, form=form).values
    gone = values.isna().tolist()
    return [None if missing else value for value, missing in zip(values.tolist(), gone, strict=True)], ()


def _units(rows: pd.DataFrame, spec: ModelSpec) -> list[str | None]:
    import pandas as pd

    entity = spec.data.entity
    if entity is None or entity not in rows:
        return [None] * len(rows)
    return [None if pd.isna(value) else entity_text(value) for value in rows[entity].tolist()]


def label_delay(text: str | None) -> timedelta:
    """Return the time from a row to its label."""
    return parse_duration(text) if text else timedelta(0)


def moment_of(text: str, option: str) -> datetime:
    """Return the time that an option names; one without a zone is in UTC.

    :raises MonitoringError: if it names none.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if not YEARS[0] <= moment.year <= YEARS[1]:
            raise ValueError(moment.year)
    except (ValueError, OverflowError):
        raise MonitoringError(
            f"{option} {text[:40]!r} is no time",
            code="WS-MONITORING-070",
            next_action="Write it as 2026-05-01 or 2026-05-01T06:00:00Z.",
        ) from None
    return moment
