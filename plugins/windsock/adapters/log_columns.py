"""Lines of the prediction log as columns of the archive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from windsock.adapters.log_format import EVENTS, Line, OutcomeLine

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHARED = (
    "model",
    "version",
    "digest",
    "variant",
    "experiment",
    "epoch",
    "client",
    "fallback_for",
    "inference_ms",
)

_encoder = msgspec.json.Encoder()


def microseconds(moment: datetime) -> int:
    """Return the whole microseconds since 1970, UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def archive_schema(kind: str) -> pa.Schema:
    """Return the columns of an archived hour.

    Values that may be of many kinds, ``features``, ``prediction`` and ``outcome``, are JSON text.

    :param kind: ``predictions`` or ``outcomes``.
    """
    import pyarrow as pa

    known = {
        "epoch": pa.int64(),
        "score": pa.float64(),
        "inference_ms": pa.float64(),
        "event_time": pa.timestamp("us", tz="UTC"),
        "receive_time": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, known.get(name, pa.string())) for name in EVENTS[kind].model_fields])


class Columns:
    """Collects lines column by column.

    :param kind: ``predictions`` or ``outcomes``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rows = 0
        self._columns: dict[str, list[Any]] = {name: [] for name in EVENTS[kind].model_fields}

    def add(self, line: Line) -> None:
        """Add the rows of a line."""
        columns = self._columns
        if isinstance(line, OutcomeLine):
            for name in ("model", "prediction_id", "unit", "event_id", "event_time", "client"):
                columns[name].append(getattr(line, name))
            columns["outcome"].append(_json(line.outcome))
            columns["receive_time"].append(microseconds(line.receive_time))
            self.rows += 1
            return
        count = len(line.rows)
        for name in _SHARED:
            columns[name] += [getattr(line, name)] * count
        columns["receive_time"] += [microseconds(line.receive_time)] * count
        for name in ("prediction_id", "unit", "event_time", "score"):
            columns[name] += [getattr(row, name) for row in line.rows]
        columns["prediction"] += [_json(row.prediction) for row in line.rows]
        fields, encode = line.fields, _encoder.encode
        columns["features"] += [
            encode(dict(zip(fields, row.values, strict=True))).decode() for row in line.rows
        ]
        self.rows += count

    def table(self) -> pa.Table:
        """Return what was collected, in the order it came."""
        import pyarrow as pa

        schema = archive_schema(self.kind)
        return pa.table(
            [pa.array(self._columns[name], type=schema.field(name).type) for name in schema.names],
            schema=schema,
        )


def _json(value: Any) -> str:
    return _encoder.encode(value).decode()
