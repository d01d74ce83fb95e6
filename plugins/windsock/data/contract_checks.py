"""A snapshot held against the data contract: what fails, what is recorded, and what a person is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.data.code_words import rewritten_codes
from windsock.data.contract import InForce
from windsock.data.read_columns import NUMERIC
from windsock.data.roles import listed
from windsock.data.target_contract import target_checks, words_of
from windsock.records import (
    CheckResult,
    ColumnRole,
    ColumnSchema,
    ContractColumn,
    DataContract,
    DataSnapshot,
    Status,
)
from windsock.records.values import MOST_UNREAD
from windsock.spec import ModelSpec
from windsock.texts import first_of

if TYPE_CHECKING:
    import pandas as pd


class Comparison(NamedTuple):
    """What a snapshot came to under the contract.

    :param checks: those that count; none where there is no contract yet.
    :param recorded: changes of the kind that data make every day, one sentence each.
    :param asks: what a person has to decide, one sentence each.
    :param unsettled: the new columns among them; they are no part of the contract yet.
    :param unread: columns of which too many values could not be read: nothing else is said of these values.
    """

    checks: tuple[CheckResult, ...] = ()
    recorded: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    unsettled: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()

    @property
    def failed(self) -> frozenset[str]:
        """The columns that the contract says no to."""
        return frozenset(check.name.partition(":")[2] for check in self.checks if not check.passed)


def is_flipped(column: ColumnSchema, rows: int) -> bool:
    """Return whether so many values do not fit a column's kind that it means something else.

    A target is never guessed at: one value is enough.

    :param rows: of the source, before recent ones are mixed in.
    """
    known = column.values_among(rows)
    most = 0 if column.role is ColumnRole.TARGET else MOST_UNREAD * known
    return column.unread > most


def hold_against(force: InForce, spec: ModelSpec, snapshot: DataSnapshot, frame: pd.DataFrame) -> Comparison:
    """Compare a snapshot with the contract in force.

    :param frame: its rows; those of the source come first.
    """
    source = frame.iloc[: len(frame) - snapshot.recent_rows]
    if force.contract is None:
        return Comparison(tuple(_listed_classes(force, spec, snapshot, source)))
    is_known = force.accepted is not None or force.champion is not None
    checks: list[CheckResult] = list(_listed_classes(force, spec, snapshot, source))
    recorded: list[str] = []
    for column in snapshot.columns:
        held = force.contract.column(column.name)
        if held is None or column.name not in source:
            continue
        found = tuple(_column_checks(held, column, source[column.name], force, spec))
        checks += found
        recorded += _recorded(held, column, source[column.name]) if not found else ()
    gone = _gone(force, snapshot) if is_known else NOTHING
    new = _new(force, spec, snapshot) if is_known else NOTHING
    recorded += [f"{name}: gone; the model did not use it" for name in gone.unused]
    recorded += [f"{name}: new; the model does not use it" for name in new.unused]
    asks = (
        *(f"column {name} is gone: a version without it no longer uses it" for name in gone.asked),
        *(f"column {name} is new: a version with it would use it" for name in new.asked),
    )
    passed = CheckResult(
        name="contract",
        status=Status.PASS,
        code="WS-DATA-140",
        n=len(source),
        message=_summary(force.contract, recorded, asks),
    )
    unread = frozenset(column.name for column in snapshot.columns if _is_unread(column))
    return Comparison(tuple(checks) or (passed,), tuple(recorded), asks, frozenset(new.asked), unread)


def _listed_classes(
    force: InForce, spec: ModelSpec, snapshot: DataSnapshot, source: pd.DataFrame
) -> Iterator[CheckResult]:
    """Yield what fails of a target that nobody knows yet but for the classes that the model's file lists."""
    column, block = snapshot.column(spec.data.target), spec.data.columns.get(spec.data.target)
    if block is None or not block.classes or column is None or force.column(column.name) is not None:
        return
    listed_ones = ContractColumn(name=column.name, kind=column.kind, classes=block.classes)
    yield from target_checks(listed_ones, column, source[column.name], force, spec)


class _Names(NamedTuple):
    asked: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


NOTHING = _Names()
"""Of a first snapshot no column is new or gone, whatever the model's file says of some of them."""


def _gone(force: InForce, snapshot: DataSnapshot) -> _Names:
    there = {column.name for column in snapshot.columns}
    gone = [column for column in force.contract.columns if column.name not in there] if force.contract else []
    unused = [one.name for one in gone if one.role is ColumnRole.IGNORED or is_settled(one, force)]
    return _Names(tuple(column.name for column in gone if column.name not in unused), tuple(unused))


def is_settled(held: ContractColumn, force: InForce) -> bool:
    """Return whether a column that is gone has been settled: the champion does without it."""
    fields_alone = held.role is ColumnRole.FEATURE
    return fields_alone and force.champion is not None and held.name not in force.champion


def _new(force: InForce, spec: ModelSpec, snapshot: DataSnapshot) -> _Names:
    """Return the new columns; those that the model's file names have been decided by a person."""
    decided = {*spec.data.features, *spec.data.sensitive, *spec.data.exclude, *force.forms}
    new = [column for column in snapshot.columns if force.column(column.name) is None]
    asked = [
        column.name for column in new if column.role is ColumnRole.FEATURE and column.name not in decided
    ]
    unused = [column.name for column in new if column.role is ColumnRole.IGNORED]
    return _Names(tuple(asked), tuple(unused))


def _is_unread(column: ColumnSchema) -> bool:
    """Return whether too many values of a column that counts do not fit what it means."""
    return bool(column.freely) and (column.role is not ColumnRole.IGNORED or column.unread_of > 0)


def _column_checks(
    held: ContractColumn,
    column: ColumnSchema,
    values: pd.Series[Any],
    force: InForce,
    spec: ModelSpec,
) -> Iterator[CheckResult]:
    """Yield what fails of one column."""
    contract = force.contract
    if contract is None or (column.role is ColumnRole.IGNORED and not column.unread_of):
        return
    if _is_unread(column):
        yield _flipped(held, column, values, contract)
    elif column.kind is not held.kind and not {column.kind, held.kind} <= NUMERIC:
        yield CheckResult(
            name=f"contract_kind:{column.name}",
            status=Status.FAIL,
            code="WS-DATA-142",
            n=len(values),
            message=(
                f"{column.name} is {held.kind.value} by contract {contract.version}, and was read as "
                f"{column.kind.value}: the contract changed since; take the snapshot again"
            ),
        )
    elif column.role is ColumnRole.TARGET and spec.task == "classification":
        yield from target_checks(held, column, values, force, spec)
    elif (rewritten := rewritten_codes(held, column, values)) is not None:
        yield rewritten
    if column.role is ColumnRole.ENTITY and held.unique and (repeats := _repeats(values)):
        yield CheckResult(
            name=f"contract_unique:{column.name}",
            status=Status.FAIL,
            code="WS-DATA-144",
            value=repeats,
            limit=0,
            relation="==",
            n=len(values),
            message=(
                f"{column.name} had a value of its own in each row by contract {contract.version}; "
                f"{repeats:,} of {len(values):,} rows repeat one now. If that is meant, write "
                f"data.columns.{column.name}.unique: false"
            ),
        )


def _flipped(
    held: ContractColumn, column: ColumnSchema, values: pd.Series[Any], contract: DataContract
) -> CheckResult:
    known = column.unread_of or int(values.notna().sum()) + column.unread
    share = column.unread / known
    return CheckResult(
        name=f"contract_kind:{column.name}",
        status=Status.FAIL,
        code="WS-DATA-141",
        value=share,
        limit=0 if column.role is ColumnRole.TARGET else MOST_UNREAD,
        relation="<=",
        n=known,
        message=(
            f"{column.name} is {held.kind.value} by contract {contract.version}; {column.unread:,} of "
            f"{known:,} values ({share:.1%}) do not fit and look like {', '.join(column.shapes)}; "
            f"{column.advice or f'now it would be read as {column.freely}'}"
        ),
    )


def _repeats(values: pd.Series[Any]) -> int:
    return int(values.dropna().duplicated().sum())


def _recorded(held: ContractColumn, column: ColumnSchema, values: pd.Series[Any]) -> Iterator[str]:
    name = column.name
    if column.unread:
        yield (
            f"{name}: {column.unread:,} of {column.unread_of or len(values):,} values do not fit "
            f"{held.kind.value} and count as missing; they look like {', '.join(column.shapes)}"
        )
    if column.bare:
        yield f"{name}: {column.bare:,} values have no sign of {column.form.currency or 'currency'}"
    if column.form.currency and held.form.unit == "currency" and not held.form.currency:
        yield f"{name}: in {column.form.currency} from now on"
    if column.kind is not held.kind and {column.kind, held.kind} <= NUMERIC:
        yield f"{name}: whole numbers until now, numbers with decimals from now on"
    if column.role is not held.role:
        yield f"{name}: {column.role.value} by the model's file, was {held.role.value}"
    known = held.classes if column.role is ColumnRole.TARGET else held.words
    if not known:
        return
    seen = set(words_of(values, column))
    what = "classes" if column.role is ColumnRole.TARGET else "words"
    if new := len(seen - set(known)):
        yield f"{name}: {new:,} {what} that were never seen before"
    if absent := len(set(known) - seen):
        yield f"{name}: {absent:,} of {len(known):,} {what} are missing"


def _summary(contract: DataContract, recorded: list[str], asks: tuple[str, ...]) -> str:
    said = f"as contract {contract.version} has it"
    if recorded:
        said += f"; recorded: {first_of(recorded, 10, separator='; ')}"
    return f"{said}; to be asked: {listed(list(asks))}" if asks else said
