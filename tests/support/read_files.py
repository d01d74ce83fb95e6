"""A file as the product reads it: its source, its columns, its snapshot and its validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.builders import make_spec
from support.fakes import fake_ports
from windsock.adapters.sources import SourceReaders
from windsock.data.read_columns import ReadColumn
from windsock.data.reading import read_column
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.exceptions import DataRefusedError
from windsock.ports import SourceRead
from windsock.records import DataSnapshot, TakeSnapshotInput, ValidateDataInput, ValidationReport
from windsock.spec import FileSource


def read_source(file: Path, **keys: Any) -> SourceRead:
    return SourceReaders((file.parent,), str).read(FileSource(path=str(file), **keys))


def read_columns(file: Path, **keys: Any) -> dict[str, ReadColumn]:
    """Return each column of a file, as a first reading finds it."""
    read = read_source(file, **keys)
    return {name: read_column(read.frame[name], name, form=read.form) for name in read.frame}


def validated(file: Path, target: str, **blocks: Any) -> tuple[DataSnapshot, ValidationReport]:
    """Return a file's snapshot and whether it may be trained on."""
    keys = blocks.pop("source", {})
    data = {
        "target": target,
        "entity": None,
        "sensitive": [],
        "source": {"kind": "file", "path": str(file), **keys},
    }
    spec = make_spec(model=blocks.pop("model", {}), data={**data, **blocks})
    ports = fake_ports(sources=SourceReaders((file.parent,), str))
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    return snapshot, validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")


def refused(file: Path, **keys: Any) -> str:
    """Return what reading a file is refused with; empty if it is not."""
    try:
        read_source(file, **keys)
    except DataRefusedError as error:
        return str(error)
    return ""


def failed(report: ValidationReport) -> dict[str, str]:
    return {check.code: check.message for check in report.failed}
