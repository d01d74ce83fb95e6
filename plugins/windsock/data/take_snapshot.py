"""``take_snapshot``: the source's rows, typed and kept by their content."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING

from windsock.data.changes import changes_since, refuse_growth
from windsock.data.contract import contract_in_force
from windsock.data.mixing import mix_recent
from windsock.data.read_columns import NUMERIC, ReadColumn
from windsock.data.reading import numbers_among
from windsock.data.roles import findings_about
from windsock.data.row_filter import take_rows
from windsock.data.source_columns import Deciding, SourceColumns, describe, in_threads, read_all
from windsock.data.window import rows_in_window, window_of
from windsock.exceptions import DataRefusedError, SourceUnavailableError, SpecError
from windsock.ports import Ports, SourceRead
from windsock.records import (
    ColumnKind,
    ColumnSchema,
    DataSnapshot,
    TakeSnapshotInput,
    content_digest,
    count_copies,
    row_digests,
)
from windsock.records.value_form import LATER
from windsock.spec import FileSource, ModelSpec, Source
from windsock.spec.unused import require_built, unused_keys

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

NO_FILE = "WS-DATA-010"
"""Code of the refusal of a source file that is not there."""


def take_snapshot(step: TakeSnapshotInput, ports: Ports, key: str) -> DataSnapshot:
    """Read the source by the data contract, mix recent rows in, and keep all by the digest of their content.

    A column that the contract does not know yet is typed by its own values.

    The same content is stored once: a second snapshot of it is the first one, with the roles that the spec
    gives its columns now, and with the source that was read now, whatever the first one was read from.

    What the spec asks for and does nothing yet is named in the log.

    :raises NotBuiltError: if the model would behave otherwise than its spec says, such as in batches.
    :raises DataRefusedError: if the source is wrong for good.
    :raises SourceUnavailableError: if it did not answer.
    :raises StorageError: if recent rows are asked for, and the prediction log or the labels cannot be read.
    """
    spec = step.spec
    require_built(spec)
    for sentence in unused_keys(spec, written=False):
        log.warning("%s: %s", spec.name, sentence)
    if spec.data.source is None:
        raise SpecError(
            "the model names no source of data",
            key="data.source",
            code="WS-SPEC-010",
            next_action="Write data.source, such as {kind: file, path: include/data/churn.csv}.",
        )
    window = window_of(step, ports.now())
    read = _read_source(spec.data.source, spec.name, ports)
    _require_columns(read.frame, spec)
    force = contract_in_force(spec, ports)
    reader = SourceColumns(spec, force, read.form)
    frame, noticed, dated = rows_in_window(
        read.frame, spec.data.event_time, window, lambda name: reader.read(read.frame[name], name)
    )
    raw = frame
    frame, unlabelled, filtered, conditions = take_rows(
        raw, spec, lambda name: reader.read(raw[name], name), nulls=read.form.nulls if read.form else ()
    )
    columns, left_out = read_all(frame, reader, conditions)
    deciding = {name: Deciding(column, raw[name]) for name, column in conditions.items() if column.unread}
    if dated is not None and dated.unread:
        deciding[dated.name] = Deciding(dated, read.frame[dated.name])
    described = tuple(
        in_threads(
            lambda column: describe(column, frame[column.name], reader, deciding.get(column.name)), columns
        )
    )
    _require_numeric_target(columns, spec)
    typed, schemas, recent_rows, mixed, onset_rows = mix_recent(step, _joined(columns), described, ports)
    digests = row_digests(typed)
    copies = count_copies(digests)
    snapshot = DataSnapshot(
        model=spec.name,
        digest=content_digest(schemas, digests, recent_rows, onset_rows),
        uri="",
        rows=len(typed),
        columns=schemas,
        source=read.described,
        findings=(
            *force.findings,
            *read.findings,
            *_not_in_source(read.frame, spec),
            *noticed,
            *left_out,
            *filtered,
            *(finding for one in deciding.values() for finding in one.column.findings),
            *(finding for column in columns for finding in column.findings),
            *findings_about(described, spec),
            *_positive_is_by_order(described, spec),
            *mixed,
            *(
                [f"{copies:,} of {len(typed):,} rows are copies of another one; all are kept"]
                if copies
                else ()
            ),
        ),
        window_start=window.start if window else None,
        window_end=window.end if window else None,
        unlabelled=unlabelled,
        recent_rows=recent_rows,
        recent_start=step.recent.start if step.recent and recent_rows else None,
        recent_end=step.recent.end if step.recent and recent_rows else None,
        onset=step.onset if onset_rows else None,
        onset_rows=onset_rows,
        contract=force.version,
        contract_digest=force.digest,
        taken_at=ports.now(),
    )
    return _keep(snapshot, typed, spec, ports)


def _positive_is_by_order(columns: tuple[ColumnSchema, ...], spec: ModelSpec) -> tuple[str, ...]:
    """Say of two classes that nobody has named which of them scores are for."""
    target = next(column for column in columns if column.name == spec.data.target)
    words = target.kind is ColumnKind.CATEGORY and target.distinct == 2
    if spec.task == "regression" or spec.data.positive is not None or not words:
        return ()
    return (f"{target.name}: two classes and no data.positive: scores are for the last one in sorted order",)


def _keep(snapshot: DataSnapshot, typed: pd.DataFrame, spec: ModelSpec, ports: Ports) -> DataSnapshot:
    if ports.snapshots.find(snapshot.model, snapshot.digest) is None:
        previous = ports.snapshots.latest(snapshot.model)
        refuse_growth(snapshot, previous, spec)
        changes = changes_since(snapshot, previous, spec)
        snapshot = snapshot.replace(findings=(*changes, *snapshot.findings))
    stored = ports.snapshots.put(snapshot, typed)
    same = (stored.columns, stored.source, stored.unlabelled) == (
        _as_stored(snapshot.columns, stored.columns),
        snapshot.source,
        snapshot.unlabelled,
    )
    if same and set(snapshot.findings) <= set(stored.findings):
        return stored
    read_now = ("columns", "source", "findings", "unlabelled", "contract", "contract_digest")
    return stored.replace(**{name: getattr(snapshot, name) for name in read_now})


def _as_stored(
    columns: tuple[ColumnSchema, ...], stored: tuple[ColumnSchema, ...]
) -> tuple[ColumnSchema, ...]:
    """Return columns without what a snapshot from before currencies and whole identities did not say."""
    known = {column.name: column.form for column in stored}
    made = []
    for column in columns:
        form = known.get(column.name, column.form)
        earlier = {key: getattr(form, key) for key in LATER if getattr(form, key) in ("", None)}
        made.append(column.replace(form=column.form.replace(**earlier)) if earlier else column)
    return tuple(made)


def _read_source(source: Source, model: str, ports: Ports) -> SourceRead:
    """Read the source; a file that earlier snapshots were taken from and that is gone is late, not wrong.

    :raises SourceUnavailableError: if it is late, or did not answer.
    :raises DataRefusedError: if it is wrong for good.
    """
    try:
        return ports.sources.read(source)
    except DataRefusedError as error:
        last = ports.snapshots.latest(model) if error.code == NO_FILE else None
        if last is None or not isinstance(source, FileSource) or last.source != f"file: {source.path}":
            raise
        raise SourceUnavailableError(
            f"{error.message}; the snapshot of {last.taken_at:%Y-%m-%d %H:%M} UTC was taken from it, so it "
            "is late",
            next_action="Find out why it has not come; the task is tried again by itself, then clear it once "
            "the file is there. The model that serves is untouched.",
        ) from None


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
            f"the source has no column {name!r} (data.{role}){hint}; it has {len(there):,} columns",
            code="WS-DATA-020",
            next_action=f"Write the column's name in `data.{role}`, or mend the source; a file's first row "
            "must hold the columns' names.",
        )


def _not_in_source(frame: pd.DataFrame, spec: ModelSpec) -> tuple[str, ...]:
    """Say which columns the model's file describes that the source does not have."""
    there = [str(name) for name in frame.columns]
    said = []
    for name in (name for name in spec.data.columns if name not in there):
        near = get_close_matches(name, there, n=3, cutoff=0.6)
        hint = f"; near: {', '.join(near)}" if near else ""
        said.append(f"data.columns.{name}: the source has no such column, it decides nothing{hint}")
    for finding in said:
        log.warning("%s: %s", spec.name, finding)
    return tuple(said)


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
