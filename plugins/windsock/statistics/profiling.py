"""The drift profile of training rows: counts of two-sided quantile edges, or of categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.records import EDGES, MOST_CATEGORIES, ColumnKind, ColumnProfile, DriftProfile, InputField

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def build_profile(features: pd.DataFrame, fields: Sequence[InputField]) -> DriftProfile:
    """Describe features by counts: of two-sided quantile edges, or of categories.

    Dates are counted for nulls only, because they always drift.

    :param features: a pipeline's input on the training rows: numbers and booleans as floats, categories as
        text.
    :param fields: the features to describe.
    """
    return DriftProfile(
        rows=len(features), columns=tuple(_column(features[field.name], field) for field in fields)
    )


def _column(values: pd.Series[Any], field: InputField) -> ColumnProfile:
    known = values.dropna()
    counted: dict[str, Any] = {}
    if field.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        counted = _number_counts(known.to_numpy(dtype="float64"))
    elif field.kind is ColumnKind.BOOLEAN:
        counted = {"categories": {"false": int((known == 0).sum()), "true": int((known == 1).sum())}}
    elif field.kind is ColumnKind.CATEGORY:
        counted = _category_counts(known)
    return ColumnProfile(
        name=field.name, kind=field.kind, rows=len(known), nulls=len(values) - len(known), **counted
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
