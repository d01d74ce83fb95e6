"""A source's columns, read by the contract in force and by what people wrote of how values are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from windsock.data.contract import InForce
from windsock.data.contract_advice import advice_on, keys_fit, target_keys
from windsock.data.contract_checks import is_flipped
from windsock.data.read_columns import ReadColumn
from windsock.data.reading import read_column
from windsock.data.roles import describe_column
from windsock.data.target_contract import class_counts, settling_keys
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, ColumnRole, ColumnSchema, ContractColumn, SourceForm, ValueForm
from windsock.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

Item = TypeVar("Item")
Made = TypeVar("Made")
MOST_THREADS = 4
"""Each takes the memory of the column that it reads."""


class SourceColumns(NamedTuple):
    """Reads a source's columns by the contract in force, and by what the source says of all of them."""

    spec: ModelSpec
    force: InForce
    source: ValueForm | None

    def form(self, name: str) -> ValueForm | None:
        """Return how a column's values are written: what was decided of it counts over the source's form."""
        of_column = self.force.forms.get(name)
        if of_column is None or self.source is None:
            return of_column or self.source
        decided = {key: getattr(of_column, key) for key in of_column.model_fields_set}
        if "decimal" in decided and isinstance(self.source, SourceForm):
            decided["by_values"] = False
        return self.source.replace(**decided)

    def read(
        self,
        values: pd.Series[Any],
        name: str,
        *,
        freely: bool = False,
        before: ReadColumn | None = None,
    ) -> ReadColumn:
        """Return a column's typed values.

        :param freely: by its own values alone, whatever the contract says.
        :param before: as it was read of all rows; it is what these are where the contract does not know it.
        """
        held = None if freely else self.force.column(name)
        if held is None and before is not None:
            held = ContractColumn(
                name=name,
                kind=before.kind,
                true_word=before.true_word,
                false_word=before.false_word,
                form=before.form,
            )
        if not freely and held is not None and (other := self._by_source_dates(held, values)):
            return self._best(values, name, other, held)
        return self.read_as(values, name, held)

    def _by_source_dates(self, held: ContractColumn, values: pd.Series[Any]) -> ContractColumn | None:
        """Return times as ``data.source.dates`` has them, where they are text and held otherwise."""
        import pandas as pd

        dates = getattr(self.spec.data.source, "dates", None)
        block = self.spec.data.columns.get(held.name)
        decided = block is not None and block.dates is not None
        if held.kind is not ColumnKind.DATETIME or dates in (None, held.form.dates) or decided:
            return None
        if pd.api.types.infer_dtype(values, skipna=True) != "string":
            return None
        return held.replace(form=held.form.replace(dates=dates))

    def _best(
        self, values: pd.Series[Any], name: str, one: ContractColumn, other: ContractColumn
    ) -> ReadColumn:
        """Return a column by the first of two meanings, or by the second where more values fit it."""
        first, second = self.read_as(values, name, one), self.read_as(values, name, other)
        return first if first.unread <= second.unread else second

    def read_as(self, values: pd.Series[Any], name: str, held: ContractColumn | None) -> ReadColumn:
        """Return a column's typed values by a meaning; ``None``: by themselves."""
        data = self.spec.data
        roles = {data.event_time: ColumnRole.EVENT_TIME, data.target: ColumnRole.TARGET}
        return read_column(
            values,
            name,
            as_text=name == data.entity,
            role=roles.get(name),
            held=held,
            form=self.form(name),
        )


class Deciding(NamedTuple):
    """A column by which rows are left out, before they were: as it was read, and as the source has it."""

    column: ReadColumn
    values: pd.Series[Any]


def describe(
    column: ReadColumn, values: pd.Series[Any], reader: SourceColumns, before: Deciding | None
) -> ColumnSchema:
    """Return a column's schema; where its values do not fit the contract, with what they would be read as.

    A row whose value cannot be read is left out by that very column: what does not fit is counted before.

    :param values: as the source has them.
    :param before: the column with the rows that it left out, where some of its values could not be read.
    """
    schema = describe_column(column, reader.spec, reader.force.role(column.name))
    if before is not None:
        values, read = before.values, before.column
        schema = schema.replace(
            unread=read.unread,
            shapes=read.shapes,
            unread_of=int(read.values.notna().sum()) + read.unread,
            note=read.doubt or schema.note,
        )
    held = reader.force.column(column.name)
    if held is None or not is_flipped(schema, len(values)):
        return schema

    def fits(meant: ContractColumn) -> bool:
        read = reader.read_as(values, column.name, meant)
        return not is_flipped(describe_column(read, reader.spec, held.role), len(values))

    free = reader.read(values, column.name, freely=True)
    settles = advice_on_target(held, free, fits, reader) if schema.role is ColumnRole.TARGET else ""
    advice = "; ".join(filter(None, (column.doubt, settles or advice_on(held, free, fits))))
    return schema.replace(note="", freely=free.kind.value, advice=advice)


def advice_on_target(
    held: ContractColumn, free: ReadColumn, fits: Callable[[ContractColumn], bool], reader: SourceColumns
) -> str:
    """Return all that settles other classes of a target at once; nothing where no classes changed.

    :param free: its values as they would be read by themselves.
    :param fits: whether its values fit another meaning.
    """
    if reader.spec.task != "classification":
        return ""
    keys = next((keys for keys in target_keys(held, free) if keys_fit(held, keys, fits)), None)
    if keys is None:
        return ""
    column = describe_column(free, reader.spec, held.role)
    counts = class_counts(free.values, column)
    settles = settling_keys(held, column, counts, keys, reader.force, reader.spec)
    return f"its values would be {free.kind.value}. If that is meant, write {settles}" if settles else ""


def read_all(
    frame: pd.DataFrame, reader: SourceColumns, conditions: Mapping[str, ReadColumn]
) -> tuple[list[ReadColumn], tuple[str, ...]]:
    """Return all columns of the rows that are taken, and which are left out of the snapshot.

    :param conditions: the columns of ``data.where``, read of all rows.
    :raises DataRefusedError: if a column that is not excluded holds no plain values.
    """

    def read(name: Any) -> ReadColumn | None:
        try:
            return reader.read(frame[name], str(name), before=conditions.get(name))
        except DataRefusedError:
            if name not in reader.spec.data.exclude:
                raise
            return None

    found = in_threads(read, frame.columns)
    left_out = [name for name, column in zip(frame.columns, found, strict=True) if column is None]
    said = "excluded, and left out of the snapshot: it holds no plain values"
    columns = [column for column in found if column is not None]
    return columns, tuple(f"{name}: {said}" for name in left_out)


def in_threads(do: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """Return what comes of each of many columns, in order; several at once."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        return list(pool.map(do, items))
