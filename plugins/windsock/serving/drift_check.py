"""``/drift-check``: a look at whether rows are distributed as the training rows were.

It is made when somebody asks, never while a prediction is answered, and it is no verdict of the monitor: that
one looks at whole windows of the log, corrects for false discoveries over time and waits for persistence.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from windsock.exceptions import ServerUnavailableError
from windsock.records import ColumnKind, ColumnProfile, DriftProfile, InputField, InputSchema, Status
from windsock.records.values import LARGEST, category_text
from windsock.serving import documentation as doc
from windsock.serving.errors import json_response
from windsock.serving.field_values import Values, check_features
from windsock.serving.recent_rows import MOST_ROWS
from windsock.serving.requests import read_content
from windsock.serving.strict_json import MAX_FAULTS, Fault, RequestRefusedError, kind_of, read_json
from windsock.statistics.counting import NUMERIC, count_numbers
from windsock.statistics.distances import (
    bin_categories,
    bin_numbers,
    jensen_shannon,
    ks_by_chance,
    ks_interval,
    population_stability,
)

if TYPE_CHECKING:
    from windsock.serving.service import Service
    from windsock.serving.slots import Slot

CODE = "WS-SERVING-046"
MOST_SENT = 100_000
USUAL_LAST = 1_000
FEWEST_ROWS = 200
KS_LIMIT = 0.05
PSI_LIMIT = 0.25
RATIO_LIMIT = 0.5
"""Share of drifted columns from which the whole has drifted."""
LIMITS = {"rows": FEWEST_ROWS, "ks": KS_LIMIT, "psi": PSI_LIMIT, "drift_ratio": RATIO_LIMIT}
REQUEST = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "maxProperties": 1,
                    "properties": {
                        "rows": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                        "last": {"type": "integer", "minimum": 1, "maximum": MOST_ROWS},
                    },
                },
                "example": {"last": USUAL_LAST},
            }
        },
    }
}


def monitoring_router(service: Service) -> APIRouter:
    """Return ``/drift-check`` and the path that names a model."""
    router = APIRouter(tags=["monitoring"], responses=doc.ERRORS)
    busy = asyncio.Lock()

    async def look(name: str | None, request: Request) -> Response:
        service.admit(request.headers, "monitor", name or service.only_name)
        served = service.model(name)
        slot = served.most_slot
        profile = slot.profile
        if profile is None:
            raise RequestRefusedError(
                404,
                "no_profile",
                Fault("model", "a version without a drift profile", "one with"),
                code="WS-SERVING-047",
            )
        body = await read_content(request, service.limits)
        if busy.locked():
            raise ServerUnavailableError(
                "a drift check runs already",
                code="WS-SERVING-048",
                next_action="Ask again when it has ended.",
            )
        async with busy:
            said = await asyncio.to_thread(read_look, body)
            if isinstance(said, int):
                rows: Sequence[Any] = slot.recent.kept(said)
            else:
                rows = said
            found = await asyncio.to_thread(_look, profile, slot, rows, sent=not isinstance(said, int))
        return json_response({"model": served.plan.model, "version": slot.plan.version, **found})

    @router.post("/drift-check", summary="Look whether rows have drifted", openapi_extra=REQUEST)
    async def check_the_only_one(request: Request) -> Response:
        return await look(None, request)

    @router.post(
        "/models/{name}/drift-check",
        summary="Look whether a model's rows have drifted",
        openapi_extra=REQUEST,
    )
    async def check_by_name(name: str, request: Request) -> Response:
        return await look(name, request)

    return router


def read_look(body: bytes) -> int | list[Any]:
    """Read what shall be looked at: how many of the last rows, or the rows themselves.

    :raises RequestRefusedError: if it is neither.
    """
    said = read_json(body)
    if not isinstance(said, dict) or said.keys() not in ({"rows"}, {"last"}, set()):
        raise _refused("body", "something else" if isinstance(said, dict) else kind_of(said), "rows, or last")
    if "rows" in said:
        rows = said["rows"]
        if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_SENT:
            got = f"a list of {len(rows):,}" if isinstance(rows, list) else kind_of(rows)
            raise _refused("rows", got, f"a list of 1 to {MOST_SENT:,} objects")
        return rows
    last = said.get("last", USUAL_LAST)
    if isinstance(last, bool) or not isinstance(last, int) or not 1 <= last <= MOST_ROWS:
        raise _refused("last", kind_of(last), f"an integer from 1 to {MOST_ROWS:,}")
    return last


def _refused(field: str, got: str, expected: str) -> RequestRefusedError:
    return RequestRefusedError(422, "invalid", Fault(field, got, expected), code=CODE)


def _look(profile: DriftProfile, slot: Slot, rows: Sequence[Any], *, sent: bool) -> dict[str, Any]:
    values = read_values(rows, slot.schema) if sent else slot.recent.read(rows)
    return {"source": "sent" if sent else "last", **look_at(profile, slot.schema, values)}


def read_values(rows: Sequence[Any], schema: InputSchema) -> list[Values]:
    """Hold sent rows against the schema.

    :raises RequestRefusedError: if one is not as it says; at most ten faults are told.
    """
    faults: list[Fault] = []
    values = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            found = [Fault(f"rows[{number}]", kind_of(row), "an object")]
        else:
            checked, found = check_features(row, schema, f"rows[{number}]")
            values.append(checked)
        faults += found
        if len(faults) >= MAX_FAULTS:
            break
    if faults:
        raise RequestRefusedError(422, "invalid", *faults, code=CODE)
    return values


def look_at(profile: DriftProfile, schema: InputSchema, rows: Sequence[Values]) -> dict[str, Any]:
    """Hold rows against a profile, column by column.

    :param rows: each row's values in the order of the schema's fields.
    :returns: what is answered: verdict, ratio, limits, and what was seen of each column.
    """
    places = {field.name: (place, field) for place, field in enumerate(schema.fields)}
    known = [column for column in profile.columns if column.name in places]
    columns = []
    for column in known:
        place, field = places[column.name]
        columns.append(_column(column, field, [row[place] for row in rows], len(known)))
    judged = [column["drifted"] for column in columns if column["drifted"] is not None]
    drifted, open_ones = sum(judged), len(columns) - len(judged)
    return {
        "rows": len(rows),
        "verdict": _verdict(drifted, open_ones, len(columns)).value,
        "drift_ratio": drifted / len(judged) if judged else None,
        "drifted": drifted,
        "judged": len(judged),
        "limits": LIMITS,
        "columns": columns,
    }


def _verdict(drifted: int, open_ones: int, columns: int) -> Status:
    """Return the whole's verdict: insufficient while the columns that are open could change it."""
    if drifted >= RATIO_LIMIT * columns and columns:
        return Status.FAIL
    return Status.PASS if drifted + open_ones < RATIO_LIMIT * columns else Status.INSUFFICIENT


def _column(column: ColumnProfile, field: InputField, values: list[Any], columns: int) -> dict[str, Any]:
    said: dict[str, Any] = {"feature": field.name, "kind": field.kind.value, "unseen": None, "ks": None}
    if field.kind in NUMERIC:
        bins, nulls = _numbers(column, values, said, columns)
    else:
        counts = Counter(_categories(values, field))
        nulls = len(values) - counts.total()
        if field.kind is ColumnKind.DATETIME:  # its times always drift: only whether there is one counts
            bins = ([column.rows, column.nulls], [counts.total(), nulls])
        else:
            bins = bin_categories(column, counts, nulls)
            named = sum(counts[name] for name in column.categories)
            said["unseen"] = 1 - named / counts.total() if counts else None
    now = len(values)
    reference = column.rows + column.nulls
    said["n"] = now - nulls
    said["nulls"] = {
        "reference": column.nulls / reference if reference else None,
        "now": nulls / now if now else None,
    }
    said["psi"] = population_stability(*bins)
    said["jensen_shannon"] = jensen_shannon(*bins)
    said["insufficient"] = min(now, reference) < FEWEST_ROWS
    said["drifted"] = None if said["insufficient"] else _drifted(said)
    return said


def _numbers(
    column: ColumnProfile, values: list[Any], said: dict[str, Any], columns: int
) -> tuple[tuple[list[int], list[int]], int]:
    """Return the counts of a number in its bins, and its nulls; note the KS distance."""
    import numpy as np

    numbers = np.array([np.nan if value is None else value for value in values], dtype="float64")
    numbers[~(np.abs(numbers) <= LARGEST)] = np.nan  # as in training
    window = count_numbers(column, numbers)
    if min(window.rows, column.rows) >= FEWEST_ROWS:
        low, high = ks_interval(column, window)
        chance = ks_by_chance(column.rows, window.rows, comparisons=columns)
        said["ks"] = {"low": low, "high": high, "by_chance": chance}
    return bin_numbers(column, window), window.nulls


def _categories(values: Iterable[Any], field: InputField) -> Iterable[str]:
    known = (value for value in values if value is not None)
    if field.kind is not ColumnKind.BOOLEAN:
        return map(category_text, known)
    return ("true" if value is True or value == field.true_word else "false" for value in known)


def _drifted(said: dict[str, Any]) -> bool | None:
    """Return whether a column has drifted; ``None`` where the KS interval lies on both sides of the limit."""
    if said["psi"] is not None and said["psi"] > PSI_LIMIT:
        return True
    if said["ks"] is None:
        return False if said["psi"] is not None else None
    limit = max(KS_LIMIT, said["ks"]["by_chance"])
    if said["ks"]["low"] >= limit:
        return True
    return False if said["ks"]["high"] < limit else None
