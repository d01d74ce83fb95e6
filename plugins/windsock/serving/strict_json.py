"""JSON read strictly: no NaN, no duplicate keys; and refusals that never echo a value."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from windsock.exceptions import WindsockError

MAX_FAULTS = 10
LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request.

    :param field: where, in the words of the contract: ``features.age``, ``features[3].age``, ``unit``.
    :param got: kind of what was received, never the value.
    :param expected: what would be right.
    """

    field: str
    got: str
    expected: str


class RequestRefusedError(WindsockError, ValueError):
    """A request that is not what the contract says.

    :param status: HTTP status of the answer: 400, 404, 408, 413 or 422.
    :param reason: one word for the metrics.
    :param faults: what is wrong; at most ten are told.
    """

    default_code = "WS-SERVING-010"
    default_next = "Mend the request; `GET /docs` describes it."

    def __init__(self, status: int, reason: str, *faults: Fault, code: str | None = None) -> None:
        first = faults[0]
        super().__init__(f"{first.field}: got {first.got}, expected {first.expected}", code=code)
        self.status = status
        self.reason = reason
        self.faults = faults[:MAX_FAULTS]


class _NotStrictError(ValueError):
    """JSON that Python reads and nobody else should."""


def _refuse_constant(_: str) -> float:
    raise _NotStrictError("NaN or Infinity")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _NotStrictError("an object with a duplicate key")
    return made


def read_json(body: bytes) -> Any:
    """Read a request's body.

    :raises RequestRefusedError: if it is not JSON: status 400.
    """
    try:
        return json.loads(
            body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique_keys
        )
    except _NotStrictError as error:
        got = str(error)
    except UnicodeDecodeError:
        got = "bytes that are not UTF-8"
    except RecursionError:
        got = "JSON nested too deeply"
    except ValueError as error:  # also integers of more than 4,300 digits
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        got = f"text that is no JSON{where}" if body.strip() else "nothing"
    raise RequestRefusedError(
        400, "not_json", Fault("body", got, "a JSON object in UTF-8"), code="WS-SERVING-011"
    )


def kind_of(value: Any) -> str:
    """Return the kind of a JSON value, in a word or two."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "text" if is_plain(value) else "text with a lone surrogate"
    if isinstance(value, int):
        return "an integer" if abs(value) <= LARGEST_INTEGER else "an integer out of range"
    if isinstance(value, float):
        return "a number" if math.isfinite(value) else "a number out of range"
    return "a list" if isinstance(value, list) else "an object"


def is_plain(text: str) -> bool:
    """Return whether UTF-8 can write a text: JSON's escapes can spell halves of characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
