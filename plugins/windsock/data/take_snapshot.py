"""``take_snapshot``: the source's rows, typed and kept by their content."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.data.changes import changes_since, refuse_growth
from windsock.data.contract import InForce, contract_in_force
from windsock.data.contract_advice import advice_on
from windsock.data.contract_checks import READ_FREELY, is_flipped
from windsock.data.mixing import mix_recent
from windsock.data.read_columns import ReadColumn
from windsock.data.reading import numbers_among, read_column
from windsock.data.roles import describe_column, findings_about, listed
from windsock.data.row_filter import take_rows
from windsock.data.window import rows_in_window, window_of
from windsock.exceptions import DataRefusedError, SpecError
from windsock.ports import Ports
from windsock.records import (
    ColumnKind,
    ColumnRole,
    ColumnSchema,
    ContractColumn,
    DataSnapshot,
    TakeSnapshotInput,
    ValueForm,
    content_digest,
    count_copies,
    row_digests,
)
from windsock.spec import ModelSpec
from windsock.spec.unused import require_built, unused_keys

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER)


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
    read = ports.sources.read(spec.data.source)
    _require_columns(read.frame, spec)
    force = contract_in_force(spec, ports)
    reader = _Reader(spec, force, read.form)
    frame, noticed = rows_in_window(
        read.frame,
        spec.data.event_time,
        window,
        held=force.column(spec.data.event_time or ""),
        form=reader.form(spec.data.event_time or ""),
    )
    raw = frame
    frame, unlabelled, filtered = take_rows(
        raw, spec, lambda name: reader.read(raw[name], name), nulls=read.form.nulls if read.form else ()
    )
    columns, left_out = _read_columns(frame, reader)
    described = tuple(_described(column, frame, reader) for column in columns)
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
            *force.findings,
            *read.findings,
            *noticed,
            *left_out,
            *filtered,
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
    if (stored.columns, stored.source, stored.unlabelled) == (
        snapshot.columns,
        snapshot.source,
        snapshot.unlabelled,
    ):
        return stored
    read_now = ("columns", "source", "findings", "unlabelled", "contract", "contract_digest")
    return stored.replace(**{name: getattr(snapshot, name) for name in read_now})


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


class _Reader(NamedTuple):
    """Reads a source's columns by the contract in force, and by what the source says of all of them."""

    spec: ModelSpec
    force: InForce
    source: ValueForm | None

    def form(self, name: str) -> ValueForm | None:
        """Return how a column's values are written: what was decided of it counts over the source's form."""
        of_column = self.force.forms.get(name)
        if of_column is None or self.source is None:
            return of_column or self.source
        return self.source.replace(**{key: getattr(of_column, key) for key in of_column.model_fields_set})

    def read(
        self,
        values: pd.Series[Any],
        name: str,
        *,
        freely: bool = False,
        meant: ContractColumn | None = None,
    ) -> ReadColumn:
        """Return a column's typed values.

        :param freely: by its own values alone, whatever the contract says.
        :param meant: by this meaning instead.
        """
        data = self.spec.data
        roles = {data.event_time: ColumnRole.EVENT_TIME, data.target: ColumnRole.TARGET}
        return read_column(
            values,
            name,
            as_text=name == data.entity,
            role=roles.get(name),
            held=None if freely else meant or self.force.column(name),
            form=self.form(name),
        )


def _described(column: ReadColumn, frame: pd.DataFrame, reader: _Reader) -> ColumnSchema:
    """Return a column's schema; where its values do not fit the contract, with what they would be read as."""
    schema = describe_column(column, reader.spec, reader.force.role(column.name))
    held = reader.force.column(column.name)
    if held is None or not is_flipped(schema, len(frame)):
        return schema

    def fits(meant: ContractColumn) -> bool:
        read = reader.read(frame[column.name], column.name, meant=meant)
        return not is_flipped(describe_column(read, reader.spec, held.role), len(frame))

    free = reader.read(frame[column.name], column.name, freely=True)
    return schema.replace(note=f"{READ_FREELY} {free.kind.value}; {advice_on(held, free, fits)}")


def _read_columns(frame: pd.DataFrame, reader: _Reader) -> tuple[list[ReadColumn], tuple[str, ...]]:
    columns, left_out = [], []
    for name in frame.columns:
        try:
            columns.append(reader.read(frame[name], str(name)))
        except DataRefusedError:
            if name not in reader.spec.data.exclude:
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
