"""The prediction log's files: where segments lie, what a line is, how lines are read.

A segment is ``log/KIND/MODEL/HOUR/PID-ID.ndjson`` in the server's state folder. ``KIND`` is
``predictions``, ``outcomes`` or ``unanswered``, ``HOUR`` is UTC, such as ``20260501T02``. A line of
``outcomes`` is one outcome. A line of ``predictions`` is what one version answered in one request: what its
rows share once, the names of the fields once, and each row as an array::

    {"model": "churn", "version": "3", ..., "fields": ["age", "plan"],
     "rows": [[PREDICTION_ID, UNIT, EVENT_TIME, SCORE, PREDICTION, [41.5, "basic"]], ...]}

A line of ``unanswered`` is what a rollout gave to one version in one request without an answer coming of
it::

    {"model": "churn", "version": "4", ..., "experiment": "churn-7", "cause": "failed",
     "rows": [[PREDICTION_ID, UNIT, EVENT_TIME], ...]}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import ValidationError

from windsock.records import OutcomeEvent, PredictionEvent, UnansweredCause, UnansweredEvent

LOG_FOLDER = "log"
REJECTED_FOLDER = "rejected"
SEGMENT_SUFFIX = ".ndjson"
OPENING_SUFFIX = ".opening"
"""Of a segment that has no lock yet."""
HOUR_FORMAT = "%Y%m%dT%H"
PREDICTIONS = "predictions"
OUTCOMES = "outcomes"
UNANSWERED = "unanswered"
Event = PredictionEvent | OutcomeEvent | UnansweredEvent
EVENTS: dict[str, type[PredictionEvent] | type[OutcomeEvent] | type[UnansweredEvent]] = {
    PREDICTIONS: PredictionEvent,
    OUTCOMES: OutcomeEvent,
    UNANSWERED: UnansweredEvent,
}

Scalar = str | int | float | bool | None
Label = str | int | float | bool
ZonedTime = Annotated[datetime, msgspec.Meta(tz=True)]


class Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One answered row of a line.

    :param values: in the order of the line's fields; a sensitive one may be ``fernet:TOKEN``.
    """

    prediction_id: str
    unit: str | None
    event_time: ZonedTime | None
    score: float | None
    prediction: Label
    values: list[Scalar]


class PredictionLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What one version answered in one request; see :class:`~windsock.records.PredictionEvent`."""

    model: str
    version: str
    digest: str
    variant: str
    experiment: str | None
    epoch: int
    receive_time: ZonedTime
    client: str | None
    fallback_for: str | None
    inference_ms: float | None
    fields: list[str]
    rows: list[Row]
    request_ms: float | None = None

    def __post_init__(self) -> None:
        width = len(self.fields)
        if any(len(row.values) != width for row in self.rows):
            raise ValueError("a row has not one value for each field")

    def events(self) -> Iterator[PredictionEvent]:
        """Yield an event for each row."""
        for row in self.rows:
            yield PredictionEvent(
                prediction_id=row.prediction_id,
                model=self.model,
                version=self.version,
                digest=self.digest,
                variant=self.variant,
                experiment=self.experiment,
                unit=row.unit,
                epoch=self.epoch,
                event_time=row.event_time,
                receive_time=self.receive_time,
                client=self.client,
                features=dict(zip(self.fields, row.values, strict=True)),
                score=row.score,
                prediction=row.prediction,
                fallback_for=self.fallback_for,
                inference_ms=self.inference_ms,
                request_ms=self.request_ms,
            )


class OutcomeLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One outcome; see :class:`~windsock.records.OutcomeEvent`."""

    model: str
    prediction_id: str | None = None
    unit: str | None = None
    event_id: str | None = None
    outcome: Label
    event_time: ZonedTime | None = None
    receive_time: ZonedTime
    client: str | None = None

    def events(self) -> Iterator[OutcomeEvent]:
        """Yield the one event."""
        yield OutcomeEvent(**msgspec.structs.asdict(self))


class UnansweredRow(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One row of a line without an answer."""

    prediction_id: str
    unit: str | None
    event_time: ZonedTime | None


class UnansweredLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What one version was given in one request in vain; see :class:`~windsock.records.UnansweredEvent`."""

    model: str
    version: str
    digest: str
    variant: str
    experiment: str
    epoch: int
    receive_time: ZonedTime
    client: str | None
    cause: UnansweredCause
    rows: list[UnansweredRow]

    def events(self) -> Iterator[UnansweredEvent]:
        """Yield an event for each row."""
        for row in self.rows:
            yield UnansweredEvent(
                prediction_id=row.prediction_id,
                model=self.model,
                version=self.version,
                digest=self.digest,
                variant=self.variant,
                experiment=self.experiment,
                unit=row.unit,
                epoch=self.epoch,
                event_time=row.event_time,
                receive_time=self.receive_time,
                client=self.client,
                cause=self.cause,
            )


Line = PredictionLine | OutcomeLine | UnansweredLine

_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    PREDICTIONS: msgspec.json.Decoder(PredictionLine),
    OUTCOMES: msgspec.json.Decoder(OutcomeLine),
    UNANSWERED: msgspec.json.Decoder(UnansweredLine),
}


def hour_of(moment: datetime) -> str:
    """Return the name of the hour that a time lies in."""
    return moment.astimezone(UTC).strftime(HOUR_FORMAT)


def hour_start(name: str) -> datetime | None:
    """Return when an hour begins, or ``None`` if the name is none of an hour."""
    try:
        return datetime.strptime(name, HOUR_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def segment_folder(state_folder: Path, kind: str, model: str, hour: str) -> Path:
    """Return the folder of a model's segments of an hour."""
    return state_folder / LOG_FOLDER / kind / model / hour


def read_line(content: bytes, kind: str) -> Line | None:
    """Return what a whole line holds, or ``None`` if it is no line of its kind.

    :param content: with or without the line's end.
    """
    try:
        line: Line = _DECODERS[kind].decode(content)
    except (msgspec.MsgspecError, ValueError):
        return None
    return line


@dataclass(frozen=True)
class Segment:
    """What a segment held.

    :param events: the events.
    :param torn: whether the last line is incomplete, as a killed server leaves it.
    :param unreadable: whole lines that are no events.
    """

    events: tuple[Event, ...]
    torn: bool
    unreadable: tuple[bytes, ...]


def read_segment(content: bytes, kind: str) -> Segment:
    """Read a segment's content, one record for each event: for looking into small ones.

    :param kind: ``predictions``, ``outcomes`` or ``unanswered``.
    """
    *lines, rest = content.split(b"\n")
    events: list[Event] = []
    unreadable = []
    for text in lines:
        line = read_line(text, kind)
        try:
            events += line.events() if line is not None else ()
        except ValidationError:
            line = None
        if line is None:
            unreadable.append(text)
    return Segment(events=tuple(events), torn=bool(rest), unreadable=tuple(unreadable))
