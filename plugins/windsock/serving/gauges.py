"""Gauges that monitoring fills: what it found out about a model stands beside the server's own metrics."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from windsock.exceptions import StorageError
from windsock.serving.files import locked, replace_file
from windsock.serving.strict_json import Fault, RequestRefusedError, is_plain, kind_of, read_json

if TYPE_CHECKING:
    from windsock.serving.service import Service

log = logging.getLogger(__name__)

FOLDER = "gauges"
CODE = "WS-SERVING-049"
MOST_GAUGES = 1_000
"""Gauges of a model, of all names."""
MOST_TEXT = 200
"""Characters of a label's value."""
MOST_BYTES = 4 * 1024 * 1024
"""A file larger than any that was written here is not read."""
TIMESTAMP = "ml_last_monitoring_timestamp_seconds"
UNREADABLE = "windsock_gauge_files_unreadable"


@dataclass(frozen=True)
class KnownGauge:
    """A gauge that may be set.

    :param labels: its labels beside ``model``; each has to be there.
    :param help: what it says, in a sentence.
    """

    labels: tuple[str, ...]
    help: str


KNOWN: Mapping[str, KnownGauge] = {
    "data_drift_score": KnownGauge(("feature",), "How far a feature has moved since training."),
    "ml_drift_ratio": KnownGauge((), "Share of the features that have drifted."),
    "ml_model_accuracy": KnownGauge(("model_version",), "Share of right predictions, by outcomes."),
    "ml_estimated_performance": KnownGauge(("metric",), "A metric as estimated without outcomes."),
    "ml_realised_performance": KnownGauge(("metric",), "A metric by outcomes."),
    "recommendation_ctr": KnownGauge(("variant",), "Positive outcomes for each answer."),
}
UNLABELLED = frozenset({"recommendation_ctr"})
"""Gauges that had no labels of their own in files of before; such a gauge is left out."""
HELP = {name: known.help for name, known in KNOWN.items()} | {
    TIMESTAMP: "When monitoring last told about the model.",
    UNREADABLE: "Files of gauges that are damaged and left out.",
}


class StoredGauge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gauge in the file; its labels are those of the closed list."""

    name: str
    labels: dict[str, str]
    value: float


class GaugeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What monitoring last told about a model.

    :param at: when, in seconds since 1970.
    """

    model: str
    at: float
    gauges: list[StoredGauge]


_decode = msgspec.json.Decoder(GaugeFile).decode


@dataclass(frozen=True)
class GaugeUpdate:
    """Gauges that replace those of their names.

    :param names: names whose gauges are replaced, also by none; gauges of other names stay.
    """

    gauges: tuple[StoredGauge, ...]
    names: frozenset[str]


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
                            "items": {"enum": list(KNOWN)},
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
    """Take a model's gauges; they replace those that were there, or those of some names.

    :param name: the model's.
    :param body: ``{"gauges": [{"name", "labels", "value"}, ...], "names": [...]}``; without ``names`` all
        gauges of the model are replaced.
    :returns: what is answered.
    :raises RequestRefusedError: if there is no such model (status 404), a gauge is not of the closed list or
        of ``names``, or the model would have too many (422).
    :raises StorageError: if the file cannot be written; the gauges that were there stand.
    """
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
    names = _read_names(said["names"]) if "names" in said else frozenset(KNOWN)
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


def _read_names(given: Any) -> frozenset[str]:
    if not isinstance(given, list) or not 1 <= len(given) <= len(KNOWN):
        raise _refused("names", "something else", f"a list of 1 to {len(KNOWN)} names")
    for number, name in enumerate(given):
        if not isinstance(name, str) or name not in KNOWN:
            raise _refused(f"names[{number}]", "another name", "one of " + ", ".join(KNOWN))
    if len(set(given)) != len(given):
        raise _refused("names", "the same name twice", "each once")
    return frozenset(given)


def _read(given: Any, model: str, place: str) -> StoredGauge:
    if not isinstance(given, dict) or not {"name", "value"} <= given.keys() <= {"name", "labels", "value"}:
        raise _refused(place, "something else", "an object with name, labels and value")
    name, labels, value = given["name"], given.get("labels", {}), given["value"]
    known = KNOWN.get(name) if isinstance(name, str) else None
    if known is None:
        raise _refused(f"{place}.name", "another name", "one of " + ", ".join(KNOWN))
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


def keep_gauges(folder: Path, model: str, update: GaugeUpdate, at: datetime) -> None:
    """Replace gauges in a model's file, which is written whole or not at all.

    Workers take turns by a lock file, so that updates of different names at the same time are all kept.

    :param folder: the server's state folder.
    :param model: name of a served model: such a name is a file's name too.
    :raises RequestRefusedError: if the model would have more gauges than it may: status 422.
    :raises StorageError: if the file cannot be read or written.
    """
    path = folder / FOLDER / f"{model}.json"
    with locked(path.with_suffix(".lock")):
        gauges = [gauge for gauge in _standing(path) if gauge.name not in update.names]
        gauges += update.gauges
        if len(gauges) > MOST_GAUGES:
            got = f"{len(gauges):,} with those that stay"
            raise _refused("gauges", got, f"at most {MOST_GAUGES:,} of a model")
        file = GaugeFile(model, at.timestamp(), gauges)
        replace_file(path, msgspec.json.encode(file).decode("utf-8"))


def _standing(path: Path) -> list[StoredGauge]:
    """Return the gauges that a file holds; a damaged file holds none, and what is written replaces it.

    :raises StorageError: if there is a file, and it cannot be read.
    """
    try:
        return _read_file(path).gauges
    except FileNotFoundError:
        return []
    except ValueError:
        log.warning("%s is damaged: its gauges are gone until monitoring tells them again", path.name)
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or type(error).__name__}") from error


def gauges_text(folder: Path, answering: Collection[tuple[str, str]] | None = None) -> bytes:
    """Return the gauges of all models in Prometheus' text form, to stand after the server's own metrics.

    A file that is damaged is left out and counted.

    :param folder: the server's state folder.
    :param answering: model and version of what has traffic: gauges of other versions are left out; ``None``:
        none is.
    """
    found, unreadable = read_files(folder / FOLDER)
    samples: dict[str, list[str]] = {}
    for file in found:
        _add(samples, TIMESTAMP, {"model": file.model}, file.at)
        for gauge in file.gauges:
            version = gauge.labels.get("model_version")
            if version is not None and answering is not None and (file.model, version) not in answering:
                continue
            _add(samples, gauge.name, {"model": file.model} | gauge.labels, gauge.value)
    if unreadable:
        _add(samples, UNREADABLE, {}, unreadable)
    lines: list[str] = []
    for name in sorted(samples):
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *samples[name]]
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def read_files(folder: Path) -> tuple[list[GaugeFile], int]:
    """Return the files that hold gauges of the closed list, and how many others there are."""
    found, unreadable = [], 0
    for path in _files(folder):
        try:
            found.append(_read_file(path))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            unreadable += 1
    return found, unreadable


def _read_file(path: Path) -> GaugeFile:
    """Return a model's file.

    :raises OSError: if it cannot be read.
    :raises ValueError: if it is damaged; msgspec's errors are such, too.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("too large")
    file = _decode(path.read_bytes())
    gauges = [one for one in file.gauges if one.labels or one.name not in UNLABELLED]
    file = msgspec.structs.replace(file, gauges=gauges)
    if file.model != path.stem or not _fits(file):
        raise ValueError("no gauges of this model")
    return file


def _files(folder: Path) -> Iterable[Path]:
    """Return the files in the order of their names; a file that is being written begins with a dot."""
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def _fits(file: GaugeFile) -> bool:
    """Return whether a file holds each gauge once, with its labels."""
    labelled = all(
        gauge.name in KNOWN and gauge.labels.keys() == set(KNOWN[gauge.name].labels) for gauge in file.gauges
    )
    different = {(gauge.name, *sorted(gauge.labels.items())) for gauge in file.gauges}
    return labelled and len(different) == len(file.gauges)


def _add(samples: dict[str, list[str]], name: str, labels: Mapping[str, str], value: float) -> None:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    samples.setdefault(name, []).append(f"{name}{{{said}}} {float(value)!r}" if said else f"{name} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
