"""What OpenAPI says of the requests, and the page at ``/docs``: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from windsock.serving.answers import Label
from windsock.serving.contract import MAX_IDENTIFIER, MAX_ROWS


class PredictionAnswer(BaseModel):
    """The answer to one row.

    :param prediction: the label, or the number.
    :param probabilities: probability of each label; null for numbers, and for a fallback constant.
    :param score: probability of the positive label, or the number; null with more than two labels.
    :param version: version that answered; empty for a fallback constant.
    :param inference_time_ms: time the model took for the whole request.
    """

    model_config = ConfigDict(protected_namespaces=())

    prediction: Label
    probabilities: dict[str, float] | None
    score: float | None
    model: str
    version: str
    variant: str
    prediction_id: str
    inference_time_ms: float
    timestamp: datetime


class PredictionAnswers(BaseModel):
    """The answers to a list of rows, in its order."""

    predictions: list[PredictionAnswer] = Field(max_length=MAX_ROWS)


_FEATURES = {
    "type": "object",
    "description": "One value for each field of the model; null where it is unknown. `GET /models/{name}` "
    "lists the fields, those that are ignored, and the version of this contract (`request_contract`), which "
    "goes up only when the fields change.",
    "additionalProperties": {
        "anyOf": [{"type": kind} for kind in ("string", "number", "integer", "boolean", "null")]
    },
}
_ID = {"type": "string", "minLength": 1, "maxLength": MAX_IDENTIFIER}
_TIME = {"type": "string", "format": "date-time", "description": "ISO 8601 with its zone."}


def _one_or_each(item: Mapping[str, Any], description: str) -> dict[str, Any]:
    nullable = {"anyOf": [item, {"type": "null"}]}
    return {
        "description": description,
        "anyOf": [item, {"type": "null"}, {"type": "array", "items": nullable, "maxItems": MAX_ROWS}],
    }


def _body(schema: Mapping[str, Any], example: Mapping[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


PREDICT = _body(
    {
        "type": "object",
        "required": ["features"],
        "additionalProperties": False,
        "properties": {
            "features": {
                "anyOf": [
                    _FEATURES,
                    {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": _FEATURES},
                ]
            },
            "unit": _one_or_each(_ID, "Whom the prediction is for: the same unit meets the same version."),
            "prediction_id": _one_or_each(_ID, "Your own id; else one is made. A list for a list of rows."),
            "event_time": _one_or_each(_TIME, "When it happened."),
        },
    },
    {"features": {"age": 42, "plan": "basic"}, "unit": "customer-1"},
)
OUTCOME = _body(
    {
        "type": "object",
        "required": ["outcome"],
        "additionalProperties": False,
        "description": "Names the prediction by `prediction_id`, or by `unit` with `event_id`.",
        "properties": {
            "model": {"type": "string", "description": "May be left out while one model is served."},
            "prediction_id": _ID,
            "unit": _ID,
            "event_id": _ID,
            "outcome": {
                "description": "The label, or the number, that came true.",
                "anyOf": [{"type": kind} for kind in ("string", "number", "integer", "boolean")],
            },
            "event_time": _TIME,
        },
    },
    {"model": "churn", "prediction_id": "5f0c", "outcome": True},
)
_ERROR = {
    "type": "object",
    "required": ["error", "code", "next"],
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "string", "description": "Stable; the runbook explains it."},
        "next": {"type": "string", "description": "What to do."},
        "detail": {
            "type": "array",
            "maxItems": 10,
            "items": {
                "type": "object",
                "properties": {word: {"type": "string"} for word in ("field", "got", "expected")},
            },
        },
    },
}


def _errors(texts: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": text, "content": content} for status, text in texts.items()}


ERRORS = _errors(
    {
        400: "The body is no JSON.",
        401: "The key is missing, unknown or expired; asked for on servers with clients.",
        403: "The client may not do this.",
        404: "No such model is served.",
        408: "The body took too long to arrive.",
        413: "The body is too large.",
        422: "A value is not what the model's schema says; at most ten are named, none is repeated.",
        429: "The client sends more than its rate; `Retry-After` says when to go on.",
        503: "No version has been promoted yet, or the version did not answer; `next` says what to do.",
    }
)
ADMIN_ERRORS = ERRORS | _errors(
    {
        401: "The admin token is missing.",
        403: "The admin token is wrong.",
        409: "A plan of a later epoch, or another one of this epoch, came first.",
        422: "The plan is none, or a bundle did not verify, load or match its golden predictions.",
        504: "The table is written, but not every worker serves by it yet.",
    }
)
ROUTE = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RoutePlan"}}},
    }
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2430; background: #fff; }
h2 { margin-top: 2.5rem; border-top: 1px solid #ccd3dc; padding-top: 1rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; background: #f2f4f7; }
pre { padding: .75rem; overflow-x: auto; }
.verb { display: inline-block; min-width: 3.5rem; font-weight: 600; color: #0b5394; }
summary { cursor: pointer; }
@media (prefers-color-scheme: dark) {
  body { color: #e4e8ee; background: #14181f; } code, pre { background: #20262f; } .verb { color: #7ab8f5; }
}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
WITHOUT_KEY = (
    "Where clients have been set up, without a key only whether the server is well; with any valid key, and "
    "at the private listener, also models and versions."
)


def docs_page(openapi: Mapping[str, Any]) -> str:
    """Return a page that says what an OpenAPI document says.

    :param openapi: the document.
    """
    title = html.escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    by_tag: dict[str, list[str]] = {}
    for path, operations in openapi["paths"].items():
        for verb, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, verb, operation))
    sections = "".join(f"<h2>{html.escape(tag)}</h2>{''.join(texts)}" for tag, texts in by_tag.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{html.escape(openapi['info']['description'])}</p>"
        '<p>For tools: <a href="openapi.json">openapi.json</a></p>'
        f"{sections}</body></html>"
    )


def _operation(path: str, verb: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = f"<pre>{_json(body['example'])}</pre>" if "example" in body else ""
    schema = (
        f"<details><summary>Request</summary><pre>{_json(body['schema'])}</pre></details>" if body else ""
    )
    answers = "".join(
        f"<li><code>{html.escape(status)}</code> {html.escape(answer['description'])}</li>"
        for status, answer in operation["responses"].items()
    )
    return (
        f'<h3><span class="verb">{html.escape(verb.upper())}</span> <code>{html.escape(path)}</code></h3>'
        f"<p>{html.escape(operation['summary'])}</p>{example}{schema}<ul>{answers}</ul>"
    )


def _json(value: Any) -> str:
    return html.escape(json.dumps(value, indent=2, ensure_ascii=False))
