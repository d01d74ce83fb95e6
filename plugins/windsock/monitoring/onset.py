"""When the world changed: the first bad window of a stretch, refined by a change of losses or scores."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from windsock.monitoring.performance_case import ANSWERED
from windsock.records import Answer, InputSchema, Span
from windsock.records.stretches import Stretch, judged_until
from windsock.records.values import LARGEST
from windsock.spec import ModelSpec, parse_duration
from windsock.statistics.change_point import change_point
from windsock.statistics.labels import read_outcomes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def looked_at(stretch: Stretch, spec: ModelSpec) -> Span:
    """Return the stretch of answers that the first bad window's verdict is about."""
    first = stretch.first
    if first.lookback is not None:
        return first.lookback
    if stretch.kind == "drift":
        return first.window
    length = parse_duration(spec.monitoring.performance.window)
    return Span(start=min(first.window.start, first.window.end - length), end=first.window.end)


def searched_from(stretch: Stretch, spec: ModelSpec) -> datetime:
    """Return since when answers show where the change lies: as much before what was judged as was judged."""
    judged = looked_at(stretch, spec)
    return judged.start - (judged.end - judged.start)


def find_onset(stretch: Stretch, answers: pd.DataFrame, schema: InputSchema, spec: ModelSpec) -> datetime:
    """Return when the stretch began.

    It is the start of its first bad window, unless a change of the level is plain in the answers that were
    judged and those before and after them: of their losses, to the worse, or of their scores, for drift. One
    odd value moves it by nothing, since ranks are compared. It is never
    later than what the first bad window's verdict knew.

    :param answers: with ``label``, in the order of time, at least since :func:`searched_from`.
    """
    import numpy as np

    usual = stretch.span.start
    if answers.empty:
        return usual
    own = answers["variant"].isin(ANSWERED) & (answers["digest"] == stretch.first.digest)
    rows = answers[own & (answers["receive_time"] >= searched_from(stretch, spec))]
    losses = stretch.kind == "performance"
    rows, values = row_losses(rows, schema) if losses else row_scores(rows)
    end = min(judged_until(stretch.first), stretch.first.window.end)
    times = rows["receive_time"]
    latest = int((times <= end).sum()) - 1
    found = change_point(values.astype(np.float64), latest=latest, rising=losses)
    return usual if found is None else times.iloc[found.place].to_pydatetime()


def row_losses(answers: pd.DataFrame, schema: InputSchema) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Return the labelled answers, and how wrong each is: the worse, the higher.

    That is the squared error of the probability of two classes, whether another class of more was answered,
    and the absolute error of a number.

    :param answers: with ``label``.
    """
    import numpy as np

    rows = answers[answers["label"].notna()]
    if schema.answer is not Answer.NUMBER and schema.positive is None:
        said, _ = read_outcomes(rows["prediction"].tolist(), schema)
        wrong = [one != label for one, label in zip(said, rows["label"].tolist(), strict=True)]
        return rows, np.array(wrong, dtype=np.float64)
    rows, scores = row_scores(rows)
    if schema.answer is Answer.NUMBER:
        return rows, np.abs(scores - rows["label"].to_numpy(dtype="float64"))
    truth = np.array([label == schema.positive for label in rows["label"].tolist()], dtype=np.float64)
    return rows, (scores - truth) ** 2


def row_scores(answers: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Return the answers that have a score that can be computed with, and their scores."""
    import numpy as np

    scores = answers["score"].to_numpy(dtype="float64", na_value=np.nan)
    there = np.abs(scores) <= LARGEST
    return answers[there], scores[there]
