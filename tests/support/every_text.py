"""Every text key of the vocabulary: found by walking its models, and set by content that loads."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from windsock.spec import ModelSpec, SharedSpec

Key = tuple[str, str]
"""A block's class, and its field."""

FULL: dict[str, Any] = {
    "model": {
        "name": "offers",
        "owner": "the owner",
        "description": "the description",
        "runbook": "the runbook",
    },
    "data": {
        "source": {
            "kind": "file",
            "path": "the file.csv",
            "encoding": "cp1252",
            "delimiter": ";",
            "dates": "the other pattern %Y",
            "nulls": ["the null of the source"],
        },
        "target": "the target",
        "positive": "the positive class",
        "entity": "the entity",
        "event_time": "the time",
        "sensitive": ["the sensitive column"],
        "features": ["the feature"],
        "exclude": ["the excluded column"],
        "known_leaks_checked": ["the checked column"],
        "copied_rows_checked": True,
        "required": ["the required column"],
        "data_window": "29d",
        "where": {
            "the region": ["the north", "the south"],
            "the shop": "the first",
            "the day": {"min": "2026-01-01", "max": "2026-12-31"},
        },
        "columns": {
            "the flag": {"nulls": ["the null word"], "true": "the true word", "false": "the false word"},
            "the price": {"kind": "number", "unit": "currency", "currency": "EUR"},
            "the moment": {"kind": "datetime", "dates": "the pattern %Y"},
            "the target": {"classes": ["the class"]},
        },
    },
    "training": {
        "schedule": "weekly",
        "compute": "cpu-small",
        "candidates": [{"estimator": "random_forest", "params": {"the parameter": "the value"}}],
        "metric": "roc_auc",
    },
    "gate": {
        "policy": "the policy",
        "minimum": {"recall": 0.5},
        "against_champion": "better",
        "checks": ["latency"],
        "card": {
            "intended_use": "the intended use",
            "limitations": "the limitations",
            "training_data_description": "the training data",
            "evaluation_results": "the evaluation",
        },
    },
    "serving": {"fallback_answer": {"constant": "the constant"}},
    "rollout": {
        "strategy": "canary",
        "bake": "61m",
        "check": "62m",
        "cycle": "8d",
        "horizon": "20d",
        "deadline": "26d",
        "pre_period": "25d",
        "metric": "the metric",
        "metrics": {"the metric": {"kind": "conversion", "outcome": "the outcome", "attribution": "5d"}},
        "promote": {"not_worse": "21%"},
        "attribution": "6d",
        "guardrails": {"the metric": 0.01},
        "labels": {"kind": "file", "path": "the labels.csv"},
        "approve": True,
    },
    "monitoring": {
        "window": "24h",
        "lateness": "63s",
        "timezone": "Europe/Berlin",
        "labels": {
            "kind": "table",
            "conn_id": "the connection",
            "table": "the table",
            "path": "the path",
            "prediction_id": "the prediction id",
            "outcome": "the outcome column",
            "label_time": "the label time",
        },
        "performance": {
            "window": "6d",
            "business": {"name": "the business", "sql": "avg(outcome::double)", "minimum": 0.1},
            "positive_rate": {"baseline": 0.1, "window": "64m", "attribution": "63m"},
        },
        "retrain": {"cooldown": "65m", "recent": "31d"},
        "alert_channel": "the channel",
        "alert_repeat": "66m",
    },
}
SOURCES: tuple[dict[str, Any], ...] = (
    {"kind": "sql", "conn_id": "the database", "query": "SELECT 1 AS the_query"},
    {
        "kind": "sql",
        "conn_id": "the database",
        "table": "the_table",
        "dates": "a third pattern %Y",
        "nulls": ["the null of the table"],
    },
    {"kind": "api", "url": "https://host/the-address", "conn_id": "the api"},
    {"kind": "feature_store", "view": "the view"},
)
SHARED: dict[str, Any] = {
    "compute": {"the compute class": {"pool": "the pool", "queue": "the queue"}},
    "gate_policies": {"the policy": {"card": {"intended_use": "of the policy"}}},
    "alert_channels": {
        "the channel": {"kind": "apprise", "conn_id": "the services", "tag": "the tag"},
        "mail": {"kind": "smtp", "to": ["them@company.com"]},
    },
    "approvers": {"low": ["low one"], "medium": ["medium one"], "high": ["high one"]},
    "sensitive_words": ["the sensitive word"],
    "staging": {"server_url": "https://staging"},
    "installation": {"owner": "the installation's owner", "alert_channel": "mail"},
    "retention": {"predictions": "365d"},
}
LEFT_OUT: dict[Key, str] = {
    ("ExtensionSource", "kind"): "the name of an installed package's source",
    ("ExtensionSource", "options"): "handed to that package alone; needs one that is installed",
}
"""Text keys that no content here sets, and why."""


def contents() -> list[dict[str, Any]]:
    """Return contents of model files that set every text key between them."""
    others = []
    for source in SOURCES:
        content = copy.deepcopy(FULL)
        content["data"]["source"] = source
        others.append(content)
    return [copy.deepcopy(FULL), *others]


def text_keys(model: type[BaseModel]) -> set[Key]:
    """Return every field below a model that may hold a text which no closed list of words names."""
    found: set[Key] = set()
    seen: set[type[BaseModel]] = set()

    def visit(block: type[BaseModel]) -> None:
        if block in seen:
            return
        seen.add(block)
        for name, field in block.model_fields.items():
            kinds = set(_kinds(field.annotation))
            if str in kinds or Any in kinds:
                found.add((block.__name__, name))
            for kind in kinds:
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    visit(kind)

    visit(model)
    return found


def _kinds(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Literal:
        return
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, types.UnionType, tuple, list, dict):
        for one in get_args(annotation):
            yield from _kinds(one)
    else:
        yield annotation


def set_keys(block: BaseModel) -> set[Key]:
    """Return the fields of a block, and of those below it, that hold a text."""
    found: set[Key] = set()
    for name in type(block).model_fields:
        for one in _parts(getattr(block, name)):
            if isinstance(one, str):
                found.add((type(block).__name__, name))
            elif isinstance(one, BaseModel):
                found |= set_keys(one)
    return found


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from _parts(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _parts(one)
    else:
        yield value


def texts(content: Any) -> set[str]:
    """Return every text of a content that is written below a key, and every key that is a name of its own."""
    found: set[str] = set()
    if isinstance(content, dict):
        for key, value in content.items():
            found |= texts(value) | ({key} if " " in key else set())
    elif isinstance(content, list):
        for value in content:
            found |= texts(value)
    elif isinstance(content, str):
        found.add(content)
    return found


def replaced(content: Any, text: str, other: str) -> Any:
    """Return a content with another text wherever one stands, as a value or as a name."""
    if isinstance(content, dict):
        pairs = content.items()
        return {(other if key == text else key): replaced(value, text, other) for key, value in pairs}
    if isinstance(content, list):
        return [replaced(value, text, other) for value in content]
    return other if content == text else content


EVERY_KEY = text_keys(ModelSpec) | text_keys(SharedSpec)
