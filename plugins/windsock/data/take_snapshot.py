"""``take_snapshot``: the source's rows, typed and kept by their content."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from windsock.data.changes import changes_since, refuse_growth
from windsock.data.mixing import mix_recent
from windsock.data.read_columns import ReadColumn
from windsock.data.reading import numbers_among, read_column
from windsock.data.roles import describe_column, findings_about, listed
from windsock.data.window import rows_in_window, window_of
from windsock.exceptions import DataRefusedError, SpecError
from windsock.ports import Ports
from windsock.records import (
    ColumnKind,
    ColumnRole,
    DataSnapshot,
    TakeSnapshotInput,
    ValueForm,
    content_digest,
    count_copies,
    row_digests,
)
from windsock.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER)


def take_snapshot(step: TakeSnapshotInput, ports: Ports, key: str) -> DataSnapshot:
    """Read the source, type its columns, mix recent rows in, and keep all by the digest of their content.

    The same content is stored once: a second snapshot of it is the first one, with the roles that the spec
    gives its columns now, and with the source that was read now, whatever the first one was read from.

    :raises DataRefusedError: if the source is wrong for good.
    :raises SourceUnavailableError: if it did not answer.
    :raises StorageError: if recent rows are asked for, and the prediction log or the labels cannot be read.
    """
    spec = step.spec
    if spec.data.source is None:
        raise SpecError(
            "the model names no source of data",
            key="data.source",
            code="WS-SPEC-010",
            next_action="Write data.source, such as {kind: file, path: include/data/churn.csv}.",
        )
    window = window_of(step, ports.now())
    read = ports.sources.read(spec.data.source)
    _require_columns(read.frame, spec)
    frame, noticed = rows_in_window(read.frame, spec.data.event_time, window, form=read.form)
    columns, left_out = _read_columns(frame, spec, read.form)
    described = tuple(describe_column(column, spec) for column in columns)
    _require_numeric_target(columns, spec)
    typed, schemas, recent_rows, mixed = mix_recent(step, _joined(columns), described, ports)
    digests = row_digests(typed)
    copies = count_copies(digests)
    snapshot = DataSnapshot(
        model=spec.name,
        digest=content_digest(schemas, digests, recent_rows),
        uri="",
        rows=len(typed),
        columns=schemas,
        source=read.described,
        findings=(
            *read.findings,
            *noticed,
            *left_out,
            *(finding for column in columns for finding in column.findings),
            *findings_about(described, spec),
            *mixed,
            *(
                [f"{copies:,} of {len(typed):,} rows are copies of another one; all are kept"]
                if copies
                else ()
            ),
        ),
        window_start=window.start if window else None,
        window_end=window.end if window else None,
        recent_rows=recent_rows,
        recent_start=step.recent.start if step.recent and recent_rows else None,
        recent_end=step.recent.end if step.recent and recent_rows else None,
        taken_at=ports.now(),
    )
    return _keep(snapshot, typed, spec, ports)


def _keep(snapshot: DataSnapshot, typed: pd.DataFrame, spec: ModelSpec, ports: Ports) -> DataSnapshot:
    if ports.snapshots.find(snapshot.model, snapshot.digest) is None:
        previous = ports.snapshots.latest(snapshot.model)
        refuse_growth(snapshot, previous, spec)
        changes = changes_since(snapshot, previous, spec)
        snapshot = snapshot.replace(findings=(*changes, *snapshot.findings))
    stored = ports.snapshots.put(snapshot, typed)
    if stored.columns == snapshot.columns and stored.source == snapshot.source:
        return stored
    return stored.replace(columns=snapshot.columns, findings=snapshot.findings, source=snapshot.source)


def _require_columns(frame: pd.DataFrame, spec: ModelSpec) -> None:
    there = [str(name) for name in frame.columns]
    needed = {"target": spec.data.target, "entity": spec.data.entity, "event_time": spec.data.event_time}
    for role, name in needed.items():
        if name is None or name in there:
            continue
        close = get_close_matches(name, there, n=3, cutoff=0.6) or [
            known for known in there if known.lower() == name.lower()
        ]
        hint = f"; near: {', '.join(close)}" if close else ""
        raise DataRefusedError(
            f"the source has no column {name!r} (data.{role}){hint}; its {len(there):,} columns are "
            f"{listed(there)}",
            code="WS-DATA-020",
            next_action=f"Write the column's name in `data.{role}`, or mend the source.",
        )


def _read_columns(
    frame: pd.DataFrame, spec: ModelSpec, form: ValueForm | None
) -> tuple[list[ReadColumn], tuple[str, ...]]:
    columns, left_out = [], []
    roles = {spec.data.event_time: ColumnRole.EVENT_TIME, spec.data.target: ColumnRole.TARGET}
    for name in frame.columns:
        try:
            as_text = name == spec.data.entity
            columns.append(
                read_column(frame[name], str(name), as_text=as_text, role=roles.get(name), form=form)
            )
        except DataRefusedError:
            if name not in spec.data.exclude:
                raise
            left_out.append(f"{name}: excluded, and left out of the snapshot: it holds no plain values")
    return columns, tuple(left_out)


def _require_numeric_target(columns: list[ReadColumn], spec: ModelSpec) -> None:
    if spec.task != "regression":
        return
    target = next(column for column in columns if column.name == spec.data.target)
    if target.kind in NUMERIC:
        return
    numeric, known, _ = (
        numbers_among(target.values) if target.kind is ColumnKind.CATEGORY else (0, len(target.values), 0)
    )
    raise DataRefusedError(
        f"target {target.name!r} is read as {target.kind.value}, regression needs numbers: "
        f"{known - numeric:,} of {known:,} values are none"
        + "".join(f"; {finding}" for finding in target.findings),
        code="WS-DATA-023",
        next_action="Mend the values at the source, or write `task: classification`.",
    )


def _joined(columns: list[ReadColumn]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat({column.name: column.values for column in columns}, axis=1)
