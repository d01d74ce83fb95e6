"""JSON schema of the model file and of ``windsock.yaml``, for editors."""

from __future__ import annotations

from typing import Any

from windsock.spec.flat_form import FLAT_KEYS
from windsock.spec.model import ModelSpec
from windsock.spec.registries import SOURCES, known_sources
from windsock.spec.shared import SharedSpec

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def model_schema() -> dict[str, Any]:
    """Return the schema of ``include/models/NAME.yaml``: closed words, and a description for each key."""
    schema = ModelSpec.model_json_schema()
    parts = schema["$defs"]
    _add_flat_form(parts)
    _close_sources(parts)
    _empty_blocks(schema)
    return {"$schema": DRAFT, **_untitled(schema), "title": "Windsock model"}


def shared_schema() -> dict[str, Any]:
    """Return the schema of ``include/windsock.yaml``."""
    schema = SharedSpec.model_json_schema()
    _empty_blocks(schema)
    return {"$schema": DRAFT, **_untitled(schema), "title": "What Windsock's models share"}


def _add_flat_form(parts: dict[str, Any]) -> None:
    training, data = parts["TrainingBlock"]["properties"], parts["DataBlock"]["properties"]
    for old, new in FLAT_KEYS.items():
        training[old] = {
            **{key: value for key, value in data[new].items() if key != "default"},
            "description": f"another way to write data.{new}: {data[new]['description']}",
        }


def _close_sources(parts: dict[str, Any]) -> None:
    """Ask for the kind of a block; another kind than the built-in ones is an installed package's."""
    for name in ("FileSource", "SqlSource", "ApiSource", "FeatureStoreSource"):
        parts[name]["required"] = ["kind", *parts[name].get("required", [])]
    parts["SqlSource"]["oneOf"] = [{"required": ["query"]}, {"required": ["table"]}]
    added = sorted(known_sources() - set(SOURCES))
    parts["ExtensionSource"]["properties"]["kind"]["enum"] = added
    if not added:
        blocks = parts["DataBlock"]["properties"]["source"]["anyOf"][1]["oneOf"]
        blocks.remove({"$ref": "#/$defs/ExtensionSource"})
        del parts["ExtensionSource"]


def _empty_blocks(schema: dict[str, Any]) -> None:
    """Allow a block whose lines are all commented out: it has its defaults."""
    for name, part in schema["properties"].items():
        if "$ref" in part and name not in schema.get("required", ()):
            reference = part.pop("$ref")
            part["anyOf"] = [{"$ref": reference}, {"type": "null"}]


def _untitled(value: Any) -> Any:
    """Return the schema without the titles that pydantic makes from the keys; they say nothing."""
    if isinstance(value, dict):
        return {
            key: _untitled(part)
            for key, part in value.items()
            if not (key == "title" and isinstance(part, str))
        }
    if isinstance(value, list):
        return [_untitled(part) for part in value]
    return value
