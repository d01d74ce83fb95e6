"""The drift profile of training rows: counts of two-sided quantile edges, or of categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.records import EDGES, MOST_CATEGORIES, ColumnKind, ColumnProfile, DriftProfile, InputField
from windsock.statistics.chunks import find_minimum_rows, find_wobble

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def build_profile(
    features: pd.DataFrame, fields: Sequence[InputField], *, by_time: bool = False
) -> DriftProfile:
    """Describe features by counts: of two-sided quantile edges, or of categories.

    Dates are counted for nulls only, because they always drift. Parts of the rows, held against the whole,
    say how many rows a window needs and how far columns wobble.

    :param features: a pipeline's input on the training rows: numbers and booleans as floats, categories as
        text.
    :param fields: the features to describe.
    :param by_time: whether the rows are in the order of their time.
    """
    columns = [describe_column(features[field.name], field) for field in fields]
    rows = find_minimum_rows(columns, features)
    if by_time:
        wobble = find_wobble(columns, features, rows_of_chunk=rows)
        columns = [column.replace(wobble=wobble.get(column.name, 0.0)) for column in columns]
    return DriftProfile(rows=len(features), columns=tuple(columns), minimum_rows=rows)


def describe_column(values: pd.Series[Any], field: InputField) -> ColumnProfile:
    """Describe one column by counts.

    :param values: numbers and booleans as floats, categories as text.
    """
    known = values.dropna()
    counted: dict[str, Any] = {}
    if field.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        counted = _number_counts(known.to_numpy(dtype="float64"))
    elif field.kind is ColumnKind.BOOLEAN:
        counted = {"categories": {"false": int((known == 0).sum()), "true": int((known == 1).sum())}}
    elif field.kind is ColumnKind.CATEGORY:
        counted = _category_counts(known)
    return ColumnProfile(
        name=field.name,
        kind=field.kind,
        rows=len(known),
        nulls=len(values) - len(known),
        true_word=field.true_word,
        **counted,
    )


def _number_counts(values: NDArray[Any]) -> dict[str, Any]:
    import numpy as np

    if not values.size:
        return {}
    ordered = np.sort(values)
    places = np.arange(1, EDGES) * ordered.size // EDGES
    edges = np.unique(ordered[places])
    middles = ((np.arange(EDGES) + 0.5) * ordered.size / EDGES).astype(int)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(ordered.std())
    return {
        "edges": edges.tolist(),
        "below": np.searchsorted(ordered, edges, "left").tolist(),
        "up_to": np.searchsorted(ordered, edges, "right").tolist(),
        "quantiles": ordered[middles].tolist(),
        "sd": spread if np.isfinite(spread) else None,
    }


def _category_counts(values: pd.Series[Any]) -> dict[str, Any]:
    counts = values.value_counts()
    ordered = sorted(
        ((str(name), int(count)) for name, count in counts.items()), key=lambda pair: (-pair[1], pair[0])
    )
    return {
        "categories": dict(ordered[:MOST_CATEGORIES]),
        "other": sum(count for _, count in ordered[MOST_CATEGORIES:]),
    }
