"""``TableHistory``: a dated table with its target, as the prediction log that it would have made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from windsock.ports import LabelledRows
from windsock.records import (
    Answer,
    ColumnKind,
    ColumnProfile,
    DriftProfile,
    InputSchema,
    Span,
)
from windsock.records.values import category_text
from windsock.spec import LabelsBlock
from windsock.statistics.counting import (
    NUMERIC,
    ColumnCounts,
    WindowCounts,
    count_categories,
    count_numbers,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CHAMPION = "champion"


@dataclass(frozen=True, kw_only=True, eq=False)
class DatedRows:
    """Rows of a table in the order of their time.

    :param times: when each was asked, ``datetime64[us]`` in UTC without a zone; rising.
    :param features: a pipeline's input, one column for each field of the schema.
    :param outcomes: the truth about each, as the table has it; ``None`` where it has none.
    :param units: who each row is about; ``None`` where the table does not say.
    """

    times: NDArray[Any]
    features: pd.DataFrame
    outcomes: Sequence[Any]
    units: Sequence[str | None]

    def between(self, span: Span) -> slice:
        """Return the places of the rows of a stretch."""
        import numpy as np

        ends = np.array([_plain(span.start), _plain(span.end)], dtype="datetime64[us]")
        first, last = np.searchsorted(self.times, ends, "left").tolist()
        return slice(first, last)


def _plain(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


Answers = tuple["NDArray[Any]", "NDArray[Any]"]
"""Scores (NaN where a version has none) and predictions, as the prediction log has them."""
Answerer = Callable[["pd.DataFrame"], Answers]


def read_answers(given: NDArray[Any], schema: InputSchema) -> Answers:
    """Turn a pipeline's answers into scores and predictions, as the server does.

    :param given: class probabilities of shape (rows, classes) in the order of the classes, or numbers.
    """
    import numpy as np

    if schema.answer is Answer.NUMBER:
        numbers = given.astype("float64")
        return numbers, numbers.astype(object)
    labels = np.empty(len(schema.classes), dtype=object)
    labels[:] = schema.classes
    predictions = labels[given.argmax(axis=1)] if len(given) else labels[:0]
    if schema.positive is None:
        return np.full(len(given), np.nan), predictions
    return given[:, schema.classes.index(schema.positive)], predictions


class TableHistory:
    """Implements :class:`windsock.ports.WindowCounter` and :class:`windsock.ports.PredictionRows` of a table.

    Each row is a request, answered by the version that served at its time. Nothing is stored.

    :param rows: the rows.
    :param schema: of the version that serves first; later ones have the same fields.
    :param delay: time from a row to its label.
    """

    def __init__(self, rows: DatedRows, schema: InputSchema, *, delay: timedelta) -> None:
        import numpy as np

        self.rows = rows
        self.schema = schema
        self.delay = delay
        self._versions: list[tuple[str, str]] = []
        self._owner = np.zeros(len(rows.times), dtype=np.int64)
        self._scores = np.full(len(rows.times), np.nan)
        self._predictions = np.full(len(rows.times), None, dtype=object)

    def serve(self, version: str, digest: str, answerer: Answerer, *, since: datetime | None = None) -> None:
        """Let a version answer all rows from a time on.

        :param since: ``None``: from the first row on.
        """
        import numpy as np

        moment = None if since is None else np.datetime64(_plain(since), "us")
        first = 0 if moment is None else int(np.searchsorted(self.rows.times, moment, "left"))
        self._versions.append((version, digest))
        self._owner[first:] = len(self._versions) - 1
        if first < len(self.rows.times):
            scores, predictions = answerer(self.rows.features.iloc[first:])
            self._scores[first:], self._predictions[first:] = scores, predictions

    def count(self, model: str, digest: str, profile: DriftProfile, span: Span) -> WindowCounts:
        """Return the counts of a stretch; see :class:`~windsock.ports.WindowCounter`."""
        import numpy as np

        places = self.rows.between(span)
        features = self.rows.features.iloc[places]
        number = next((at for at, (_, known) in enumerate(self._versions) if known == digest), -1)
        own = self._owner[places] == number
        scores, predictions = self._scores[places][own], self._predictions[places][own]
        return WindowCounts(
            rows=len(features),
            columns={column.name: _count(column, features) for column in profile.columns},
            scores=None if profile.score is None else count_numbers(profile.score, scores.astype(np.float64)),
            variants={CHAMPION: len(features)} if len(features) else {},
            predictions=_predicted(predictions) if self.schema.answer is Answer.CLASS else {},
        )

    def without_rows(self, model: str, spans: Sequence[Span]) -> frozenset[Span]:
        """Return stretches without a row; see :class:`~windsock.ports.WindowCounter`."""
        return frozenset(span for span in spans if not len(self.rows.times[self.rows.between(span)]))

    def begins(self, model: str) -> datetime | None:
        """Return when the history begins; see :class:`~windsock.ports.WindowCounter`."""
        import pandas as pd

        times = self.rows.times
        return pd.Timestamp(times[0], tz="UTC").to_pydatetime() if len(times) else None

    def sample(
        self, model: str, span: Span, *, schema: InputSchema, digest: str | None = None, limit: int, seed: int
    ) -> pd.DataFrame:
        """Return rows of a stretch; see :class:`~windsock.ports.PredictionRows`."""
        places = self.rows.between(span)
        names = [field.name for field in schema.fields if field.name in self.rows.features]
        frame = self.rows.features.iloc[places][names].assign(score=self._scores[places])
        if digest is not None:
            frame = frame[[self._versions[at][1] == digest for at in self._owner[places].tolist()]]
        if len(frame) > limit:
            frame = frame.sample(limit, random_state=seed).sort_index()
        return frame.reset_index(drop=True)

    def labelled(
        self,
        model: str,
        span: Span,
        labels: LabelsBlock,
        *,
        schema: InputSchema,
        digest: str | None = None,
        as_of: datetime,
        features: bool = True,
    ) -> LabelledRows:
        """Return rows with the labels known by a time; see :class:`~windsock.ports.PredictionRows`."""
        import numpy as np
        import pandas as pd

        places = self.rows.between(span)
        times = pd.Series(self.rows.times[places]).dt.tz_localize("UTC")
        owners = [self._versions[at] for at in self._owner[places].tolist()]
        outcomes = np.empty(len(times), dtype=object)
        outcomes[:] = list(self.rows.outcomes[places])
        label_times = times + self.delay
        there = pd.Series(outcomes, dtype=object).notna().to_numpy(dtype=bool)
        known = (label_times <= pd.Timestamp(as_of)).to_numpy(dtype=bool)
        outcomes[~(known & there)] = None
        frame = pd.DataFrame(
            {
                "prediction_id": [f"row-{place}" for place in range(places.start, places.stop)],
                "unit": pd.Series(list(self.rows.units[places]), dtype=object),
                "receive_time": times,
                "event_time": times,
                "version": [version for version, _ in owners],
                "digest": [digest for _, digest in owners],
                "variant": CHAMPION,
                "fallback_for": None,
                "score": self._scores[places],
                "prediction": pd.Series(self._predictions[places], dtype=object),
                "inference_ms": np.nan,
                "request_ms": np.nan,
                "outcome": pd.Series(outcomes, dtype=object),
                "label_time": label_times.where(pd.Series(known & there)),
            }
        )
        if features:
            frame["features"] = _as_logged(self.rows.features.iloc[places], known & there)
        kept = np.ones(len(frame), dtype=bool) if digest is None else (frame["digest"] == digest).to_numpy()
        return LabelledRows(frame=frame[kept].reset_index(drop=True), late=int((~known & there & kept).sum()))


def _as_logged(features: pd.DataFrame, labelled: NDArray[Any]) -> Any:
    """Return the features of labelled rows by name, ``None`` for missing values and for other rows."""
    import pandas as pd

    plain = features[labelled].astype(object).where(features[labelled].notna(), None)
    found = iter(plain.to_dict("records"))
    return pd.Series([next(found) if there else None for there in labelled.tolist()], dtype=object)


def _predicted(predictions: NDArray[Any]) -> dict[str, int]:
    counts = Counter(predictions.tolist())
    return {
        str(label).lower() if isinstance(label, bool) else category_text(label): count
        for label, count in counts.items()
    }


def _count(column: ColumnProfile, features: pd.DataFrame) -> ColumnCounts:
    """Count a column's values; a column that the table lacks is absent in every row."""
    import numpy as np

    if column.name not in features:
        return ColumnCounts(rows=0, nulls=0, absent=len(features))
    values = features[column.name]
    if column.kind in NUMERIC:
        return count_numbers(column, values.to_numpy(dtype="float64"))
    missing = int(values.isna().sum())
    if column.kind is ColumnKind.DATETIME:
        return ColumnCounts(rows=len(values) - missing, nulls=missing)
    known = values.dropna()
    if column.kind is ColumnKind.BOOLEAN:
        known = known.map(lambda value: "true" if value else "false")
    counts = known.map(category_text).value_counts() if len(known) else known.value_counts()
    named = {str(name): int(count) for name, count in counts.items()}
    return count_categories(column, named, int(np.int64(missing)))
