"""Which rows of a typed table are taken: those with a target, and those of which ``data.where`` holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.data.reading import ReadColumn
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, ColumnSchema
from windsock.records.values import category_text
from windsock.spec import ModelSpec, RangeBlock
from windsock.spec.column_words import NO_LABEL
from windsock.spec.row_conditions import Condition, Value

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class TypedColumn(NamedTuple):
    """What a condition is held against; a column that was read has all of it, too."""

    name: str
    kind: ColumnKind
    values: pd.Series[Any]
    true_word: str | None
    false_word: str | None


class TakenRows(NamedTuple):
    """Columns without the rows that are left out.

    :param unlabelled: rows that are left out for they have no target.
    :param findings: how many rows are left out, and why.
    """

    columns: list[ReadColumn]
    unlabelled: int
    findings: tuple[str, ...]


def take_rows(columns: Sequence[ReadColumn], spec: ModelSpec) -> TakenRows:
    """Leave out the rows of which ``data.where`` does not hold; then, if asked for, those without a target.

    A target of classes that is a word such as NA has none.

    :param columns: the source's typed columns.
    :raises DataRefusedError: if a condition does not fit its column, or no row is left.
    """
    kept, findings = [_without_missing_words(column, spec) for column in columns], []
    rows = len(kept[0].values) if kept else 0
    if spec.data.where:
        inside = _rows_that_hold({column.name: column for column in kept}, rows, spec)
        kept = [_rows_of(column, inside) for column in kept]
        taken = int(inside.sum())
        findings.append(f"{taken:,} of {rows:,} rows are taken by data.where, {rows - taken:,} are left out")
        if not inside.any():
            raise DataRefusedError(
                f"none of {rows:,} rows is one of which data.where holds",
                code="WS-DATA-082",
                next_action="Widen the conditions in `data.where`, or see why the source has no such rows.",
            )
    unlabelled = 0
    if spec.data.unlabelled == "drop":
        kept, unlabelled, said = _labelled(kept, spec.data.target)
        findings += said
    return TakenRows(kept, unlabelled, tuple(findings))


def _labelled(columns: list[ReadColumn], target: str) -> tuple[list[ReadColumn], int, list[str]]:
    there = next(column.values for column in columns if column.name == target).notna().to_numpy(dtype=bool)
    unlabelled = int((~there).sum())
    if not unlabelled:
        return columns, 0, []
    if not there.any():
        raise DataRefusedError(
            f"none of {len(there):,} rows has a target ({target!r})",
            code="WS-DATA-083",
            next_action="Wait for labels, or name another column in `data.target`.",
        )
    said = f"{unlabelled:,} of {len(there):,} rows have no target and are left out (data.unlabelled: drop)"
    return [_rows_of(column, there) for column in columns], unlabelled, [said]


def _without_missing_words(column: ReadColumn, spec: ModelSpec) -> ReadColumn:
    if column.name != spec.data.target or column.kind is not ColumnKind.CATEGORY:
        return column
    gone = column.values.map(lambda word: isinstance(word, str) and word.lower() in NO_LABEL)
    if not gone.any():
        return column
    said = f"{column.name}: {int(gone.sum()):,} values are words that stand for no label: no target"
    return replace(
        column, values=column.values.mask(gone.to_numpy(dtype=bool), None), findings=(*column.findings, said)
    )


def _rows_of(column: ReadColumn, kept: NDArray[np.bool_]) -> ReadColumn:
    return replace(column, values=_narrow(column.values[kept].reset_index(drop=True), column.kind))


def _narrow(values: pd.Series[Any], kind: ColumnKind) -> pd.Series[Any]:
    """Return values in the type that they have where none is missing, if none is missing any more."""
    if values.isna().any():
        return values
    if kind is ColumnKind.INTEGER and values.dtype.kind == "f":
        return values.astype("int64")
    return values.astype(bool) if kind is ColumnKind.BOOLEAN else values


def take_recent(
    frame: pd.DataFrame, schemas: Sequence[ColumnSchema], spec: ModelSpec
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Leave recent rows out of which ``data.where`` does not hold; one without the column's value is such.

    :param frame: typed rows with the columns of the source.
    :param schemas: these columns.
    :returns: the rows that are taken, and how many are not.
    :raises DataRefusedError: if a condition is of another kind than its column.
    """
    if not spec.data.where:
        return frame, ()
    columns = {
        column.name: TypedColumn(
            column.name, column.kind, frame[column.name], column.true_word, column.false_word
        )
        for column in schemas
    }
    inside = _rows_that_hold(columns, len(frame), spec)
    said = f"{int(inside.sum()):,} of {len(frame):,} recent rows are taken by data.where"
    return frame[inside].reset_index(drop=True), (said,)


def _rows_that_hold(
    columns: Mapping[str, ReadColumn | TypedColumn], rows: int, spec: ModelSpec
) -> NDArray[np.bool_]:
    """Return of which rows every condition of ``data.where`` holds; without a value none does."""
    import numpy as np

    holds = np.ones(rows, dtype=bool)
    for name, condition in spec.data.where.items():
        if name not in columns:
            raise DataRefusedError(
                f"data.where.{name}: the source has no such column; it has {len(columns):,}",
                code="WS-DATA-080",
                next_action="Write a column of the source in `data.where`.",
            )
        holds &= _holds(columns[name], condition)
    return holds


def _holds(column: ReadColumn | TypedColumn, condition: Condition) -> NDArray[np.bool_]:
    import numpy as np

    read = READERS[column.kind]
    values = column.values
    there = values.notna().to_numpy(dtype=bool)
    inside = np.ones(len(values), dtype=bool)
    if isinstance(condition, RangeBlock):
        if column.kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
            raise _misfit(column, "a range")
        if condition.min is not None:
            inside &= (values >= read(column, condition.min)).fillna(False).to_numpy(dtype=bool)
        if condition.max is not None:
            inside &= (values <= read(column, condition.max)).fillna(False).to_numpy(dtype=bool)
    else:
        wanted = condition if isinstance(condition, tuple) else (condition,)
        inside = values.isin([read(column, value) for value in wanted]).to_numpy(dtype=bool)
    held: NDArray[np.bool_] = inside & there
    return held


def _misfit(column: ReadColumn | TypedColumn, what: str) -> DataRefusedError:
    return DataRefusedError(
        f"data.where.{column.name}: {what} does not fit a column that is read as {column.kind.value}",
        code="WS-DATA-081",
        next_action="Write values of that kind in `data.where`: numbers bare, text and times quoted.",
    )


def _number(column: ReadColumn | TypedColumn, value: Value) -> float | int:
    if isinstance(value, bool | str):
        raise _misfit(column, "a text" if isinstance(value, str) else "true or false")
    return value


def _truth(column: ReadColumn | TypedColumn, value: Value) -> bool:
    words = {True: column.true_word or "true", False: column.false_word or "false"}
    for truth, word in words.items():
        if value is truth or (isinstance(value, str) and value.lower() in (word.lower(), str(truth).lower())):
            return truth
    raise _misfit(column, "a value that is neither of its two words")


def _time(column: ReadColumn | TypedColumn, value: Value) -> datetime:
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        read = None
    if read is None:
        raise _misfit(column, "a value that is no time such as 2026-05-01 or 2026-05-01T12:00:00Z")
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _word(column: ReadColumn | TypedColumn, value: Value) -> str:
    return category_text(value)


READERS: dict[ColumnKind, Callable[[Any, Any], Any]] = {
    ColumnKind.NUMBER: _number,
    ColumnKind.INTEGER: _number,
    ColumnKind.BOOLEAN: _truth,
    ColumnKind.DATETIME: _time,
    ColumnKind.CATEGORY: _word,
}
