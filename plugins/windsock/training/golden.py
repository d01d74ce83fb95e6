"""Golden rows: made-up requests whose answers every copy of a model must repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind, GoldenPredictions, InputField
from windsock.spec import SEED
from windsock.training.fitting import answer
from windsock.training.preprocessing import to_features

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

ROWS = 20
UNSEEN = "windsock-unseen"
QUANTILES = (0.5, 0.01, 0.99, 0.25, 0.75)
TOLERANCE = 1e-6
"""Part of the answers' scale up to which two copies of a model are equal."""
ROUNDING = 1e-13
"""Part of the largest answer that the order of additions alone may change."""


def golden_rows(features: pd.DataFrame, fields: Sequence[InputField]) -> tuple[dict[str, Any], ...]:
    """Make up requests from each column alone: the typical one, all null, low, high, and mixtures.

    No row is a row of the data, and no number one of its numbers but by chance: numbers are rounded
    quantiles, categories are the most common ones and one that training never saw.

    :param features: the training rows as the pipeline sees them.
    """
    import random

    values = {field.name: _values(features[field.name].dropna(), field) for field in fields}
    draw = random.Random(SEED)  # noqa: S311 - made-up rows, nothing secret
    rows = [
        {name: choices[0] for name, choices in values.items()},
        dict.fromkeys(values),
        {name: choices[1] for name, choices in values.items()},
        {name: choices[2] for name, choices in values.items()},
    ]
    while len(rows) < ROWS:
        rows.append({name: draw.choice([*choices, None]) for name, choices in values.items()})
    return tuple(rows)


def _values(known: pd.Series[Any], field: InputField) -> list[Any]:
    """Return values for a field: a typical one, a low one, a high one, and others."""
    if known.empty:
        return [None] * 3
    if field.kind is ColumnKind.BOOLEAN:
        return [bool(known.mean() > 0.5), False, True]
    if field.kind is ColumnKind.CATEGORY:
        counts = sorted(known.value_counts().items(), key=lambda pair: (-pair[1], str(pair[0])))
        common = [str(name) for name, _ in counts[:3]]
        return [common[0], common[-1], UNSEEN, *common[1:2]]
    quantiles = known.quantile(list(QUANTILES))
    if field.kind is ColumnKind.DATETIME:
        return [moment.floor("h").isoformat() for moment in quantiles]
    numbers = [float(f"{value:.4g}") for value in quantiles]
    return [round(number) for number in numbers] if field.kind is ColumnKind.INTEGER else numbers


def make_golden(
    pipeline: Pipeline, features: pd.DataFrame, fields: Sequence[InputField]
) -> GoldenPredictions:
    """Return golden rows with a fitted pipeline's answers.

    :param features: the training rows as the pipeline sees them.
    """
    rows = golden_rows(features, fields)
    scores = answers_to(pipeline, rows, fields)
    values = [value for score in scores for value in score]
    tolerance = tolerance_of(min(values), max(values), TOLERANCE, shares=hasattr(pipeline, "classes_"))
    return GoldenPredictions(rows=rows, scores=scores, tolerance=tolerance)


def tolerance_of(lowest: float, highest: float, part: float, *, shares: bool) -> float:
    """Return the largest difference of answers that counts as none, on the scale of the answers themselves.

    Probabilities have the scale 1. Numbers have that of their spread: a target of 1e-9 is held as closely as
    one of 1e9, and an offset does not loosen it but for what rounding does.

    :param lowest: smallest answer.
    :param highest: largest answer.
    :param part: of the scale.
    :param shares: whether answers are probabilities.
    """
    if shares:
        return part
    return part * (highest - lowest) + ROUNDING * max(abs(lowest), abs(highest))


def largest_difference(answers: Sequence[Sequence[float]], golden: GoldenPredictions) -> float:
    """Return the largest absolute difference of answers to golden rows from their golden scores."""
    pairs = zip(answers, golden.scores, strict=True)
    return max(abs(a - b) for ours, scores in pairs for a, b in zip(ours, scores, strict=True))


def answers_to(
    pipeline: Pipeline, rows: Sequence[dict[str, Any]], fields: Sequence[InputField]
) -> tuple[tuple[float, ...], ...]:
    """Return a pipeline's answers to requests, in the form of golden scores."""
    answers = answer(pipeline, to_features(rows, fields))
    table = answers if answers.ndim == 2 else answers.reshape(-1, 1)
    return tuple(tuple(row) for row in table.tolist())
