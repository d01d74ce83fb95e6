"""A snapshot that passed: its contract and its statistics are kept, and a row of the ledger says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.data.contract import InForce
from windsock.data.contract_checks import Comparison, is_settled
from windsock.data.roles import role_by_spec
from windsock.data.target_contract import positive_word, words_of
from windsock.door import append_once
from windsock.exceptions import StaleEpochError
from windsock.ports import Ports
from windsock.records import (
    ColumnKind,
    ColumnRole,
    ColumnSchema,
    ContractColumn,
    ContractOrigin,
    DataContract,
    DataSnapshot,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    SnapshotStatistics,
    ValidateDataInput,
)
from windsock.records.contract import MAX_WORDS
from windsock.records.contract_file import form_by_source, form_with_known
from windsock.spec import ModelSpec
from windsock.texts import first_of

if TYPE_CHECKING:
    import pandas as pd

USED = (ColumnRole.FEATURE, ColumnRole.SENSITIVE)


def accept(
    step: ValidateDataInput,
    ports: Ports,
    force: InForce,
    compared: Comparison,
    frame: pd.DataFrame,
    statistics: SnapshotStatistics,
    unproven: Sequence[str] = (),
) -> None:
    """Keep what a snapshot that passed says of its columns; once for each snapshot and contract.

    :param frame: its rows; those of the source come first.
    :param statistics: what they look like.
    :param unproven: what was lost of accepted documents: a person is asked until a version is promoted.
    :raises StorageError: if the documents cannot be written.
    :raises StaleEpochError: if another snapshot was accepted meanwhile.
    """
    source = frame.iloc[: len(frame) - step.snapshot.recent_rows]
    contract = accepted_contract(force, step.spec, step.snapshot, source, compared)
    if force.row is not None and contract == force.accepted:
        uri, digest = force.row.body["contract_uri"], force.row.body["contract_digest"]
    else:
        uri, digest = ports.contracts.put(contract)
    statistics_uri, statistics_digest = ports.contracts.put(statistics)
    entry = LedgerEntry(
        model=step.spec.name,
        action=LedgerAction.ACCEPT,
        epoch=0,
        version="-",
        digest=step.snapshot.digest,
        actor=step.run.actor,
        body={
            "snapshot_digest": step.snapshot.digest,
            "contract": contract.version,
            "contract_digest": digest,
            "contract_uri": uri,
            "statistics_digest": statistics_digest,
            "statistics_uri": statistics_uri,
            "requester": step.run.requested_by,
            "run": step.run.named,
            "reason": f"contract {contract.version}: {_reason(contract, force)}",
            **({"unproven": list(unproven)} if unproven else {}),
            **step.run.origin,
        },
    )

    def standing(rows: Sequence[LedgerRow]) -> LedgerRow | None:
        rows = [row for row in rows if row.action is LedgerAction.ACCEPT]
        for row in rows:
            if (row.body["snapshot_digest"], row.body["contract_digest"]) == (step.snapshot.digest, digest):
                return row
        before = force.row.hash if force.row else None
        others = [row for row in rows if row.body["snapshot_digest"] != step.snapshot.digest]
        if (others[-1].hash if others else None) not in (before, None):
            raise StaleEpochError(
                f"{step.spec.name}: another snapshot was accepted while this one was judged",
                next_action="Clear take_snapshot and what follows it, so that the present contract is read.",
            )
        return None

    append_once(ports.ledger, entry, standing=standing)


def accepted_contract(
    force: InForce, spec: ModelSpec, snapshot: DataSnapshot, source: pd.DataFrame, compared: Comparison
) -> DataContract:
    """Return the contract that holds from a snapshot on; the one in force where nothing is new.

    What a person is asked about is no part of it until a version that a person approved is the champion.
    """
    changes = list(compared.recorded)
    columns: list[ContractColumn] = []
    there = {column.name: column for column in snapshot.columns}
    for held in force.contract.columns if force.contract else ():
        if held.name in there:
            columns.append(_widened(held, there[held.name], source[held.name], spec))
        elif held.role is not ColumnRole.IGNORED and not is_settled(held, force):
            columns.append(held)
    known = {column.name for column in force.contract.columns} if force.contract else set()
    columns += [
        _first(column, source[column.name], spec)
        for column in snapshot.columns
        if column.name not in known | compared.unsettled
    ]
    target = there.get(spec.data.target)
    positive = positive_word(spec, target, source[target.name]) if target else None
    held_positive = force.contract.positive if force.contract and spec.data.positive is None else None
    said = (tuple(columns), held_positive or positive)
    before = force.accepted
    if before is not None and (before.columns, before.positive) == said and not force.lost:
        return before
    if force.contract is None:
        changes = [f"the first one{' again' if force.lost else ''}: {len(columns):,} columns"]
    if force.lost:
        changes.insert(0, force.lost)
    return DataContract(
        model=spec.name,
        version=force.newest + 1,
        columns=said[0],
        positive=said[1],
        snapshot_digest=snapshot.digest,
        changes=(*changes, *_decided(force, columns)),
        decided_at=snapshot.taken_at,
    )


def _widened(
    held: ContractColumn, column: ColumnSchema, values: pd.Series[Any], spec: ModelSpec
) -> ContractColumn:
    first = _first(column, values, spec)
    changes: dict[str, Any] = {"role": column.role, "kind": column.kind}
    if held.true_word is None:
        changes |= {"true_word": first.true_word, "false_word": first.false_word}
    if not held.classes:
        changes["classes"] = first.classes
    if held.words or held.origin is ContractOrigin.CHAMPION:
        words = tuple(sorted({*held.words, *first.words})) if first.words else ()
        changes["words"] = words if len(words) <= MAX_WORDS else ()
    changes["form"] = form_with_known(held.form, column.form)
    if _dates_by_source(held, column, spec):
        changes |= {"form": column.form, "origin": ContractOrigin.PERSON}
    if _ignored_by_spec(column, spec) or first.origin is ContractOrigin.PERSON:
        changes["origin"] = ContractOrigin.PERSON
    return held.replace(**changes)


def _first(column: ColumnSchema, values: pd.Series[Any], spec: ModelSpec) -> ContractColumn:
    """Return what a column means that the contract does not know yet."""
    return ContractColumn(
        name=column.name,
        kind=column.kind,
        role=column.role,
        true_word=column.true_word,
        false_word=column.false_word,
        form=form_by_source(spec.data.source, column.kind, column.form),
        classes=_classes(column, values, spec),
        words=_words(column, values),
        unique=column.role is ColumnRole.ENTITY and len(values) > 1 and bool(values.dropna().is_unique),
        origin=ContractOrigin.PERSON if _ignored_by_spec(column, spec) else ContractOrigin.INFERRED,
    )


def _dates_by_source(held: ContractColumn, column: ColumnSchema, spec: ModelSpec) -> bool:
    """Return whether a column's times were read by ``data.source.dates`` and not as they are held."""
    dates = getattr(spec.data.source, "dates", None)
    usable = column.kind is ColumnKind.DATETIME and column.role is not ColumnRole.IGNORED
    return usable and dates is not None and column.form.dates == dates != held.form.dates


def _ignored_by_spec(column: ColumnSchema, spec: ModelSpec) -> bool:
    by_spec = role_by_spec(column.name, spec)
    return by_spec is not None and by_spec[0] is ColumnRole.IGNORED


def _classes(column: ColumnSchema, values: pd.Series[Any], spec: ModelSpec) -> tuple[str, ...]:
    if column.role is not ColumnRole.TARGET or spec.task != "classification":
        return ()
    block = spec.data.columns.get(column.name)
    return tuple(sorted({*words_of(values, column), *(block.classes if block else ())}))


def _words(column: ColumnSchema, values: pd.Series[Any]) -> tuple[str, ...]:
    """Return the words of a category with few of them; those of names and free text are not remembered."""
    if column.kind is not ColumnKind.CATEGORY or column.role not in USED:
        return ()
    words = words_of(values, column)
    return words if len(words) <= MAX_WORDS and 2 * len(words) <= len(values) else ()


def _decided(force: InForce, columns: Sequence[ContractColumn]) -> tuple[str, ...]:
    """Say which columns people decided anew."""
    before = {column.name: column for column in force.accepted.columns} if force.accepted else {}
    return tuple(
        f"{column.name}: {column.kind.value}, {column.role.value}, decided by a person"
        for column in columns
        if column.origin is ContractOrigin.PERSON
        and (held := before.get(column.name)) is not None
        and (held.kind, held.role, held.form) != (column.kind, column.role, column.form)
    )


def _reason(contract: DataContract, force: InForce) -> str:
    if force.accepted is not None and contract.version == force.accepted.version:
        return "nothing new"
    return first_of(contract.changes, 3, separator="; ")
