"""Answered rows for tests of the prediction log, and what the log must make of them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from support.builders import NOON, digest
from windsock.adapters.log_format import EVENTS
from windsock.records import (
    Answer,
    ColumnKind,
    InputField,
    InputSchema,
    OutcomeEvent,
    PredictionEvent,
    UnansweredEvent,
)
from windsock.serving.prediction_log import AnsweredRows, LoggedRow

SCHEMA = InputSchema(
    model="churn",
    fields=(
        InputField(name="age", kind=ColumnKind.NUMBER),
        InputField(name="plan", kind=ColumnKind.CATEGORY),
    ),
    answer=Answer.CLASS,
    classes=(False, True),
    positive=True,
)
SENSITIVE = SCHEMA.model_copy(
    update={"fields": (SCHEMA.fields[0], SCHEMA.fields[1].model_copy(update={"sensitive": True}))}
)
SHARED = ("model", "version", "digest", "variant", "experiment", "epoch", "receive_time", "client")
UNANSWERED_SHARED = (*SHARED, "cause")
SHARED += ("fallback_for", "inference_ms")


def row(identifier: str = "p", **fields: Any) -> LoggedRow:
    """Return an answered row."""
    made: dict[str, Any] = {
        "prediction_id": identifier,
        "unit": None,
        "event_time": None,
        "score": 0.25,
        "prediction": False,
        "values": (41.5, "basic"),
    }
    return LoggedRow(**{**made, **fields})


def answered(
    *rows: LoggedRow | str, at: datetime = NOON, schema: InputSchema = SCHEMA, **fields: Any
) -> tuple[AnsweredRows, InputSchema]:
    """Return rows that one version answered, and their schema; a plain text is a row's id."""
    made: dict[str, Any] = {
        "model": "churn",
        "version": "1",
        "digest": digest("b"),
        "variant": "champion",
        "experiment": None,
        "epoch": 1,
        "receive_time": at,
        "client": None,
        "fallback_for": None,
        "inference_ms": 1.5,
        "rows": [row(one) if isinstance(one, str) else one for one in rows],
    }
    return AnsweredRows(**{**made, **fields}), schema


def events_of(given: AnsweredRows, schema: InputSchema) -> list[PredictionEvent]:
    """Return the event that each row must come back as."""
    names = [field.name for field in schema.fields]
    shared = {name: getattr(given, name) for name in SHARED}
    return [
        PredictionEvent(
            **shared,
            prediction_id=one.prediction_id,
            unit=one.unit,
            event_time=one.event_time,
            score=one.score,
            prediction=one.prediction,
            features=dict(zip(names, one.values, strict=True)),
        )
        for one in given.rows
    ]


def kind_of(event: Any) -> str:
    """Return the kind of the log that an event belongs to."""
    return next(kind for kind, record in EVENTS.items() if isinstance(event, record))


def line_of(*events: Any) -> bytes:
    """Return the line of an outcome, or of rows that share all but what a row holds."""
    first = events[0]
    if isinstance(first, OutcomeEvent):
        return first.model_dump_json().encode() + b"\n"
    dumped = [event.model_dump(mode="json") for event in events]
    if isinstance(first, UnansweredEvent):
        rows = [[one[name] for name in ("prediction_id", "unit", "event_time")] for one in dumped]
        return (
            json.dumps({**{name: dumped[0][name] for name in UNANSWERED_SHARED}, "rows": rows}).encode()
            + b"\n"
        )
    names = ("prediction_id", "unit", "event_time", "score", "prediction")
    content = {
        **{name: dumped[0][name] for name in SHARED},
        "fields": list(first.features),
        "rows": [[*(one[name] for name in names), list(one["features"].values())] for one in dumped],
    }
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"
