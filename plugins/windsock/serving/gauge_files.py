"""Files of gauges in the server's state folder, and what ``/metrics`` says of them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from windsock.exceptions import StorageError
from windsock.records import INSTALLATION
from windsock.serving.files import locked, replace_file
from windsock.serving.known_gauges import (
    CODE,
    HELP,
    MOST_GAUGES,
    TIMESTAMP,
    UNLABELLED,
    UNREADABLE,
    GaugeFile,
    GaugeUpdate,
    StoredGauge,
    known_of,
)
from windsock.serving.strict_json import Fault, RequestRefusedError

log = logging.getLogger(__name__)

FOLDER = "gauges"
MOST_BYTES = 4 * 1024 * 1024
"""A file larger than any that was written here is not read."""
_decode = msgspec.json.Decoder(GaugeFile).decode


def keep_gauges(folder: Path, model: str, update: GaugeUpdate, at: datetime) -> None:
    """Replace gauges in a model's file, which is written whole or not at all.

    Workers take turns by a lock file, so that updates of different names at the same time are all kept.

    :param folder: the server's state folder.
    :param model: name of a served model, or of the installation: such a name is a file's name too.
    :raises RequestRefusedError: if the model would have more gauges than it may: status 422.
    :raises StorageError: if the file cannot be read or written.
    """
    path = folder / FOLDER / f"{model}.json"
    with locked(path.with_suffix(".lock")):
        gauges = [gauge for gauge in _standing(path) if gauge.name not in update.names]
        gauges += update.gauges
        if len(gauges) > MOST_GAUGES:
            got = f"{len(gauges):,} with those that stay"
            fault = Fault("gauges", got, f"at most {MOST_GAUGES:,} of a model")
            raise RequestRefusedError(422, "invalid", fault, code=CODE)
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
        about = {"model": file.model} if file.model != INSTALLATION else {}
        if about:
            _add(samples, TIMESTAMP, about, file.at)
        for gauge in file.gauges:
            version = gauge.labels.get("model_version")
            if version is not None and answering is not None and (file.model, version) not in answering:
                continue
            _add(samples, gauge.name, about | gauge.labels, gauge.value)
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
    may = known_of(file.model)
    labelled = all(
        gauge.name in may and gauge.labels.keys() == set(may[gauge.name].labels) for gauge in file.gauges
    )
    different = {(gauge.name, *sorted(gauge.labels.items())) for gauge in file.gauges}
    return labelled and len(different) == len(file.gauges)


def _add(samples: dict[str, list[str]], name: str, labels: Mapping[str, str], value: float) -> None:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    samples.setdefault(name, []).append(f"{name}{{{said}}} {float(value)!r}" if said else f"{name} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
