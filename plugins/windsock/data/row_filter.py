"""Which rows of a source are taken: those with a target, and those of which ``data.where`` holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.data.read_columns import ReadColumn
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, ColumnSchema
from windsock.records.values import MISSING_WORDS, category_text
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
    """A source's rows without those that are left out.

    :param frame: the rows as the source has them; a word that stands for no label is missing.
    :param unlabelled: rows that are left out for they have no target.
    :param findings: how many rows are left out, and why.
    :param deciding: the columns of ``data.where`` as they were before.
    """

    frame: pd.DataFrame
    unlabelled: int = 0
    findings: tuple[str, ...] = ()
    deciding: Mapping[str, ReadColumn] = {}


def take_rows(
    frame: pd.DataFrame, spec: ModelSpec, read: Callable[[str], ReadColumn], *, nulls: Collection[str] = ()
) -> TakenRows:
    """Leave out the rows of which ``data.where`` does not hold; then, if asked for, those without a target.

    Conditions are held against typed values. A value that cannot be read hides its row: so the columns of
    conditions are handed back as they were before. What is left is as the source has it: other columns are
    typed by the rows that are taken. A target that cannot be read is no missing one: validation refuses it.

    :param frame: the source's rows, untyped.
    :param read: reads a column of them by its name.
    :param nulls: further words that the source has for a missing value.
    :raises DataRefusedError: if a condition does not fit its column, or no row is left.
    """
    target = read(spec.data.target)
    raw, findings = frame[target.name], []
    gone = target.values.isna().to_numpy(dtype=bool) & _is_missing(raw, nulls)
    if target.kind is ColumnKind.CATEGORY:
        worded = _texts(raw).isin(NO_LABEL).to_numpy(dtype=bool)
        if worded.any():
            said = f"{target.name}: {int(worded.sum()):,} values are words that stand for no label: no target"
            findings.append(said)
            frame, gone = frame.assign(**{target.name: raw.mask(worded, None)}), gone | worded
    kept = _all_rows(len(frame))
    deciding = _read_for(spec, frame, read)
    if spec.data.where:
        kept = _rows_that_hold(deciding, len(frame), spec)
        findings.append(_filtered(kept, deciding))
    if spec.data.unlabelled == "fail":
        return TakenRows(_rows_of(frame, kept), 0, tuple(findings), deciding)
    unlabelled = int((kept & gone).sum())
    if unlabelled:
        findings.append(_labelled(kept, unlabelled, target.name))
    return TakenRows(_rows_of(frame, kept & ~gone), unlabelled, tuple(findings), deciding)


def _all_rows(rows: int) -> NDArray[np.bool_]:
    import numpy as np

    return np.ones(rows, dtype=bool)


def _texts(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.astype(str).str.strip().str.lower()


def _is_missing(raw: pd.Series[Any], nulls: Collection[str]) -> NDArray[np.bool_]:
    """Return which values say that there is none, other than values that cannot be read."""
    words = {"", *MISSING_WORDS, *NO_LABEL, *(word.lower() for word in nulls)}
    missing: NDArray[np.bool_] = (raw.isna() | _texts(raw).isin(words)).to_numpy(dtype=bool)
    return missing


def _read_for(
    spec: ModelSpec, frame: pd.DataFrame, read: Callable[[str], ReadColumn]
) -> dict[str, ReadColumn]:
    for name in spec.data.where:
        if name not in frame.columns:
            raise DataRefusedError(
                f"data.where.{name}: the source has no such column; it has {len(frame.columns):,}",
                code="WS-DATA-080",
                next_action="Write a column of the source in `data.where`.",
            )
    return {name: read(name) for name in spec.data.where}


def _filtered(kept: NDArray[np.bool_], deciding: Mapping[str, ReadColumn]) -> str:
    rows, taken = len(kept), int(kept.sum())
    if not taken:
        unread = (said for column in deciding.values() if column.unread for said in column.findings)
        raise DataRefusedError(
            "; ".join([f"none of {rows:,} rows is one of which data.where holds", *unread]),
            code="WS-DATA-082",
            next_action="Widen the conditions in `data.where`, or see why the source has no such rows.",
        )
    return f"{taken:,} of {rows:,} rows are taken by data.where, {rows - taken:,} are left out"


def _labelled(kept: NDArray[np.bool_], unlabelled: int, target: str) -> str:
    rows = int(kept.sum())
    if unlabelled == rows:
        raise DataRefusedError(
            f"none of {rows:,} rows has a target ({target!r})",
            code="WS-DATA-083",
            next_action="Wait for labels, or name another column in `data.target`.",
        )
    return f"{unlabelled:,} of {rows:,} rows have no target and are left out (data.unlabelled: drop)"


def _rows_of(frame: pd.DataFrame, kept: NDArray[np.bool_]) -> pd.DataFrame:
    return frame if kept.all() else frame[kept].reset_index(drop=True)


def take_recent(
    frame: pd.DataFrame, schemas: Sequence[ColumnSchema], spec: ModelSpec
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Leave recent rows out of which ``data.where`` does not hold; one without the column's value is such.

    :param frame: typed rows with the columns of the source.
    :param schemas: these columns.
    :returns: the rows that are taken, by the index that they had, and how many are not.
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
    return frame[inside], (said,)


def _rows_that_hold(
    columns: Mapping[str, ReadColumn | TypedColumn], rows: int, spec: ModelSpec
) -> NDArray[np.bool_]:
    """Return of which rows every condition of ``data.where`` holds; without a value none does."""
    holds = _all_rows(rows)
    for name, condition in spec.data.where.items():
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
