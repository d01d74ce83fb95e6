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
    largest = max(1.0, *(abs(value) for score in scores for value in score))
    return GoldenPredictions(rows=rows, scores=scores, tolerance=TOLERANCE * largest)


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
