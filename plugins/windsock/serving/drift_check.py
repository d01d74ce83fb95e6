"""``/drift-check``: whether rows are distributed as training rows were, by the monitor's rule for a window.

It is made when somebody asks, never while a prediction is answered, and it is no verdict of the monitor: that
one judges whole windows of the log, knows which rows share a unit and waits for persistence.
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
from windsock.monitoring.drift_columns import judge_columns, minimum_rows
from windsock.monitoring.drift_verdict import judge_window
from windsock.records import (
    ColumnDrift,
    ColumnKind,
    ColumnProfile,
    DriftProfile,
    InputField,
    InputSchema,
    Status,
)
from windsock.records.values import LARGEST, category_text
from windsock.serving import documentation as doc
from windsock.serving.errors import json_response
from windsock.serving.field_values import Values, check_features
from windsock.serving.recent_rows import MOST_ROWS
from windsock.serving.requests import read_content
from windsock.serving.strict_json import MAX_FAULTS, Fault, RequestRefusedError, kind_of, read_json
from windsock.spec import DriftBlock
from windsock.statistics.counting import (
    NUMERIC,
    ColumnCounts,
    WindowCounts,
    count_categories,
    count_numbers,
)

if TYPE_CHECKING:
    from windsock.serving.service import Service
    from windsock.serving.slots import Slot

CODE = "WS-SERVING-046"
MOST_SENT = 100_000
USUAL_LAST = 1_000
ROWS = ("rows", "data")
"""Names under which rows may be sent."""
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
                        **{
                            name: {"type": "array", "minItems": 1, "items": {"type": "object"}}
                            for name in ROWS
                        },
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
    if not isinstance(said, dict) or len(said) > 1 or said.keys() - {*ROWS, "last"}:
        got = "something else" if isinstance(said, dict) else kind_of(said)
        raise _refused("body", got, "rows (or data), or last")
    for name in said.keys() & set(ROWS):
        rows = said[name]
        if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_SENT:
            got = f"a list of {len(rows):,}" if isinstance(rows, list) else kind_of(rows)
            raise _refused(name, got, f"a list of 1 to {MOST_SENT:,} objects")
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
    """Hold rows against a profile by the rule that the monitor judges windows by.

    It is the rule of the model's file when the version was trained. Nothing but these rows is known here: no
    scores, and no units.

    :param rows: each row's values in the order of the schema's fields.
    :returns: what is answered: verdict, ratio, limits, and what was seen of each column.
    """
    places = {field.name: (place, field) for place, field in enumerate(schema.fields)}
    known = profile.replace(columns=tuple(one for one in profile.columns if one.name in places))
    counted = {}
    for column in known.columns:
        place, field = places[column.name]
        counted[column.name] = _count(column, field, [row[place] for row in rows])
    counts = WindowCounts(rows=len(rows), columns=counted)
    rule, windows = profile.rule or DriftBlock(), profile.windows
    judgement = judge_columns(known, counts, rule)
    found = judge_window(known, counts, judgement, rule)
    judged = [column for column in judgement.columns if column.status in (Status.PASS, Status.FAIL)]
    return {
        "rows": len(rows),
        "verdict": found.status.value,
        "reason": found.reason,
        "severity": found.severity.value,
        "drift_score": found.drift_score,
        "drift_ratio": found.drift_ratio,
        "drifted": sum(column.status is Status.FAIL for column in judged),
        "judged": len(judged),
        "rule": "default" if profile.rule is None else "model",
        "limits": {
            "rows": minimum_rows(known, rule),
            **rule.model_dump(include={"q", "ks", "cramers_v", "columns", "rules"}),
        },
        "windows": None if windows is None else {"bad": windows[0], "of": windows[1]},
        "columns": [_column(column) for column in judgement.columns],
    }


def _column(column: ColumnDrift) -> dict[str, Any]:
    """Return what is answered about one column."""
    bounds = column.effect_interval
    return {
        "feature": column.name,
        "kind": column.kind.value,
        "status": column.status.value,
        "drifted": {Status.PASS: False, Status.FAIL: True}.get(column.status),
        "insufficient": column.status is Status.INSUFFICIENT,
        "n": column.rows,
        "nulls": {"reference": column.reference_null_share, "now": column.null_share},
        "unseen": column.unseen_share,
        "unseen_expected": column.reference_unseen_share,
        "effect": column.effect,
        "effect_bounds": None if bounds is None else {"low": bounds.low, "high": bounds.high},
        "limit": column.limit,
        "p": column.p,
        "psi": column.psi,
        "jensen_shannon": column.jensen_shannon,
        "findings": list(column.findings),
    }


def _count(column: ColumnProfile, field: InputField, values: list[Any]) -> ColumnCounts:
    """Count a column's values as the monitor counts those of the log."""
    import numpy as np

    if field.kind in NUMERIC:
        numbers = np.array([np.nan if value is None else value for value in values], dtype="float64")
        numbers[~(np.abs(numbers) <= LARGEST)] = np.nan  # as in training
        return count_numbers(column, numbers)
    counts = Counter(_categories(values, field))
    nulls = len(values) - counts.total()
    if field.kind is ColumnKind.DATETIME:  # its times always drift: only whether there is one counts
        return ColumnCounts(rows=counts.total(), nulls=nulls)
    return count_categories(column, counts, nulls)


def _categories(values: Iterable[Any], field: InputField) -> Iterable[str]:
    known = (value for value in values if value is not None)
    if field.kind is not ColumnKind.BOOLEAN:
        return map(category_text, known)
    return ("true" if value is True or value == field.true_word else "false" for value in known)
