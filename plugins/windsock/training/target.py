"""The target: what is predicted, read once for fitting and for judging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.exceptions import DataRefusedError, TrainingRefusedError
from windsock.records import (
    Answer,
    ColumnKind,
    ColumnRole,
    ColumnSchema,
    DataSnapshot,
    InputField,
    InputSchema,
)
from windsock.records.rows import judged_mask
from windsock.spec import ModelSpec
from windsock.statistics.metrics import Scored
from windsock.training.preprocessing import to_features

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Label = str | int | float | bool


def feature_fields(snapshot: DataSnapshot, spec: ModelSpec) -> tuple[InputField, ...]:
    """Return the features in the snapshot's order; a sensitive column is one only if the spec lists it.

    :raises TrainingRefusedError: if there is none.
    """
    listed = set(spec.data.features)
    fields = tuple(
        InputField(
            name=column.name,
            kind=column.kind,
            true_word=column.true_word,
            false_word=column.false_word,
            sensitive=column.name in spec.data.sensitive,
            form=column.form,
        )
        for column in snapshot.columns
        if (column.role is ColumnRole.FEATURE and column.name not in spec.data.sensitive)
        or (column.name in listed and column.role in (ColumnRole.FEATURE, ColumnRole.SENSITIVE))
    )
    if not fields:
        raise TrainingRefusedError(
            f"none of the snapshot's {len(snapshot.columns)} columns can be a feature",
            code="WS-TRAINING-004",
            next_action="Read the snapshot's findings; list columns in `data.features`, or mend the data.",
        )
    return fields


def read_labels(frame: pd.DataFrame, snapshot: DataSnapshot, spec: ModelSpec) -> NDArray[Any]:
    """Return the target of every row: booleans, integers or text for classes; floats for numbers.

    :raises TrainingRefusedError: if a value is missing or infinite, or the kind does not fit the task.
    """
    column = snapshot.column(spec.data.target)
    if column is None:
        raise TrainingRefusedError(
            f"target {spec.data.target!r} is no column of the snapshot", code="WS-TRAINING-006"
        )
    field = InputField(
        name=column.name, kind=column.kind, true_word=column.true_word, false_word=column.false_word
    )
    try:
        values = to_features(frame, [field])[column.name]
    except DataRefusedError as error:
        raise TrainingRefusedError(
            f"target {column.name!r}: {error.message}", code="WS-TRAINING-006"
        ) from None
    if missing := int(values.isna().sum()):
        raise TrainingRefusedError(
            f"target {column.name!r} is missing or infinite in {missing:,} of {len(values):,} rows; limit 0",
            code="WS-TRAINING-005",
            next_action="Leave such rows out at the source, or mend them.",
        )
    return _numbers(values, column) if spec.task == "regression" else _classes(values, column)


def judged_rows(
    frame: pd.DataFrame, held_out: NDArray[np.bool_], snapshot: DataSnapshot, spec: ModelSpec
) -> NDArray[np.bool_]:
    """Return which rows of a snapshot a model is judged on: see :func:`windsock.records.rows.judged_mask`.

    :param frame: rows of the snapshot.
    :param held_out: which of them are held out.
    """
    is_classes = spec.task == "classification" and snapshot.onset_rows > 0
    classes = read_labels(frame, snapshot, spec) if is_classes else None
    return judged_mask(held_out, snapshot.recent_rows, snapshot.onset_rows, classes=classes)


def _numbers(values: pd.Series[Any], column: ColumnSchema) -> NDArray[Any]:
    if column.kind not in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        raise TrainingRefusedError(
            f"target {column.name!r} is a {column.kind.value}; regression needs a number",
            code="WS-TRAINING-006",
            next_action="Write `task: classification`, or choose another target.",
        )
    numbers: NDArray[Any] = values.to_numpy(dtype="float64")
    return numbers


def _classes(values: pd.Series[Any], column: ColumnSchema) -> NDArray[Any]:
    labels: NDArray[Any] = values.to_numpy()
    if column.kind is ColumnKind.CATEGORY:
        return labels
    if column.kind is ColumnKind.BOOLEAN:
        truth: NDArray[Any] = labels == 1
        return truth
    if column.kind is ColumnKind.DATETIME or (labels % 1 != 0).any():
        raise TrainingRefusedError(
            f"target {column.name!r} is a {column.kind.value}; classification needs classes",
            code="WS-TRAINING-006",
            next_action="Write `task: regression` if it is a number to predict, or choose another target.",
        )
    return labels.astype("int64")


def make_schema(
    spec: ModelSpec, fields: Sequence[InputField], labels: NDArray[Any], column: ColumnSchema | None
) -> InputSchema:
    """Return what requests and answers of a model look like.

    :param labels: the training rows' targets; their sorted values are the classes.
    :param column: the target's column, for the words of a boolean.
    :raises TrainingRefusedError: if there are not two classes at least, or the spec's positive one is not
        there.
    """
    import numpy as np

    if spec.task == "regression":
        return InputSchema(model=spec.name, fields=tuple(fields), answer=Answer.NUMBER)
    classes: list[Label] = np.unique(labels).tolist()
    if len(classes) < 2:
        raise TrainingRefusedError(
            f"target {spec.data.target!r} has {len(classes)} class in {len(labels):,} training rows; "
            "at least 2 needed",
            code="WS-TRAINING-002",
            next_action="Bring rows of another class, or widen `data.data_window`.",
        )
    positive = positive_class(spec, classes, column)
    yes, no = (column.true_word, column.false_word) if column else (None, None)
    return InputSchema(
        model=spec.name,
        fields=tuple(fields),
        answer=Answer.CLASS,
        classes=tuple(classes),
        positive=positive,
        label_words=(yes, no) if yes is not None and no is not None else None,
    )


def positive_class(spec: ModelSpec, classes: Sequence[Label], column: ColumnSchema | None) -> Label | None:
    """Return the positive one of two classes; ``None`` with more.

    :param column: the target's column, for the words of a boolean.
    :raises TrainingRefusedError: if the spec's own is not there.
    """
    return _positive(spec, classes, column) if len(classes) == 2 else None


def _positive(spec: ModelSpec, classes: Sequence[Label], column: ColumnSchema | None) -> Label:
    wanted = spec.data.positive
    if wanted is None:
        return classes[-1]
    words = {True: column.true_word, False: column.false_word} if column else {}
    for label in classes:
        if wanted == label or str(wanted) == str(label):
            return label
    for label in classes:
        word = words.get(label) if isinstance(label, bool) else None
        if isinstance(label, bool) and str(wanted).lower() in (str(label).lower(), (word or "").lower()):
            return label
    raise TrainingRefusedError(
        f"`data.positive: {wanted}` is none of the {len(classes)} classes of target {spec.data.target!r}",
        code="WS-TRAINING-007",
        next_action="Write one of the target's classes, or leave `data.positive` out.",
    )


@dataclass(frozen=True, kw_only=True)
class Universe:
    """All classes that rows or models speak of; models that know fewer give the others no probability.

    :param classes: the labels; empty for numbers.
    :param positive: the positive label, with two classes.
    :param trained: how many of the classes, the first ones, the model was trained on.
    """

    classes: tuple[Label, ...] = ()
    positive: Label | None = None
    trained: int = 0

    def score(self, labels: NDArray[Any], answers: NDArray[Any], known: Sequence[Label]) -> Scored:
        """Put rows' labels and a model's answers side by side.

        :param labels: shape (rows,): what is true.
        :param answers: shape (rows, len(known)): the model's probabilities; or shape (rows,): its numbers.
        :param known: the model's classes, in the order of its answers.
        """
        import numpy as np

        if not self.classes:
            return Scored(truth=labels, answers=answers)
        place = {label: code for code, label in enumerate(self.classes)}
        truth = np.array([place[label] for label in labels.tolist()], dtype="int64")
        full = np.zeros((len(truth), len(self.classes)))
        full[:, [place[label] for label in known]] = answers
        positive = None if self.positive is None else place[self.positive]
        return Scored(
            truth=truth, answers=full, classes=len(self.classes), positive=positive, trained=self.trained
        )


def universe_of(schema: InputSchema, labels: NDArray[Any], *others: Sequence[Label]) -> Universe:
    """Return the classes of a model, of other models and of some rows, the model's own first.

    :param schema: the model's schema.
    :param labels: the rows' targets; one may be of a class that training never saw.
    :param others: classes of other models.
    """
    if schema.answer is Answer.NUMBER:
        return Universe()
    known = [*schema.classes, *(label for classes in others for label in classes)]
    classes = dict.fromkeys([*known, *sorted(set(labels.tolist()), key=str)])
    return Universe(classes=tuple(classes), positive=schema.positive, trained=len(schema.classes))


def in_time_order(frame: pd.DataFrame, spec: ModelSpec) -> pd.DataFrame:
    """Return rows in the order of time where they have one, with a fresh index."""
    return frame.iloc[time_order(frame, spec)].reset_index(drop=True)


def time_order(frame: pd.DataFrame, spec: ModelSpec) -> NDArray[Any]:
    """Return the positions of rows in the order of time, those without one first; else as they are."""
    import numpy as np

    by_time = spec.data.event_time
    if not by_time:
        return np.arange(len(frame))
    times = frame[by_time].reset_index(drop=True)
    positions: NDArray[Any] = times.sort_values(kind="stable", na_position="first").index.to_numpy()
    return positions
