"""From fitted preprocessing to tables: it is asked what it makes of each value it can ever see.

Whatever scikit-learn does inside (rare categories that share a column, unseen ones, missing ones), the tables
hold its own answers. Only numbers, which have no end of values, are taken from what it learned: the median,
the mean and the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.form import NUMERIC, PARTS, Cells, NumberColumn, Part, Table
from windsock.exceptions import NotCompilableError
from windsock.records import ColumnKind, InputField

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

GROUPS = {"categories": (ColumnKind.CATEGORY,), "numbers": NUMERIC, "dates": (ColumnKind.DATETIME,)}
MOMENTS: dict[Part, list[datetime]] = {
    "weekday": [datetime(2024, 1, day) for day in range(1, 8)],  # noqa: DTZ001 - features have no zone
    "month": [datetime(2024, month, 1) for month in range(1, 13)],  # noqa: DTZ001
    "day": [datetime(2024, 1, day) for day in range(1, 32)],  # noqa: DTZ001
    "hour": [datetime(2024, 1, 1, hour) for hour in range(24)],  # noqa: DTZ001
}
"""Dates that have each value of a part in turn; 1 January 2024 was a Monday."""
MISSING, OTHER, FIRST = 0, 1, 2
"""Rows of the probe: nothing is there, something unseen is there, then the known values."""
CHUNK = 2_000
UNSEEN = "windsock-unseen"


@dataclass(frozen=True, kw_only=True, eq=False)
class Probed:
    """What the preprocessing makes of every value.

    :param numbers_at: column of the first number.
    """

    width: int
    numbers: tuple[NumberColumn, ...]
    numbers_at: int
    tables: tuple[Table, ...]


def probe(preprocessing: Any, fields: Sequence[InputField]) -> Probed:
    """Ask fitted preprocessing for its tables.

    :param preprocessing: a ColumnTransformer of the groups ``categories``, ``numbers`` and ``dates``.
    :param fields: the schema's fields, among them those that it was fitted on.
    :raises NotCompilableError: if it is anything else.
    """
    from sklearn.compose import ColumnTransformer

    if type(preprocessing) is not ColumnTransformer:
        raise NotCompilableError(f"the preprocessing is a {type(preprocessing).__name__}")
    place = {field.name: number for number, field in enumerate(fields)}
    groups = {}
    for name, transformer, columns in preprocessing.transformers_:
        if name == "remainder" and transformer == "drop":
            continue
        names = [str(column) for column in columns]
        kinds = {fields[place[column]].kind for column in names if column in place}
        if name not in GROUPS or not set(names) <= set(place) or not kinds <= set(GROUPS[name]):
            raise NotCompilableError(f"the preprocessing has a step {name!r} that is not Windsock's")
        groups[name] = _Group(
            names=names,
            places=[place[column] for column in names],
            steps=_steps(transformer),
            at=preprocessing.output_indices_[name].start,
        )
    return _Probe(preprocessing, fields, groups).run()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    names: list[str]
    places: list[int]
    steps: list[Any]
    at: int


def _steps(transformer: Any) -> list[Any]:
    """Return a transformer's steps, without those that change nothing."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    steps = [step for _, step in transformer.steps] if type(transformer) is Pipeline else [transformer]
    idle = [
        isinstance(step, str) or (isinstance(step, FunctionTransformer) and step.func is None)
        for step in steps
    ]
    return [step for step, nothing in zip(steps, idle, strict=True) if not nothing]


class _Probe:
    def __init__(self, preprocessing: Any, fields: Sequence[InputField], groups: dict[str, _Group]) -> None:
        self.preprocessing, self.fields, self.groups = preprocessing, fields, groups
        self.known: dict[str, list[str]] = {}
        if "categories" in groups:
            self.known = _categories(groups["categories"])

    def run(self) -> Probed:
        answers, width = self._answers()
        tables = [*self._category_tables(answers), *self._date_tables(answers)]
        numbers = self.groups.get("numbers")
        return Probed(
            width=width,
            numbers=tuple(self._numbers(numbers, answers)) if numbers else (),
            numbers_at=numbers.at if numbers else 0,
            tables=tuple(tables),
        )

    def _answers(self) -> tuple[Callable[[int, Sequence[int]], Cells], int]:
        """Transform the probe's rows; return what reads the columns of a row, and how many there are."""
        import numpy as np

        frame = self._rows()
        parts = []
        for start in range(0, len(frame), CHUNK):
            made = self.preprocessing.transform(frame.iloc[start : start + CHUNK])
            parts.append(np.asarray(made.toarray() if hasattr(made, "toarray") else made, dtype="float64"))
        table: NDArray[Any] = np.vstack(parts)

        def cells(row: int, columns: Sequence[int]) -> Cells:
            values = table[row, list(columns)].tolist()
            pairs = zip(columns, values, strict=True)
            return tuple((column, None if value != value else value) for column, value in pairs)

        return cells, int(table.shape[1])

    def _rows(self) -> pd.DataFrame:
        """Return rows in which every field runs through all its values at once: no field minds another's."""
        import numpy as np
        import pandas as pd

        moments = [moment for part in PARTS for moment in MOMENTS[part]]
        rows = FIRST + max([len(values) for values in self.known.values()] + [len(moments)])
        columns: dict[str, Any] = {}
        for name, group in self.groups.items():
            for field in group.names:
                if name == "numbers":
                    columns[field] = np.zeros(rows)
                    columns[field][MISSING] = np.nan
                elif name == "dates":
                    rest = [moments[0]] * (rows - FIRST - len(moments))
                    columns[field] = pd.Series([None, moments[0], *moments, *rest], dtype="datetime64[us]")
                else:
                    known = self.known[field]
                    blanks = [np.nan] * (rows - FIRST - len(known))
                    columns[field] = pd.Series([np.nan, _unseen(known), *known, *blanks], dtype="object")
        names = [str(name) for name in self.preprocessing.feature_names_in_]
        return pd.DataFrame(columns).reindex(columns=names)  # those it ignores stay empty

    def _category_tables(self, answers: Callable[[int, Sequence[int]], Cells]) -> Iterator[Table]:
        group = self.groups.get("categories")
        if group is None:
            return
        blocks = _blocks(group.steps, len(group.names), group.at)
        for name, place, block in zip(group.names, group.places, blocks, strict=True):
            other = _filled(answers(OTHER, block))
            known = {text: _filled(answers(FIRST + row, block)) for row, text in enumerate(self.known[name])}
            yield Table(
                field=place,
                known={text: cells for text, cells in known.items() if cells != other},
                other=other,
                missing=_filled(answers(MISSING, block)),
            )

    def _date_tables(self, answers: Callable[[int, Sequence[int]], Cells]) -> Iterator[Table]:
        group = self.groups.get("dates")
        if group is None:
            return
        dates, *steps = group.steps
        if type(dates).__name__ != "DateParts":
            raise NotCompilableError(f"dates are read by a {type(dates).__name__}")
        parts: list[tuple[int, Part]] = [
            (place, part)
            for place, with_hour in zip(group.places, dates.with_hour_, strict=True)
            for part in (PARTS if with_hour else PARTS[:-1])
        ]
        first = {part: FIRST + sum(len(MOMENTS[p]) for p in PARTS[:at]) for at, part in enumerate(PARTS)}
        for (place, part), block in zip(parts, _blocks(steps, len(parts), group.at), strict=True):
            yield Table(
                field=place,
                part=part,
                known={
                    str(_value(moment, part)): _filled(answers(first[part] + row, block))
                    for row, moment in enumerate(MOMENTS[part])
                },
                other=_filled(answers(MISSING, block)),
                missing=_filled(answers(MISSING, block)),
            )

    def _numbers(
        self, group: _Group, answers: Callable[[int, Sequence[int]], Cells]
    ) -> Iterator[NumberColumn]:
        from sklearn.preprocessing import StandardScaler

        blocks = _blocks([step for step in group.steps if type(step) is not StandardScaler],
                         len(group.names), group.at)  # fmt: skip
        scalers = [step for step in group.steps if type(step) is StandardScaler]
        if scalers != group.steps[len(group.steps) - len(scalers) :] or len(scalers) > 1:
            raise NotCompilableError("numbers are scaled before they are completed")
        for order, (place, block) in enumerate(zip(group.places, blocks, strict=True)):
            yield NumberColumn(
                field=place,
                mean=float(scalers[0].mean_[order]) if scalers else 0.0,
                scale=float(scalers[0].scale_[order]) if scalers else 1.0,
                missing=answers(MISSING, block),
                present=answers(OTHER, block[1:]),
            )


def _filled(cells: Cells) -> Cells:
    """Return the columns that are not 0: a table's other columns are."""
    return tuple((column, value) for column, value in cells if value != 0)


def _value(moment: datetime, part: str) -> int:
    return moment.weekday() if part == "weekday" else int(getattr(moment, part))


def _categories(group: _Group) -> dict[str, list[str]]:
    """Return the texts that an encoder knows of each field."""
    if len(group.steps) != 1 or not hasattr(group.steps[0], "categories_"):
        raise NotCompilableError("categories are not read by one encoder")
    learned = zip(group.names, group.steps[0].categories_, strict=True)
    return {name: [text for text in values if isinstance(text, str)] for name, values in learned}


def _unseen(known: Sequence[str]) -> str:
    text, there = UNSEEN, set(known)
    while text in there:
        text += "-"
    return text


def _blocks(steps: Sequence[Any], inputs: int, at: int) -> list[list[int]]:
    """Return for each input of a group the columns that it becomes, its own first and then its flag.

    :param steps: nothing, or one encoder or imputer.
    :param at: the group's first column.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if not steps or (len(steps) == 1 and type(steps[0]) is OrdinalEncoder):
        return [[at + number] for number in range(inputs)]
    if len(steps) == 1 and type(steps[0]) is OneHotEncoder:
        return _one_hot_blocks(steps[0], at)
    if len(steps) == 1 and type(steps[0]) is SimpleImputer:
        flagged = steps[0].indicator_.features_.tolist() if steps[0].add_indicator else []
        flags = {number: at + inputs + order for order, number in enumerate(flagged)}
        return [[at + number, *([flags[number]] if number in flags else [])] for number in range(inputs)]
    raise NotCompilableError(f"the preprocessing holds a {type(steps[-1]).__name__} where it must not")


def _one_hot_blocks(encoder: Any, at: int) -> list[list[int]]:
    if encoder.drop is not None:
        raise NotCompilableError("the encoder drops a category")
    rare = getattr(encoder, "infrequent_categories_", None)
    blocks = []
    for number, known in enumerate(encoder.categories_):
        few = rare[number] if rare is not None else None
        width = len(known) if few is None else len(known) - len(few) + 1
        blocks.append(list(range(at, at + width)))
        at += width
    return blocks
