"""Recent rows: labelled answers of the prediction log, as rows like those of the source."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windsock.data.reading import UTC_MICROSECONDS
from windsock.data.roles import listed
from windsock.data.words import WHOLE_NUMBER, is_number, microseconds
from windsock.ports import LabelledRows
from windsock.records import ColumnKind, ColumnSchema, entity_text
from windsock.records.values import category_text
from windsock.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

SHADOW = "shadow"
"""Variant of answers that nobody saw."""
Reader = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class RecentRows:
    """What the prediction log has to learn from.

    :param frame: one row for each labelled answer, in the order in which they came, with the columns and
        types of the source; a column that requests do not carry has no value.
    :param carried: columns that requests and labels do carry.
    :param findings: how many answers there were, and which were left out and why; never a value.
    """

    frame: pd.DataFrame
    carried: tuple[str, ...]
    findings: tuple[str, ...]


def read_recent(
    joined: LabelledRows, source: pd.DataFrame, columns: Sequence[ColumnSchema], spec: ModelSpec
) -> RecentRows:
    """Return labelled answers as rows of the source: features by name, the outcome as the target.

    The entity is the request's unit, and the event time is the answer's, where requests do not carry them as
    features. An answer is left out that has no label, a label that is no value of the target, no feature that
    the source has, or a value that is not of its column's kind.

    :param source: the source's typed rows: what a label may be.
    :param columns: their columns.
    """
    answers = _answers(joined.frame)
    features = [value if isinstance(value, Mapping) else {} for value in _listed(answers, "features")]
    names = {name for row in features for name in row} - {spec.data.target}
    given: dict[str, list[Any]] = {
        column.name: [row.get(column.name) for row in features] for column in columns if column.name in names
    }
    known = _no_row(answers)
    for values in given.values():
        known |= _there(values)
    data = spec.data
    if data.entity and data.entity not in given and _there(units := _listed(answers, "unit")).any():
        given[data.entity] = units
    if data.event_time and data.event_time not in given:
        given[data.event_time] = _moments(answers)
    outcomes = given[data.target] = _listed(answers, "outcome")
    read, unfit = {}, {}
    for column in columns:
        values = given.get(column.name, [None] * len(answers))
        read[column.name], unfit[column.name] = _read(values, column, identity=column.name == data.entity)
    labelled, foreign = _there(outcomes), unfit.pop(data.target)
    if spec.task == "classification":
        classes = set(source[data.target].dropna().tolist())
        foreign |= [value is not None and value not in classes for value in read[data.target]]
    nameless = int(unfit.pop(data.entity).sum()) if data.entity else 0
    wrong = _no_row(answers)
    for places in unfit.values():
        wrong |= places
    kept = labelled & ~foreign & known & ~wrong
    left_out = {
        f"whose label is no value of {data.target}": foreign,
        "without a feature that the source has": labelled & ~foreign & ~known,
        f"with a value of another kind in {listed([name for name in unfit if unfit[name].any()])}": labelled
        & ~foreign
        & known
        & wrong,
    }
    return RecentRows(
        frame=_frame(read, columns, kept),
        carried=tuple(name for name in source.columns if name in given),
        findings=(
            *_counted(joined, len(answers), int(labelled.sum())),
            *(
                f"WS-DATA-061: {int(places.sum()):,} labelled answers {why} were left out"
                for why, places in left_out.items()
                if places.any()
            ),
            *([f"{data.entity}: {nameless:,} units are none, and were read as missing"] if nameless else []),
        ),
    )


def _counted(joined: LabelledRows, answers: int, labelled: int) -> tuple[str, ...]:
    share = f" ({labelled / answers:.1%})" if answers else ""
    parts = {
        "for predictions that are not in the log": joined.unknown,
        "replaced by a later one": joined.duplicates,
        "too late": joined.late,
    }
    odd = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
    return (
        f"{answers:,} answers in the recent window, {labelled:,} with a label{share}",
        *([f"labels of the recent window: {odd}"] if odd else []),
    )


def _answers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each prediction that somebody saw, in the order in which they came."""
    if not len(frame):
        return frame
    seen = frame[frame["variant"] != SHADOW]
    ordered = seen.sort_values(["receive_time", "prediction_id"], kind="stable")
    return ordered.drop_duplicates("prediction_id").reset_index(drop=True)


def _listed(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return a column's plain values, ``None`` for missing ones and for a column that is not there."""
    if name not in frame:
        return [None] * len(frame)
    values = frame[name]
    return [
        None if gone else value for value, gone in zip(values.tolist(), values.isna().tolist(), strict=True)
    ]


def _moments(answers: pd.DataFrame) -> list[Any]:
    """Return when the answered things happened: by the client, else by the server."""
    received = _listed(answers, "receive_time")
    return [own or seen for own, seen in zip(_listed(answers, "event_time"), received, strict=True)]


def _no_row(frame: pd.DataFrame) -> NDArray[np.bool_]:
    import numpy as np

    return np.zeros(len(frame), dtype=bool)


def _there(values: Sequence[Any]) -> NDArray[np.bool_]:
    import numpy as np

    return np.array([value is not None for value in values], dtype=bool)


def _read(
    values: Sequence[Any], column: ColumnSchema, *, identity: bool
) -> tuple[list[Any], NDArray[np.bool_]]:
    """Return values of the column's kind, ``None`` for missing ones, and where one was of another kind."""
    import numpy as np

    read = READERS[column.kind](column)
    found, unfit = [None] * len(values), np.zeros(len(values), dtype=bool)
    for place, value in enumerate(values):
        if value is None or value != value:
            continue
        try:
            found[place] = read(entity_text(value) if identity else value)
        except (ValueError, TypeError, KeyError, OverflowError):
            unfit[place] = True
    return found, unfit


def _number(column: ColumnSchema) -> Reader:
    def read(value: Any) -> float:
        plain = is_number(value.strip()) if isinstance(value, str) else not isinstance(value, bool)
        number = float(value) if plain else math.nan
        if not math.isfinite(number):
            raise ValueError(column.name)
        return number

    return read


def _whole(column: ColumnSchema) -> Reader:
    def read(value: Any) -> int:
        whole = WHOLE_NUMBER.fullmatch(value.strip()) if isinstance(value, str) else int(value) == value
        if not whole:
            raise ValueError(column.name)
        return int(value)

    return read


def _truth(column: ColumnSchema) -> Reader:
    words = {"true": True, "1": True, "false": False, "0": False}
    words |= {
        word.lower(): truth for word, truth in ((column.true_word, True), (column.false_word, False)) if word
    }
    return lambda value: words[category_text(value).strip().lower()]


def _name(column: ColumnSchema) -> Reader:
    def read(value: Any) -> str | None:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise TypeError(column.name)
        return category_text(value).strip() or None

    return read


def _time(column: ColumnSchema) -> Reader:
    def read(value: Any) -> int:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return microseconds(moment.astimezone(UTC) if moment.tzinfo else moment)

    return read


READERS: dict[ColumnKind, Callable[[ColumnSchema], Reader]] = {
    ColumnKind.NUMBER: _number,
    ColumnKind.INTEGER: _whole,
    ColumnKind.BOOLEAN: _truth,
    ColumnKind.CATEGORY: _name,
    ColumnKind.DATETIME: _time,
}


def _frame(
    read: Mapping[str, list[Any]], columns: Sequence[ColumnSchema], kept: NDArray[np.bool_]
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    places = np.flatnonzero(kept).tolist()
    typed = {
        column.name: _typed([read[column.name][place] for place in places], column.kind) for column in columns
    }
    return pd.DataFrame(typed, index=range(len(places)), columns=[column.name for column in columns])


def _typed(values: list[Any], kind: ColumnKind) -> Any:
    """Return values as :func:`~windsock.data.reading.read_column` would have typed them."""
    import numpy as np
    import pandas as pd

    gone = None in values
    if kind is ColumnKind.CATEGORY:
        return pd.Series(values, dtype=object)
    if kind is ColumnKind.BOOLEAN:
        return pd.array(values, dtype="boolean") if gone else np.array(values, dtype=bool)
    if kind is ColumnKind.DATETIME:
        nothing = np.iinfo(np.int64).min
        moments = np.array([nothing if value is None else value for value in values], dtype=np.int64)
        return pd.Series(moments.view("datetime64[us]")).dt.tz_localize("UTC").astype(UTC_MICROSECONDS)
    return np.array(values, dtype=np.float64 if gone or kind is ColumnKind.NUMBER else np.int64)
