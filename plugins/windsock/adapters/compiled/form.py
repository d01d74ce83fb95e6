"""The form on disk (``compiled.json``): plain tables and numbers, checked whole before anything uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from windsock.records import Answer, ColumnKind, InputSchema, Record

Cells = tuple[tuple[int, float | None], ...]
"""Columns of the estimator's input with what stands in them; ``None`` is NaN. Other columns are 0."""

NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN)
Link = Literal["none", "share", "logistic", "softmax", "exp"]
Part = Literal["weekday", "month", "day", "hour"]
PARTS: tuple[Part, ...] = ("weekday", "month", "day", "hour")


class NumberColumn(Record):
    """A number, integer or boolean: one column of its own, and perhaps one that flags a missing value.

    :param field: position of the field in the schema.
    :param mean: taken off the value.
    :param scale: divides what is left.
    :param missing: the columns of a missing value, its own among them even where it is 0.
    :param present: the flag's column where there is a value.
    """

    field: int = Field(ge=0)
    mean: float = 0.0
    scale: float = 1.0
    missing: Cells
    present: Cells = ()


class Table(Record):
    """A category, or one part of a date: the columns of each value it can have.

    :param field: position of the field in the schema.
    :param part: what of a date is looked up; ``None`` for a category.
    :param known: the columns of a value, by its text.
    :param other: the columns of any other value.
    :param missing: the columns of a missing value.
    """

    field: int = Field(ge=0)
    part: Part | None = None
    known: dict[str, Cells]
    other: Cells
    missing: Cells

    @property
    def cells(self) -> Iterator[Cells]:
        """The columns of each value, of others and of missing ones."""
        yield from (*self.known.values(), self.other, self.missing)


class CompiledForm(Record):
    """A fitted pipeline as tables. Columns are those that the pipeline's estimator was fitted on.

    :param fields: names of the schema's fields, in its order.
    :param width: number of columns.
    :param numbers: the numbers, whose own columns stand side by side.
    :param numbers_at: column of the first of them.
    :param outputs: how many numbers the estimator answers with: 1 for two classes, where it gives but one
        probability.
    :param link: turns the estimator's sums into answers.
    :param coefficients: of a linear estimator: for each output one of each column.
    :param intercepts: of a linear estimator: one for each output.
    :param rounded: whether the columns are rounded to 32 bits before the trees see them.
    :param base: what the trees' sums begin with: one for each output.
    :param divisor: divides the trees' sums.
    """

    format: Literal[1] = 1
    engine: Literal["linear", "trees"]
    fields: tuple[str, ...]
    width: int = Field(ge=1, le=1_000_000)
    numbers: tuple[NumberColumn, ...] = ()
    numbers_at: int = Field(default=0, ge=0)
    tables: tuple[Table, ...] = ()
    outputs: int = Field(ge=1, le=100_000)
    link: Link
    coefficients: tuple[tuple[float, ...], ...] = ()
    intercepts: tuple[float, ...] = ()
    rounded: bool = False
    base: tuple[float, ...] = ()
    divisor: float = Field(default=1.0, gt=0)

    def faults(self, schema: InputSchema) -> Iterator[str]:
        """Say what does not fit together, or does not fit a schema; nothing where all does."""
        if self.fields != tuple(field.name for field in schema.fields):
            yield "its fields are not the schema's"
            return
        kinds = [field.kind for field in schema.fields]
        yield from self._wrong_kinds(kinds)
        yield from self._wrong_columns()
        classes = len(schema.classes) if schema.answer is Answer.CLASS else 1
        one_less = classes - 1
        due = {"none": classes, "softmax": classes, "logistic": one_less, "share": one_less, "exp": 1}[
            self.link
        ]
        fits = (
            classes == 1
            if self.link == "exp"
            else classes == 2
            if self.link in ("logistic", "share")
            else True
        )
        if not fits or self.outputs != due:
            yield f"it answers with {self.outputs} numbers, link {self.link}"
        if self.engine == "linear":
            yield from self._wrong_coefficients()
        elif self.coefficients or self.intercepts or len(self.base) != self.outputs:
            yield f"trees have {self.outputs} beginnings and no coefficients"
        elif any((number.mean, number.scale) != (0.0, 1.0) for number in self.numbers):
            yield "numbers of trees are not scaled"
        else:
            yield from self._shared_columns()

    def _wrong_kinds(self, kinds: list[ColumnKind]) -> Iterator[str]:
        for number in self.numbers:
            if number.field >= len(kinds) or kinds[number.field] not in NUMERIC:
                yield f"field {number.field} is no number"
        for table in self.tables:
            due = ColumnKind.CATEGORY if table.part is None else ColumnKind.DATETIME
            if table.field >= len(kinds) or kinds[table.field] is not due:
                yield f"field {table.field} is no {due.value}"
        used = [(number.field, "") for number in self.numbers]
        used += [(table.field, table.part or "") for table in self.tables]
        if len(set(used)) != len(used):
            yield "a field is there twice"

    def _wrong_columns(self) -> Iterator[str]:
        if self.numbers_at + len(self.numbers) > self.width:
            yield f"its numbers stand beyond its {self.width} columns"
        if any(number.scale == 0 for number in self.numbers):
            yield "a scale is 0"
        own = [dict(number.missing).keys() for number in self.numbers]
        if any(column not in written for column, written in enumerate(own, self.numbers_at)):
            yield "a missing number leaves its own column as it is"
        cells = [cells for number in self.numbers for cells in (number.missing, number.present)]
        cells += [cells for table in self.tables for cells in table.cells]
        if any(not 0 <= column < self.width for group in cells for column, _ in group):
            yield f"a column is none of its {self.width}"
        if self.engine == "linear" and any(value is None for group in cells for _, value in group):
            yield "a linear estimator has no answer to NaN"
        whole = {str(value) for value in range(32)}
        if any(table.part is not None and not set(table.known) <= whole for table in self.tables):
            yield "a part of a date is no small number"

    def _shared_columns(self) -> Iterator[str]:
        """Say where tables or the numbers write the same columns: a row is put together piece by piece."""
        written = [{column for cells in table.cells for column, _ in cells} for table in self.tables]
        written.append(set(range(self.numbers_at, self.numbers_at + len(self.numbers))))
        if len(set().union(*written)) < sum(map(len, written)):
            yield "two of its tables, or a table and its numbers, write the same columns"

    def _wrong_coefficients(self) -> Iterator[str]:
        shape = [len(row) for row in self.coefficients]
        if shape != [self.width] * self.outputs or len(self.intercepts) != self.outputs:
            yield f"its coefficients are not {self.outputs} times {self.width}"
