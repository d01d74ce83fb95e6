"""Gauges that monitoring fills: what it found out about a model stands beside the server's own metrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windsock.records import INSTALLATION
from windsock.serving.gauge_files import keep_gauges
from windsock.serving.known_gauges import (
    CODE,
    KNOWN,
    MOST_GAUGES,
    OF_INSTALLATION,
    GaugeUpdate,
    KnownGauge,
    StoredGauge,
    known_of,
)
from windsock.serving.strict_json import Fault, RequestRefusedError, is_plain, kind_of, read_json

if TYPE_CHECKING:
    from windsock.serving.service import Service

MOST_TEXT = 200
"""Characters of a label's value."""
REQUEST = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["gauges"],
                    "additionalProperties": False,
                    "properties": {
                        "gauges": {"type": "array", "maxItems": MOST_GAUGES, "items": {"type": "object"}},
                        "names": {
                            "type": "array",
                            "description": "Names whose gauges are replaced, also by none; without it, all.",
                            "minItems": 1,
                            "uniqueItems": True,
                            "items": {"enum": [*KNOWN, *OF_INSTALLATION]},
                        },
                    },
                },
                "example": {
                    "names": ["data_drift_score", "ml_drift_ratio"],
                    "gauges": [{"name": "data_drift_score", "labels": {"feature": "age"}, "value": 0.1}],
                },
            }
        },
    }
}


async def put_gauges(service: Service, name: str, body: bytes) -> dict[str, Any]:
    """Take gauges of a model or of the installation, which replace all that were there, or some names's.

    :param name: the model's, or :data:`~windsock.records.INSTALLATION`.
    :param body: ``{"gauges": [{"name", "labels", "value"}, ...], "names": [...]}``; without ``names`` all
        gauges of the model are replaced.
    :returns: what is answered.
    :raises RequestRefusedError: if there is no such model (status 404), a gauge is not of the closed list or
        of ``names``, or the model would have too many (422).
    :raises StorageError: if the file cannot be written; the gauges that were there stand.
    """
    if name != INSTALLATION:
        service.model(name)
    update = read_gauges(read_json(body), name)
    await asyncio.to_thread(keep_gauges, service.settings.serving_dir, name, update, service.now())
    return {"model": name, "gauges": len(update.gauges)}


def read_gauges(said: Any, model: str) -> GaugeUpdate:
    """Read gauges and the names that they replace; all of them, or none.

    :raises RequestRefusedError: if one is not of the closed list or of the names, not finite or there twice:
        status 422.
    """
    if not isinstance(said, dict) or not {"gauges"} <= said.keys() <= {"gauges", "names"}:
        raise _refused("body", "something else", "an object with gauges, and names or not")
    if not isinstance(said["gauges"], list):
        raise _refused("gauges", kind_of(said["gauges"]), "a list")
    may = known_of(model)
    names = _read_names(said["names"], may) if "names" in said else frozenset(may)
    given = said["gauges"]
    if len(given) > MOST_GAUGES:
        raise _refused("gauges", f"a list of {len(given):,}", f"at most {MOST_GAUGES:,}")
    gauges = [_read(one, model, f"gauges[{number}]") for number, one in enumerate(given)]
    if len({(gauge.name, *sorted(gauge.labels.items())) for gauge in gauges}) != len(gauges):
        raise _refused("gauges", "the same gauge twice", "each with labels of its own")
    for number, gauge in enumerate(gauges):
        if gauge.name not in names:
            raise _refused(f"gauges[{number}].name", "a gauge that is not replaced", "one of names")
    return GaugeUpdate(tuple(gauges), names)


def _read_names(given: Any, may: Mapping[str, KnownGauge]) -> frozenset[str]:
    if not isinstance(given, list) or not 1 <= len(given) <= len(may):
        raise _refused("names", "something else", f"a list of 1 to {len(may)} names")
    for number, name in enumerate(given):
        if not isinstance(name, str) or name not in may:
            raise _refused(f"names[{number}]", "another name", "one of " + ", ".join(may))
    if len(set(given)) != len(given):
        raise _refused("names", "the same name twice", "each once")
    return frozenset(given)


def _read(given: Any, model: str, place: str) -> StoredGauge:
    if not isinstance(given, dict) or not {"name", "value"} <= given.keys() <= {"name", "labels", "value"}:
        raise _refused(place, "something else", "an object with name, labels and value")
    may = known_of(model)
    name, labels, value = given["name"], given.get("labels", {}), given["value"]
    known = may.get(name) if isinstance(name, str) else None
    if known is None:
        raise _refused(f"{place}.name", "another name", "one of " + ", ".join(may))
    if not isinstance(labels, dict) or labels.keys() - {"model"} != set(known.labels):
        raise _refused(f"{place}.labels", "other labels", " and ".join(known.labels) or "none")
    for label, text in labels.items():
        if not isinstance(text, str) or not 1 <= len(text) <= MOST_TEXT or not is_plain(text):
            raise _refused(f"{place}.labels.{label}", kind_of(text), f"text of 1 to {MOST_TEXT} characters")
    if labels.get("model", model) != model:
        raise _refused(f"{place}.labels.model", "another model", "the model of the address, or nothing")
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise _refused(f"{place}.value", kind_of(value), "a finite number")
    return StoredGauge(name, {label: labels[label] for label in known.labels}, float(value))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _refused(field: str, got: str, expected: str) -> RequestRefusedError:
    return RequestRefusedError(422, "invalid", Fault(field, got, expected), code=CODE)
