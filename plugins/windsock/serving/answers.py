"""What a client gets back for a row, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from windsock.records import Answer, InputSchema

Label = str | int | float | bool


class RowAnswer(msgspec.Struct, gc=False, frozen=True):
    """The answer to one row.

    :param prediction: the label, or the number.
    :param probabilities: probability of each label; null for numbers, and for a fallback constant.
    :param score: probability of the positive label, or the number; null with more than two labels.
    :param version: version that answered; empty for a fallback constant.
    :param variant: ``champion``, ``challenger``, or ``constant`` for the fallback constant.
    :param inference_time_ms: time the model took for the whole request.
    """

    prediction: Label
    probabilities: dict[str, float] | None
    score: float | None
    model: str
    version: str
    variant: str
    prediction_id: str
    inference_time_ms: float
    timestamp: datetime


class RowAnswers(msgspec.Struct, gc=False, frozen=True):
    """The answers to a list of rows, in its order."""

    predictions: list[RowAnswer]


_encode = msgspec.json.Encoder().encode


def write_answers(answers: Sequence[RowAnswer], *, single: bool) -> bytes:
    """Return answers as JSON.

    :param single: whether one object was asked for.
    """
    return _encode(answers[0]) if single else _encode(RowAnswers(list(answers)))


class ScoreReader:
    """Turns a version's scores into predictions.

    :param schema: the version's.
    """

    def __init__(self, schema: InputSchema) -> None:
        self.is_number = schema.answer is Answer.NUMBER
        self.classes = schema.classes
        self.labels = [label_text(label) for label in schema.classes]
        self.positive = schema.classes.index(schema.positive) if schema.positive is not None else None

    def read(self, scores: Sequence[float]) -> tuple[Label, dict[str, float] | None, float | None]:
        """Return prediction, probabilities and score of one row.

        :param scores: the class probabilities in the order of the classes, or the one number.
        """
        if self.is_number:
            return scores[0], None, scores[0]
        # The first of equal ones, as scikit-learn's argmax takes it.
        best = scores.index(max(scores))
        score = scores[self.positive] if self.positive is not None else None
        return self.classes[best], dict(zip(self.labels, scores, strict=True)), score


def label_text(label: Label) -> str:
    """Return a label as a key of JSON: booleans as JSON writes them."""
    return str(label).lower() if isinstance(label, bool) else str(label)
