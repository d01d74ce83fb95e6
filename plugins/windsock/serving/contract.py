"""The contract of predictions and outcomes: what a request may say and what an answer says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from windsock.records import InputField, InputSchema, OutcomeEvent
from windsock.serving.field_values import CHECK, Values, WrongKindError, read_moment
from windsock.serving.identifiers import new_id
from windsock.serving.strict_json import Fault, RequestRefusedError, is_plain, kind_of

MAX_ROWS = 1_000
MAX_IDENTIFIER = 200
IDENTIFIER = f"text of 1 to {MAX_IDENTIFIER} characters without control characters"
MOMENT = "a time in ISO 8601 with its zone, such as 2026-05-01T12:00:00Z"

PREDICT_KEYS = ("features", "unit", "prediction_id", "event_time")
OUTCOME_KEYS = ("model", "prediction_id", "unit", "event_id", "outcome", "event_time")


@dataclass(slots=True)
class PredictRequest:
    """A prediction request whose form is right; each list has one entry for each row.

    :param features: the feature objects as the client sent them, not yet held against a schema; ``None``
        where ``values`` are there.
    :param values: the features' values, already held against the schema that all versions share.
    :param units: whom a row is for.
    :param ids: the client's own prediction ids, or ones made here.
    :param times: when it happened, by the client.
    :param single: whether one object was asked for, so that one object is answered.
    :param body: the body that the values came with, where it was read in one pass.
    """

    features: Sequence[Mapping[str, Any]] | None
    values: Sequence[Values] | None
    units: Sequence[str | None]
    ids: Sequence[str]
    times: Sequence[datetime | None]
    single: bool
    body: bytes | None = None

    def place(self, number: int) -> str:
        """Return how faults name a row."""
        return "features" if self.single else f"features[{number}]"


@dataclass(slots=True)
class Sender:
    """Who sent a request, and when it arrived.

    :param began: when the server had all of it, by the monotonic clock; ``None``: its time is not measured.
    """

    client: str | None
    receive_time: datetime
    began: float | None = None


def read_predict(body: Any) -> PredictRequest:
    """Read the form of a prediction request; its features are checked by the version that answers.

    :param body: the JSON value.
    :raises RequestRefusedError: if it is not as the contract says.
    """
    faults = _key_faults(body, PREDICT_KEYS)
    given = body.get("features")
    single = isinstance(given, dict)
    rows = [given] if single else given
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ROWS:
        got = f"a list of {len(rows):,}" if isinstance(rows, list) else _kind(body, "features")
        raise _refused(Fault("features", got, f"an object, or a list of 1 to {MAX_ROWS:,} objects"))
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            faults.append(Fault(f"features[{number}]", kind_of(row), "an object"))
    units = _column(body, "unit", len(rows), faults, _identifier, IDENTIFIER, single=single)
    ids = _column(body, "prediction_id", len(rows), faults, _identifier, IDENTIFIER, single=single)
    times = _column(body, "event_time", len(rows), faults, _moment, MOMENT, single=single)
    if not single and isinstance(body.get("prediction_id"), str):
        faults.append(Fault("prediction_id", "text", "one for each row, in a list"))
    named = [value for value in ids if value is not None]
    if len(set(named)) != len(named) and isinstance(body["prediction_id"], list):
        faults.append(Fault("prediction_id", "the same id twice", "a different one for each row"))
    if faults:
        raise _refused(*faults)
    return PredictRequest(
        features=rows,
        values=None,
        units=units,
        ids=[identifier or new_id() for identifier in ids],
        times=times,
        single=single,
    )


def read_outcome(
    body: Any, *, receive_time: datetime, served: Sequence[str], client: str | None = None
) -> OutcomeEvent:
    """Read an outcome.

    :param body: the JSON value.
    :param served: names of the models that the server knows and the client may speak of.
    :param client: name of the client that sent it.
    :raises RequestRefusedError: if it is not as the contract says.
    """
    faults = _key_faults(body, OUTCOME_KEYS)
    model = body.get("model", served[0] if len(served) == 1 else None)
    if model not in served:
        faults.append(Fault("model", _kind(body, "model"), "the name of a model that is served"))
    values: dict[str, Any] = {}
    for key in ("prediction_id", "unit", "event_id"):
        values[key] = _optional(body, key, faults, _identifier, IDENTIFIER)
    values["event_time"] = _optional(body, "event_time", faults, _moment, MOMENT)
    if values["prediction_id"] is None and (values["unit"] is None or values["event_id"] is None):
        faults.append(Fault("prediction_id", "no id", "`prediction_id`, or `unit` with `event_id`"))
    outcome = body.get("outcome")
    if kind_of(outcome) not in ("a boolean", "text", "an integer", "a number") or len(str(outcome)) > 1_000:
        faults.append(
            Fault("outcome", _kind(body, "outcome"), "a label (at most 1,000 characters) or a number")
        )
    if faults:
        raise _refused(*faults)
    return OutcomeEvent(model=model, outcome=outcome, receive_time=receive_time, client=client, **values)


def read_rows(body: Any, schema: InputSchema) -> list[Values]:
    """Read the rows that another server's gateway asks a slot for; any of their values may be null.

    :raises RequestRefusedError: if it is not ``{"fields": [names], "rows": [[values], ...]}`` of the schema.
    """
    names = [field.name for field in schema.fields]
    if not isinstance(body, dict) or body.keys() != {"fields", "rows"} or body["fields"] != names:
        raise _refused(Fault("fields", "something else", "the names of the version's fields, in their order"))
    rows = body["rows"]
    if not isinstance(rows, list) or not rows:
        raise _refused(Fault("rows", kind_of(rows), "a list of lists"))
    read = []
    for row in rows:
        if not isinstance(row, list) or len(row) != len(names):
            raise _refused(Fault("rows", "something else", f"lists of {len(names)} values"))
        read.append(
            tuple([_known_value(value, field) for value, field in zip(row, schema.fields, strict=True)])
        )
    return read


def _known_value(value: Any, field: InputField) -> Any:
    if value is None:
        return None
    try:
        return CHECK[field.kind](value, field)
    except WrongKindError as wrong:
        raise _refused(Fault(f"rows.{field.name}", kind_of(value), str(wrong))) from None


def _refused(*faults: Fault) -> RequestRefusedError:
    return RequestRefusedError(422, "invalid", *faults)


def _key_faults(body: Any, known: Sequence[str]) -> list[Fault]:
    """Return what is wrong with the keys of a body.

    :raises RequestRefusedError: if it is no object.
    """
    if not isinstance(body, dict):
        raise _refused(Fault("body", kind_of(body), "an object"))
    unknown = len(body.keys() - set(known))
    return [Fault("body", f"{unknown} unknown key{'s' * (unknown > 1)}", ", ".join(known))] if unknown else []


def _kind(body: Mapping[str, Any], key: str) -> str:
    return kind_of(body[key]) if key in body else "nothing"


def _identifier(value: Any) -> str | None:
    return value if isinstance(value, str) and is_identifier(value) and is_plain(value) else None


def is_identifier(text: str) -> bool:
    """Return whether a text may name a unit, a prediction or an event."""
    return 1 <= len(text) <= MAX_IDENTIFIER and text.isprintable()


def _moment(value: Any) -> datetime | None:
    return read_moment(value, zone_needed=True)


def _optional(body: Mapping[str, Any], key: str, faults: list[Fault], read: Any, expected: str) -> Any:
    if body.get(key) is None:
        return None
    if (value := read(body[key])) is None:
        faults.append(Fault(key, kind_of(body[key]), expected))
    return value


def _column(
    body: Mapping[str, Any],
    key: str,
    rows: int,
    faults: list[Fault],
    read: Any,
    expected: str,
    *,
    single: bool,
) -> list[Any]:
    """Return a value for each row: one for all, or a list of as many, with null where there is none."""
    given = body.get(key)
    if single or not isinstance(given, list):
        return [_optional(body, key, faults, read, expected)] * rows
    if len(given) != rows:
        faults.append(Fault(key, f"a list of {len(given):,}", f"a list of {rows:,}, one for each row"))
        return [None] * rows
    values = [None if value is None else read(value) for value in given]
    for number, (value, seen) in enumerate(zip(values, given, strict=True)):
        if value is None and seen is not None:
            faults.append(Fault(f"{key}[{number}]", kind_of(seen), expected))
    return values
