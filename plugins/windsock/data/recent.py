"""Recent rows: labelled answers of the prediction log, as rows like those of the source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windsock.data.roles import listed
from windsock.data.typed_column import UTC_MICROSECONDS
from windsock.data.words import WHOLE_NUMBER, microseconds
from windsock.ports import LabelledRows
from windsock.ports.left_out import left_out
from windsock.records import Answer, ColumnKind, ColumnSchema, InputField, InputSchema, Span, entity_text
from windsock.records.values import category_text
from windsock.spec import ModelSpec
from windsock.statistics.labels import read_outcomes

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
    :param received: when each answer was given, by the server's clock.
    """

    frame: pd.DataFrame
    carried: tuple[str, ...]
    findings: tuple[str, ...]
    received: tuple[datetime, ...] = ()


def read_recent(
    joined: LabelledRows, window: Span, source: pd.DataFrame, columns: Sequence[ColumnSchema], spec: ModelSpec
) -> RecentRows:
    """Return labelled answers as rows of the source: features by name, the outcome as the target.

    The entity is the request's unit, and the event time is the answer's, where requests do not carry them as
    features. An answer is left out that has no label, a label that is no value of the target, no feature that
    the source has, or a value that is not of its column's kind.

    :param window: the time in which the answers were asked for.
    :param source: the source's typed rows: what a label may be.
    :param columns: their columns.
    """
    answers, target, entity = _answers(joined.frame), spec.data.target, spec.data.entity
    given = _given(answers, columns, spec)
    known = _any(_there(values) for name, values in given.items() if name not in _from_answer(spec))
    outcomes = _listed(answers, "outcome")
    labels, _ = read_outcomes(outcomes, answer_schema(source, columns, spec))
    read, unfit = {target: labels}, {}
    for column in columns:
        if column.name != target:
            values = given.get(column.name, [None] * len(answers))
            read[column.name], unfit[column.name] = _read(values, column, identity=column.name == entity)
    nameless = int(unfit.pop(entity).sum()) if entity else 0
    labelled, meant, wrong = _there(outcomes), _there(labels), _any(unfit.values())
    odd = listed([name for name, places in unfit.items() if places.any()])
    left_out = {
        f"whose label is no value of {target}": labelled & ~meant,
        "without a feature that the source has": meant & ~known,
        f"with a value of another kind in {odd}": meant & known & wrong,
    }
    kept, received = meant & known & ~wrong, _listed(answers, "receive_time")
    return RecentRows(
        frame=_frame(read, columns, kept),
        received=tuple(received[place] for place in kept.nonzero()[0]),
        carried=tuple(name for name in source.columns if name in given or name == target),
        findings=(
            *_counted(joined, window, len(answers), int(labelled.sum())),
            *(
                f"WS-DATA-061: {int(places.sum()):,} labelled answers {why} were left out"
                for why, places in left_out.items()
                if places.any()
            ),
            *([f"{entity}: {nameless:,} units are none, and were read as missing"] if nameless else []),
        ),
    )


def _given(answers: pd.DataFrame, columns: Sequence[ColumnSchema], spec: ModelSpec) -> dict[str, list[Any]]:
    """Return what the answers say of the source's columns, but for the target: features, unit and time."""
    features = [value if isinstance(value, Mapping) else {} for value in _listed(answers, "features")]
    names = {name for row in features for name in row} - {spec.data.target}
    given = {
        column.name: [row.get(column.name) for row in features] for column in columns if column.name in names
    }
    entity, event_time = spec.data.entity, spec.data.event_time
    if entity and entity not in given and _there(units := _listed(answers, "unit")).any():
        given[entity] = units
    if event_time and event_time not in given:
        received = _listed(answers, "receive_time")
        given[event_time] = [
            own or seen for own, seen in zip(_listed(answers, "event_time"), received, strict=True)
        ]
    return given


def _from_answer(spec: ModelSpec) -> tuple[str | None, ...]:
    return (spec.data.entity, spec.data.event_time)


def answer_schema(source: pd.DataFrame, columns: Sequence[ColumnSchema], spec: ModelSpec) -> InputSchema:
    """Return what a label may be: a number, or one of the classes of the source.

    :param source: the source's typed rows.
    :param columns: their columns.
    """
    target = source[spec.data.target]
    kind = ColumnKind.NUMBER if spec.task == "regression" else ColumnKind.CATEGORY
    fields = (InputField(name=spec.data.target, kind=kind),)
    if spec.task == "regression":
        return InputSchema(model=spec.name, fields=fields, answer=Answer.NUMBER)
    classes = [_whole(value) for value in target.dropna().unique().tolist()]
    read = next((one for one in columns if one.name == spec.data.target), None)
    words = (read.true_word, read.false_word) if read else (None, None)
    return InputSchema(
        model=spec.name,
        fields=fields,
        answer=Answer.CLASS,
        classes=tuple(sorted(classes)),
        label_words=None if words[0] is None or words[1] is None else (words[0], words[1]),
    )


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _counted(joined: LabelledRows, window: Span, answers: int, labelled: int) -> tuple[str, ...]:
    share = f" ({labelled / answers:.1%})" if answers else ""
    parts = {
        "for predictions that are not in the log": joined.unknown,
        "replaced by a later one": joined.duplicates,
        "too late": joined.late,
        "of lines of the log that are damaged": joined.damaged,
    }
    again = joined.repeated
    odd = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
    asked = f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"
    return (
        f"recent window {asked}: {answers:,} answers, {labelled:,} with a label{share}",
        *([f"labels of the recent window: {odd}"] if odd else []),
        *left_out(joined),
        *([f"answers whose prediction id a later one has, too: {again:,}"] if again else []),
        *([f"too many answers: only those since {joined.cut:%Y-%m-%d %H:%M} UTC"] if joined.cut else []),
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


def _there(values: Sequence[Any]) -> NDArray[np.bool_]:
    import numpy as np

    return np.array([value is not None for value in values], dtype=bool)


def _any(parts: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    import numpy as np

    found: NDArray[np.bool_] = np.logical_or.reduce([*parts])
    return found


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


def _numeric(column: ColumnSchema) -> Reader:
    def read(value: Any) -> int | float:
        if isinstance(value, str):
            value = int(value) if WHOLE_NUMBER.fullmatch(value) else float(value)
        if isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(column.name)
        return int(value) if value == int(value) else float(value)

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
    ColumnKind.NUMBER: _numeric,
    ColumnKind.INTEGER: _numeric,
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
    whole = kind is ColumnKind.INTEGER and all(type(value) is int for value in values)
    return np.array(values, dtype=np.int64 if whole else np.float64)
