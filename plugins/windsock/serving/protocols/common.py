"""What the protocols share: the way to an answer, JSON with NaN as null, identifiers, errors, readiness."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.requests import Request

from windsock.exceptions import WindsockError
from windsock.serving.contract import IDENTIFIER, MAX_ROWS, PredictRequest
from windsock.serving.contract import is_identifier as is_identifier_text
from windsock.serving.errors import error_response
from windsock.serving.identifiers import new_id
from windsock.serving.predicting import predict
from windsock.serving.strict_json import Fault, RequestRefusedError, is_plain, kind_of

if TYPE_CHECKING:
    from windsock.records import InputSchema
    from windsock.serving.answers import RowAnswer
    from windsock.serving.served import ServedModel
    from windsock.serving.service import Service

UNPROCESSABLE, BAD_REQUEST = 422, 400


@dataclass(frozen=True, kw_only=True)
class AskedRows:
    """Feature objects, not yet held against a schema.

    :param units: whom each row is for.
    :param ids: the client's own prediction ids.
    """

    rows: list[dict[str, Any]]
    units: Sequence[str | None] | None = None
    ids: Sequence[str | None] | None = None


class ProtocolError(RequestRefusedError):
    """A request that is not what the protocol says, before its values are looked at."""

    def __init__(
        self,
        field: str,
        got: str,
        expected: str,
        *,
        code: str,
        status: int = BAD_REQUEST,
        reason: str = "invalid",
    ) -> None:
        super().__init__(status, reason, Fault(field, got, expected), code=code)


@dataclass(frozen=True, kw_only=True)
class Target:
    """The model that a client asks.

    :param client: the client's name; ``None`` on a server without clients.
    :param began: when its head had been read, by the monotonic clock.
    """

    served: ServedModel
    client: str | None
    receive_time: datetime
    began: float

    @property
    def schema(self) -> InputSchema:
        """That of the version with the most traffic, with what requests to the others may hold."""
        return self.served.schema_of(self.served.most_slot)


def find_model(service: Service, name: str | None, headers: Headers) -> Target:
    """Let a client in, before anything of its body is read.

    :param name: the model's; ``None``: the only one.
    :raises WindsockError: if the client may not ask, or the model is not served.
    """
    receive_time = service.now()
    client = service.admit(headers, "predict", name or service.only_name)
    served = service.model(name)
    if name is None:  # which model it is may have changed since
        service.admit(headers, "predict", served.plan.model, cost=0)
    return Target(served=served, client=client, receive_time=receive_time, began=monotonic())


async def answer_rows(
    service: Service, target: Target, asked: AskedRows, *, only_version: str | None = None
) -> list[RowAnswer]:
    """Answer rows in their order, by the way that all predictions take.

    :raises WindsockError: if there is no answer; faults name ``features[3].age``.
    """
    rows = len(asked.rows)
    request = PredictRequest(
        features=asked.rows,
        values=None,
        units=asked.units or [None] * rows,
        ids=[identifier or new_id() for identifier in asked.ids or [None] * rows],
        times=[None] * rows,
        single=False,
    )
    return await predict(
        service,
        target.served,
        request,
        client=target.client,
        receive_time=target.receive_time,
        began=target.began,
        only_version=only_version,
    )


def require_plain_body(request: Request, code: str) -> None:
    """Refuse a compressed body: its size could not be bounded by what arrives.

    :raises ProtocolError: with status 415.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise ProtocolError("body", "a compressed one", "one that is not compressed", code=code, status=415)


class _NotPlainError(ValueError):
    """JSON that may not be taken; the message says why."""


def _constant(word: str) -> None:
    if word != "NaN":
        raise _NotPlainError("Infinity")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _NotPlainError("an object with a duplicate key")
    return made


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object. ``NaN`` is null: so pandas and numpy write what is missing.

    :raises RequestRefusedError: if it is none: status 400.
    """
    try:
        made = json.loads(body.decode("utf-8"), parse_constant=_constant, object_pairs_hook=_object)
        if isinstance(made, dict):
            return made
        got = kind_of(made)
    except _NotPlainError as error:
        got = str(error)
    except UnicodeDecodeError:
        got = "bytes that are not UTF-8"
    except RecursionError:
        got = "JSON nested too deeply"
    except ValueError:  # also integers of more than 4,300 digits
        got = "text that is no JSON" if body.strip() else "nothing"
    fault = Fault("body", got, "a JSON object in UTF-8")
    raise RequestRefusedError(BAD_REQUEST, "not_json", fault, code="WS-SERVING-011")


def is_identifier(value: Any) -> bool:
    """Return whether a value can name a unit, a prediction or a request."""
    return isinstance(value, str) and is_identifier_text(value) and is_plain(value)


def read_identifiers(given: Any, rows: int, place: str, code: str) -> list[str | None] | None:
    """Return an identifier for each row, or ``None`` where none are given.

    :param given: a list with one for each row, with null where there is none.
    :raises ProtocolError: if it is something else.
    """
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != rows:
        got = f"a list of {len(given):,}" if isinstance(given, list) else kind_of(given)
        raise ProtocolError(place, got, f"a list of {rows:,}, one for each row", code=code)
    for number, value in enumerate(given):
        if value is not None and not is_identifier(value):
            raise ProtocolError(f"{place}[{number}]", kind_of(value), IDENTIFIER, code=code)
    return given


def require_different(identifiers: Sequence[str | None] | None, place: str, code: str) -> None:
    """Refuse the same prediction id for two rows.

    :raises ProtocolError: if there is one.
    """
    named = [value for value in identifiers or () if value is not None]
    if len(set(named)) != len(named):
        raise ProtocolError(place, "the same id twice", "a different one for each row", code=code)


def shortest_row(schema: InputSchema) -> int:
    """Return how many values a row without names needs: the last ones may be missing if they are optional."""
    fields = schema.in_order
    return max((number for number, field in enumerate(fields, start=1) if field.required), default=1)


def require_rows(rows: int, place: str, code: str) -> None:
    """Refuse too many rows, or none.

    :raises ProtocolError: if there are not 1 to 1,000.
    """
    if not 1 <= rows <= MAX_ROWS:
        raise ProtocolError(place, f"{rows:,} rows", f"1 to {MAX_ROWS:,} rows", code=code)


def refusal(error: WindsockError) -> tuple[int, str, dict[str, Any], dict[str, str]]:
    """Return an error for a protocol to write.

    Both protocols know one status for a request that cannot be answered as it is: 422 becomes 400.

    :returns: status, one sentence, our own words for it (``code``, ``next``, ``detail``), headers.
    """
    plain = error_response(error)
    said = json.loads(bytes(plain.body))
    text = said.pop("error")
    if "detail" in said:
        faults = (
            f"{fault['field']}: got {fault['got']}, expected {fault['expected']}" for fault in said["detail"]
        )
        text = "; ".join(faults)
    status = BAD_REQUEST if plain.status_code == UNPROCESSABLE else plain.status_code
    kept = {"retry-after", "connection", "www-authenticate"}
    return status, text, said, {name: value for name, value in plain.headers.items() if name in kept}


def count_refusal(service: Service, error: WindsockError) -> None:
    """Count a request that got no prediction."""
    service.metrics.rejected(getattr(error, "reason", "unavailable"))


def body_of(content: Mapping[str, Any], description: str) -> dict[str, Any]:
    """Return what OpenAPI says of a request's body.

    :param content: schema and example by media type.
    """
    return {"requestBody": {"required": True, "description": description, "content": dict(content)}}
