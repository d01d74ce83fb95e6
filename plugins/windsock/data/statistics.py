"""What a snapshot looked like: the statistics by which later snapshots are judged once it is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.data.read_columns import NUMERIC
from windsock.records import (
    ColumnKind,
    ColumnRole,
    ColumnSchema,
    ColumnStatistics,
    DataSnapshot,
    NumberStatistics,
    SnapshotStatistics,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""Shares of the values at which :class:`NumberStatistics` keeps quantiles."""
DESCRIBED = (ColumnRole.FEATURE, ColumnRole.TARGET, ColumnRole.SENSITIVE, ColumnRole.EVENT_TIME)
"""Roles whose values are described; of an identity or an ignored column only nulls and kind are kept."""
MOST_SHARES = 50
FEW_NUMBERS = 20
"""A column of whole numbers with at most so many different ones has shares, too: 0 and 1, or classes."""
LEAST_ROWS = 5
"""A word in fewer rows is not kept: it could name a person."""


def snapshot_statistics(
    snapshot: DataSnapshot, frame: pd.DataFrame, *, suite_digest: str | None
) -> SnapshotStatistics:
    """Return the statistics of the source's rows: without the recent rows, which come last.

    :param snapshot: the snapshot's record.
    :param frame: its rows.
    :param suite_digest: the expectation suite that it passed.
    """
    source = frame.iloc[: len(frame) - snapshot.recent_rows] if snapshot.recent_rows else frame
    kept = [column for column in snapshot.columns if column.name in source.columns]
    judged = [column.name for column in kept if column.role is not ColumnRole.IGNORED]
    rows = len(source)
    return SnapshotStatistics(
        model=snapshot.model,
        snapshot_digest=snapshot.digest,
        rows=rows,
        copies=_copies(source[judged]),
        columns=tuple(_column(column, source[column.name], snapshot) for column in kept),
        suite_digest=suite_digest,
        is_part=snapshot.recent_rows > 0,
        taken_at=snapshot.taken_at,
    )


def _copies(rows: pd.DataFrame) -> float:
    """Return the share of rows that repeat an earlier one, by hashes of 64 bits."""
    import pandas as pd

    if rows.empty:
        return 0.0
    return float(pd.util.hash_pandas_object(rows, index=False).duplicated().mean())


def _column(column: ColumnSchema, values: pd.Series[Any], snapshot: DataSnapshot) -> ColumnStatistics:
    known = values.dropna()
    rows = max(1, len(values))
    distinct = int(known.nunique()) if snapshot.recent_rows or not column.distinct else column.distinct
    described: dict[str, Any] = {}
    if column.role in DESCRIBED and len(known):
        if column.kind in NUMERIC or column.kind is ColumnKind.DATETIME:
            described["number"] = _number(_floats(column.kind, known))
        few = column.kind is ColumnKind.INTEGER and distinct <= FEW_NUMBERS
        if few or column.kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
            described["shares"] = _shares(column.kind, known)
    return ColumnStatistics(
        name=column.name,
        kind=column.kind,
        nulls=1 - len(known) / rows,
        unread=min(1.0, column.unread / (column.unread_of or rows)),
        distinct=distinct,
        **described,
    )


def _floats(kind: ColumnKind, known: pd.Series[Any]) -> NDArray[Any]:
    import numpy as np
    import pandas as pd

    if kind is ColumnKind.DATETIME:
        times = pd.to_datetime(known, utc=True).to_numpy(dtype="datetime64[us]")
        seconds: NDArray[Any] = times.astype("int64").astype("float64") / 1e6
        return seconds
    values: NDArray[Any] = known.to_numpy(dtype="float64")
    finite: NDArray[Any] = values[np.isfinite(values)]
    return finite


def _number(values: NDArray[Any]) -> NumberStatistics | None:
    """Return moments and quantiles; ``None`` without a finite value."""
    import numpy as np

    if not values.size:
        return None
    # Moments are computed on a scale on which nothing overflows.
    scale = float(np.abs(values).max()) or 1.0
    most = float(np.finfo("float64").max)
    mean = float((values / scale).mean()) * scale
    spread = float(np.clip(float((values / scale).std()) * scale, 0.0, most))
    # An observed value, not a mean of two: exact for whole numbers, and safe at both ends of the range.
    quantiles = np.quantile(values, QUANTILES, method="inverted_cdf")
    return NumberStatistics(mean=mean, sd=spread, quantiles=tuple(quantiles.tolist()))


def _shares(kind: ColumnKind, known: pd.Series[Any]) -> dict[str, float]:
    counts = known.value_counts()
    words = [(_word(kind, value), int(count)) for value, count in counts.items() if count >= LEAST_ROWS]
    ordered = sorted(words, key=lambda pair: (-pair[1], pair[0]))
    return {word: count / len(known) for word, count in ordered[:MOST_SHARES]}


def _word(kind: ColumnKind, value: Any) -> str:
    if kind is ColumnKind.BOOLEAN:
        return "true" if value else "false"
    return str(int(value)) if kind is ColumnKind.INTEGER else str(value)
