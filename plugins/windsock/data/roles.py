"""What each column is for: by the spec first, then by what a model must not learn from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from windsock.data.read_columns import ReadColumn
from windsock.data.reading import is_free_text
from windsock.records import ColumnKind, ColumnRole, ColumnSchema
from windsock.records.data import READ_FREELY
from windsock.spec import ModelSpec
from windsock.texts import first_of

if TYPE_CHECKING:
    import pandas as pd

FEW = 50
"""Below this many different values nothing is taken for an identity."""
NEARLY_ALL = 0.9
"""Share of different values from which text identifies rows."""
MANY_CATEGORIES = 100
"""Different values above which a category's rare ones are lost in the crowd."""
BY_SPEC = ("not among data.features", "ignored by data.columns")
IDENTITY_NAME = re.compile(
    r"(?i)(.*[_\-. ])?(id|key|uuid|guid|nr|no|num|number|code|index)|.*[a-z](Id|ID|Key|Uuid|UUID|Nr|No)"
)


def describe_column(column: ReadColumn, spec: ModelSpec, held: ColumnRole | None = None) -> ColumnSchema:
    """Return a column's schema: its kind, its role, and why where that is not plain.

    :param held: the role that it has by the data contract; the model's file counts over it.
    """
    nulls, distinct = count_values(column.values)
    by_spec = role_by_spec(column.name, spec)
    why = _why_no_feature(column, rows=len(column.values), nulls=nulls, distinct=distinct)
    if by_spec is not None:
        role, note = by_spec
    elif held is not None:
        role, note = held, _why_held(held, why)
    else:
        role, note = (ColumnRole.IGNORED, why) if why else (ColumnRole.FEATURE, "")
    many = role is ColumnRole.FEATURE and column.kind is ColumnKind.CATEGORY and distinct > MANY_CATEGORIES
    if many and not note and column.name not in spec.data.features:
        text = " of free text" if is_free_text(column.values) else ""
        note = f"{distinct:,} different values{text}: a model tells only the frequent ones apart"
    return ColumnSchema(
        name=column.name,
        kind=column.kind,
        role=role,
        nulls=nulls,
        distinct=distinct,
        true_word=column.true_word,
        false_word=column.false_word,
        note=column.doubt or note,
        form=column.form,
        unread=column.unread,
        shapes=column.shapes,
        bare=column.bare,
    )


def count_values(values: pd.Series[Any]) -> tuple[int, int]:
    """Return how many values are missing, and how many different ones there are.

    Numbers and times are sorted, which is several times as fast as a table of all values.
    """
    import numpy as np

    times = values.dtype.kind == "M"
    if not times and (values.dtype.kind not in "fi" or not isinstance(values.dtype, np.dtype)):
        known = values.dropna()
        return len(values) - len(known), int(known.nunique())
    ordered = np.sort(values.to_numpy(dtype="datetime64[us]") if times else values.to_numpy())
    missing = 0 if ordered.dtype.kind == "i" else int(np.isnan(ordered).sum())  # they are sorted last
    ordered = ordered[: len(ordered) - missing]
    return missing, int((ordered[1:] != ordered[:-1]).sum()) + bool(len(ordered))


def _why_held(held: ColumnRole, why: str) -> str:
    if held is ColumnRole.IGNORED:
        return why or "ignored by the data contract"
    return f"{why}; it stays {held.value} by the data contract" if why else ""


def role_by_spec(name: str, spec: ModelSpec) -> tuple[ColumnRole, str] | None:
    """Return the role that the model's file gives a column, and why; ``None``: it gives none."""
    data = spec.data
    named = {
        data.target: ColumnRole.TARGET,
        data.entity: ColumnRole.ENTITY,
        data.event_time: ColumnRole.EVENT_TIME,
    }
    if name in named:
        return named[name], ""
    if name in data.features:
        return ColumnRole.FEATURE, ""
    if name in data.sensitive:
        return ColumnRole.SENSITIVE, ""
    if name in data.exclude:
        return ColumnRole.IGNORED, "excluded by data.exclude"
    if name in data.columns and (role := data.columns[name].role) is not None:
        return ColumnRole(role), "" if role != "ignored" else "ignored by data.columns"
    return (ColumnRole.IGNORED, "not among data.features") if data.features else None


def _why_no_feature(column: ReadColumn, *, rows: int, nulls: int, distinct: int) -> str:
    """Return why a model should not learn from a column, or nothing.

    A column without any value stays a feature: validation says no to it.
    """
    if distinct == 1 and nulls == 0:
        return "one value in every row: nothing to learn from"
    if distinct < FEW:
        return ""
    if column.kind is ColumnKind.CATEGORY and distinct >= NEARLY_ALL * (rows - nulls):
        what = "it is free text" if is_free_text(column.values) else "it identifies rows"
        return f"{distinct:,} different values in {rows:,} rows: {what}"
    if column.kind is ColumnKind.INTEGER and distinct == rows:
        ends = column.values.max() - column.values.min() + 1
        if ends == rows:
            return "consecutive whole numbers, each once: it numbers the rows"
        if IDENTITY_NAME.fullmatch(column.name):
            return "whole numbers, each once, under the name of an identity: it identifies rows"
    return ""


def findings_about(columns: tuple[ColumnSchema, ...], spec: ModelSpec) -> tuple[str, ...]:
    """Say which columns were read as truths and times, and which are no features and why."""
    said = []
    truths = [column.name for column in columns if column.true_word is not None]
    times = [column.name for column in columns if column.kind is ColumnKind.DATETIME]
    if truths:
        said.append(f"two words read as true and false in {listed(truths)}")
    if times:
        said.append(f"times read in {listed(times)}; without a zone they are UTC")
    for column in columns:
        if column.freely and column.role is ColumnRole.FEATURE:
            said.append(f"{column.name}: {READ_FREELY} {column.freely}; {column.advice}")
        by_spec = column.name in spec.data.exclude or column.note in BY_SPEC
        if column.note and column.role is ColumnRole.IGNORED and not by_spec:
            said.append(f"{column.name}: {column.note}; no feature unless listed in data.features")
        elif column.note and column.role is ColumnRole.FEATURE:
            said.append(f"{column.name}: {column.note}")
    left_out = [column.name for column in columns if column.note == "not among data.features"]
    if left_out:
        said.append(f"not among data.features and left out: {listed(left_out)}")
    return tuple(said)


def listed(names: list[str] | tuple[str, ...]) -> str:
    """Return at most ten names, and how many more there are."""
    return first_of(names, 10)
