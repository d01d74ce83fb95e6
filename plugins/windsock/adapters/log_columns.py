"""Lines of the prediction log as columns of the archive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from windsock.adapters.log_format import (
    EVENTS,
    PREDICTIONS,
    Line,
    OutcomeLine,
    PredictionLine,
    UnansweredLine,
)
from windsock.adapters.log_leaves import (
    FEATURES,
    Fields,
    Leaf,
    Leaves,
    features_column,
    features_field,
    make_leaf,
    metadata_of,
)

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
    "request_ms",
)
_SHARED_UNANSWERED = ("model", "version", "digest", "variant", "experiment", "epoch", "client", "cause")

_encoder = msgspec.json.Encoder()


def microseconds(moment: datetime) -> int:
    """Return the whole microseconds since 1970, UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def archive_schema(kind: str, leaves: Leaves | None = None, fields: Fields | None = None) -> pa.Schema:
    """Return the columns of an archived hour.

    ``features`` is a struct of typed leaves. ``prediction`` and ``outcome`` may be of many kinds: JSON text.

    :param kind: ``predictions``, ``outcomes`` or ``unanswered``.
    :param leaves: the features of predictions.
    :param fields: the fields that each bundle knows.
    """
    import pyarrow as pa

    known = {
        "epoch": pa.int64(),
        "score": pa.float64(),
        "inference_ms": pa.float64(),
        "request_ms": pa.float64(),
        "event_time": pa.timestamp("us", tz="UTC"),
        "receive_time": pa.timestamp("us", tz="UTC"),
    }
    if kind != PREDICTIONS:
        return pa.schema([(name, known.get(name, pa.string())) for name in EVENTS[kind].model_fields])
    leaves = leaves or {}
    columns = [
        features_field(leaves) if name == FEATURES else pa.field(name, known.get(name, pa.string()))
        for name in EVENTS[kind].model_fields
    ]
    return pa.schema(columns, metadata=metadata_of(leaves, fields or {}))


class Columns:
    """Collects lines column by column.

    :param kind: ``predictions``, ``outcomes`` or ``unanswered``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rows = 0
        self._columns: dict[str, list[Any]] = {
            name: [] for name in EVENTS[kind].model_fields if name != FEATURES
        }
        self._blocks: list[tuple[str, list[str], list[list[Any]]]] = []
        """Digest, fields, and the values of rows that share both."""

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
        for name in _SHARED_UNANSWERED if isinstance(line, UnansweredLine) else _SHARED:
            columns[name] += [getattr(line, name)] * count
        columns["receive_time"] += [microseconds(line.receive_time)] * count
        for name in ("prediction_id", "unit", "event_time"):
            columns[name] += [getattr(row, name) for row in line.rows]
        self.rows += count
        if isinstance(line, PredictionLine):
            columns["score"] += [row.score for row in line.rows]
            columns["prediction"] += [_json(row.prediction) for row in line.rows]
            self._add_features(line)

    def _add_features(self, line: PredictionLine) -> None:
        blocks = self._blocks
        if not blocks or blocks[-1][0] != line.digest or blocks[-1][1] != line.fields:
            blocks.append((line.digest, line.fields, []))
        blocks[-1][2].extend([row.values for row in line.rows])

    def _features(self) -> dict[str, list[Any]]:
        """Return the values of each field; ``None`` where a row has no such field."""
        features: dict[str, list[Any]] = {}
        done = 0
        for _, fields, rows in self._blocks:
            columns = dict(zip(fields, zip(*rows, strict=True), strict=True)) if rows else {}
            for name in columns.keys() - features.keys():
                features[name] = [None] * done
            for name, values in features.items():
                values += columns.get(name, [None] * len(rows))
            done += len(rows)
        return {name: features[name] for _, fields, _ in self._blocks for name in fields if name in features}

    def table(self) -> pa.Table:
        """Return what was collected, in the order it came; features in the narrowest types."""
        import pyarrow as pa

        columns: dict[str, Any] = dict(self._columns)
        leaves: dict[str, Leaf] = {}
        if self.kind == PREDICTIONS:
            arrays = {}
            for name, values in self._features().items():
                leaves[name], arrays[name] = make_leaf(values)
            columns[FEATURES] = features_column(arrays, leaves, self.rows)
        fields: dict[str, frozenset[str]] = {}
        for digest, names, _ in self._blocks:
            fields[digest] = fields.get(digest, frozenset()).union(names)
        schema = archive_schema(self.kind, leaves, fields)
        return pa.table(
            [
                columns[name] if name == FEATURES else pa.array(columns[name], type=schema.field(name).type)
                for name in schema.names
            ],
            schema=schema,
        )


def _json(value: Any) -> str:
    return _encoder.encode(value).decode()
