"""Labelled answers of the prediction log, for tests of whoever learns from them or judges by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from windsock.ports import LabelledRows
from windsock.records import Span

FIRST = datetime(2026, 4, 1, tzinfo=UTC)
WINDOW = Span(start=FIRST, end=FIRST + timedelta(days=30))


def labelled(
    features: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Any],
    *,
    every: timedelta | None = None,
    **columns: Any,
) -> LabelledRows:
    """Return answers in the order of time, with their outcomes.

    :param every: time from one answer to the next.
    :param columns: columns of the frame that differ.
    """
    count = len(features)
    frame = pd.DataFrame(
        {
            "prediction_id": [f"p{number}" for number in range(count)],
            "unit": pd.Series([None] * count, dtype=object),
            "receive_time": [FIRST + number * (every or timedelta(minutes=1)) for number in range(count)],
            "version": "1",
            "digest": "a" * 64,
            "variant": "champion",
            "score": 0.5,
            "prediction": True,
            "inference_ms": 1.0,
            "outcome": pd.Series(list(outcomes), dtype=object),
            "label_time": [FIRST + timedelta(days=29)] * count,
            "features": pd.Series([dict(row) for row in features], dtype=object),
        }
    ).assign(**columns)
    return LabelledRows(frame=frame, unknown=0, duplicates=0, late=0)
