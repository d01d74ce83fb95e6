"""Seasons of a version's columns, scores and target, from all dated rows of its snapshot."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.exceptions import DataRefusedError, TrainingRefusedError
from windsock.records import Answer, ColumnKind, ColumnProfile, DataSnapshot, DriftProfile, InputSchema
from windsock.records.profile import LossSeason
from windsock.records.values import category_text
from windsock.spec import ModelSpec
from windsock.statistics.counting import NUMERIC
from windsock.statistics.season_finding import History, find_seasons
from windsock.training.estimate_seasons import Estimates, with_seasons
from windsock.training.fitting import answer
from windsock.training.loss_seasons import find_loss_seasons, loss_sentences
from windsock.training.preprocessing import to_features
from windsock.training.season_words import sentences, undated
from windsock.training.target import read_labels

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""Rows of a snapshot that seasons are looked for in, evenly spaced in time."""
SCORE, TARGET = "score of the model", "target of the model"
"""What scores and target are called beside features: no column of a table is called so."""


class Fitted(NamedTuple):
    """A fitted pipeline, and what it takes and answers."""

    pipeline: Pipeline
    schema: InputSchema


def add_seasons(
    profile: DriftProfile,
    fitted: Fitted,
    frame: pd.DataFrame,
    held_out: NDArray[Any],
    described: NDArray[Any],
    snapshot: DataSnapshot,
    spec: ModelSpec,
) -> DriftProfile:
    """Complete a profile by what recurs in its columns, scores and target.

    Where rows have no time nothing can be known of that, which is said.

    All rows of the snapshot say how windows vary, those that the profile does not describe too: a reference
    of a few days knows no weekend.

    :param frame: rows of the snapshot.
    :param held_out: which of them are held out.
    :param described: which of them the profile is made of, held out or not.
    """
    if spec.data.event_time is None:
        for sentence in (noticed := undated(spec.monitoring)):
            log.info("seasons: %s", sentence)
        return profile.replace(noticed=noticed)
    rows, times, kept = _dated(frame, spec.data.event_time)
    if len(rows) < 2:
        return profile
    trained, judged = (described & ~held_out)[kept], (described & held_out)[kept]
    features = to_features(rows, fitted.schema.fields)
    histories = {
        column.name: History(column=column, values=features[column.name], reference=trained)
        for column in profile.columns
    }
    for key, column, values in (
        (SCORE, profile.score, _scores(fitted, features)),
        (TARGET, profile.target, _labels(profile.target, rows, snapshot, spec)),
    ):
        if column is not None and values is not None:
            histories[key] = History(column=column, values=values, reference=judged)
    block = spec.monitoring
    found = find_seasons(histories, times, block.window_length, block.drift, block.timezone)
    seasons = _loss_seasons(fitted, rows, features, times, (held_out[kept], judged), snapshot, spec)
    noticed = (
        *sentences(found, times, spec.monitoring),
        *loss_sentences(seasons, spec.monitoring.performance.window),
    )
    for sentence in noticed:
        log.info("seasons: %s", sentence)
    score = found.columns.get(SCORE, profile.score)
    performance = profile.performance
    if performance is not None and SCORE in histories:
        scores = histories[SCORE].values.to_numpy(dtype="float64")
        estimates = Estimates(reference=performance, scores=scores, features=features)
        performance = with_seasons(performance, estimates, found, score, times)
    if performance is not None:
        performance = performance.replace(seasons=seasons)
    return profile.replace(
        columns=tuple(found.columns[column.name] for column in profile.columns),
        score=score,
        target=found.columns.get(TARGET, profile.target),
        performance=performance,
        noticed=noticed,
    )


def _loss_seasons(
    fitted: Fitted,
    rows: pd.DataFrame,
    features: pd.DataFrame,
    times: NDArray[Any],
    masks: tuple[NDArray[Any], NDArray[Any]],
    snapshot: DataSnapshot,
    spec: ModelSpec,
) -> tuple[LossSeason, ...]:
    """Return how losses differ by weekday or hour; nothing where labels cannot be read."""
    try:
        labels = read_labels(rows, snapshot, spec)
    except (DataRefusedError, TrainingRefusedError):
        return ()
    return find_loss_seasons(fitted.pipeline, fitted.schema, features, labels, times, *masks, spec)


def _dated(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, NDArray[Any], NDArray[Any]]:
    """Return rows with a time in its order, their times, and their places in the frame."""
    import numpy as np
    import pandas as pd

    moments = pd.to_datetime(frame[name], utc=True).dt.tz_localize(None)
    times = moments.to_numpy().astype("datetime64[us]")
    order = np.argsort(times, kind="stable")
    places = order[: int((~np.isnat(times)).sum())]
    if places.size > MOST_ROWS:
        places = places[np.linspace(0, places.size - 1, MOST_ROWS).astype(int)]
    return frame.iloc[places].reset_index(drop=True), times[places], places


def _scores(fitted: Fitted, features: pd.DataFrame) -> pd.Series[Any] | None:
    """Return what the log would call ``score``; with more than two classes there is none."""
    import pandas as pd

    schema = fitted.schema
    if schema.answer is Answer.CLASS and schema.positive is None:
        return None
    given = answer(fitted.pipeline, features)
    if schema.answer is Answer.CLASS and schema.positive is not None:
        given = given[:, schema.classes.index(schema.positive)]
    return pd.Series(given.astype("float64"))


def _labels(
    column: ColumnProfile | None, rows: pd.DataFrame, snapshot: DataSnapshot, spec: ModelSpec
) -> pd.Series[Any] | None:
    """Return the truth in the words of the target's profile; ``None`` where it cannot be read."""
    import pandas as pd

    if column is None:
        return None
    try:
        labels = read_labels(rows, snapshot, spec)
    except (DataRefusedError, TrainingRefusedError):
        return None
    if column.kind in NUMERIC or column.kind is ColumnKind.BOOLEAN:
        return pd.Series(labels.astype("float64"))
    return pd.Series([category_text(label) for label in labels.tolist()], dtype=object)
