"""The drift profile of training rows: counts of two-sided quantile edges, or of categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.records import EDGES, ColumnKind, ColumnProfile, DriftProfile, InputField
from windsock.spec import SEED
from windsock.statistics.chunks import find_minimum_rows
from windsock.statistics.clusters import GROUPS, bin_values, design_effect, groups_of, tabulate
from windsock.statistics.rare_values import describe_values
from windsock.statistics.ties import cuts_around, snap

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def build_profile(
    features: pd.DataFrame,
    fields: Sequence[InputField],
    *,
    entities: Sequence[str] | None = None,
) -> DriftProfile:
    """Describe features by counts: of two-sided quantile edges, or of categories.

    Dates are counted for nulls only, because they always drift. Parts of the rows, held against the whole,
    say how many rows a window needs.

    :param features: a pipeline's input on the training rows: numbers and booleans as floats, categories as
        text.
    :param fields: the features to describe.
    :param entities: whose row each is, where several may be of one; ``None``: each is of its own.
    """
    groups = entity_groups(entities)
    columns = [describe_column(features[field.name], field, groups=groups) for field in fields]
    rows = find_minimum_rows(columns, features)
    return DriftProfile(rows=len(features), columns=tuple(columns), minimum_rows=rows)


def entity_groups(entities: Sequence[str] | None) -> NDArray[Any] | None:
    """Return each row's group of entities; ``None`` where no two rows share one.

    :param entities: whose row each is; ``None``: each is of its own.
    """
    if entities is None or len(set(entities)) == len(entities):
        return None
    return groups_of(entities)


def describe_column(
    values: pd.Series[Any], field: InputField, *, groups: NDArray[Any] | None = None
) -> ColumnProfile:
    """Describe one column by counts.

    :param values: numbers and booleans as floats, categories as text.
    :param groups: each row's group of entities, where rows share some.
    """
    known = values.dropna()
    counted: dict[str, Any] = {}
    if field.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        counted = _number_counts(known.to_numpy(dtype="float64"), field.kind)
    elif field.kind is ColumnKind.BOOLEAN:
        counted = {"categories": {"false": int((known == 0).sum()), "true": int((known == 1).sum())}}
    elif field.kind is ColumnKind.CATEGORY:
        counted = _category_counts(values, known, groups)
    column = ColumnProfile(
        name=field.name,
        kind=field.kind,
        rows=len(known),
        nulls=len(values) - len(known),
        true_word=field.true_word,
        **counted,
    )
    if groups is None or field.kind is ColumnKind.DATETIME:
        return column
    is_number = field.kind in (ColumnKind.NUMBER, ColumnKind.INTEGER)
    table = tabulate(groups, bin_values(column, values.to_numpy(), values.isna().to_numpy()))
    return column.replace(design_effect=design_effect(table, ordered=is_number) or 1.0)


def _number_counts(values: NDArray[Any], kind: ColumnKind) -> dict[str, Any]:
    import numpy as np

    if not values.size:
        return {}
    ordered = snap(np.sort(values))
    places = np.arange(1, EDGES) * ordered.size // EDGES
    edges = np.unique(ordered[places])
    ties = np.searchsorted(ordered, edges, "right") - np.searchsorted(ordered, edges, "left") >= 2
    cuts = cuts_around(edges, ties if kind is ColumnKind.NUMBER else np.zeros_like(ties))
    middles = ((np.arange(EDGES) + 0.5) * ordered.size / EDGES).astype(int)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(ordered.std())
    return {
        "edges": edges.tolist(),
        "below": np.searchsorted(ordered, cuts.lower, "left").tolist(),
        "up_to": np.searchsorted(ordered, cuts.upper, "right").tolist(),
        "quantiles": ordered[middles].tolist(),
        "sd": spread if np.isfinite(spread) else None,
    }


def _category_counts(
    values: pd.Series[Any], known: pd.Series[Any], groups: NDArray[Any] | None
) -> dict[str, Any]:
    """Count a category's values. Rows of one entity are in the same half, for they may be alike."""
    import numpy as np

    draw = np.random.default_rng(SEED)
    measuring = draw.random(len(values)) < 0.5
    if groups is not None:
        measuring = draw.permutation(np.arange(GROUPS) % 2 == 0)[groups]
    there = values.notna().to_numpy()
    counted = describe_values(
        [str(value) for value in known], measuring[there], None if groups is None else groups[there]
    )
    if "many" in counted:
        counted["many"]["nulls"] = int(measuring[~there].sum())
    return counted
