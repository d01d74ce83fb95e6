"""Which data contract is in force for a model, and who decided it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from windsock.data.accepted_documents import (
    accepted_contract_of,
    accepted_statistics,
    unproven_since_promotion,
)
from windsock.exceptions import DataRefusedError, LostBundleError, UnverifiedBundleError
from windsock.ports import Ports
from windsock.records import (
    Answer,
    ColumnKind,
    ColumnRole,
    ContractColumn,
    ContractOrigin,
    DataContract,
    Digest,
    InputSchema,
    LedgerAction,
    LedgerRow,
    ValueForm,
    champion_of,
)
from windsock.records.contract_file import (
    UNDATED,
    column_by_people,
    form_by_people,
    form_by_source,
    form_with_known,
)
from windsock.records.values import category_text
from windsock.spec import ModelSpec, digest_of

REMEMBERED = 30
"""So many accepted snapshots are what a new one is held against."""
KEYED = {ColumnRole.TARGET: "target", ColumnRole.ENTITY: "entity", ColumnRole.EVENT_TIME: "event_time"}
"""Roles that the model's file gives by a key of their own."""


class InForce(NamedTuple):
    """The contract that a model's rows are read by and held against.

    :param contract: every column whose meaning is decided; ``None``: none is, the data decide.
    :param accepted: the contract of the last accepted snapshot; ``None``: none was accepted yet.
    :param history: rows of the ledger about accepted snapshots, the newest first, each snapshot once.
    :param forms: how values are written in columns of which only that was decided.
    :param loose: columns whose role people decided once and have taken back since.
    :param champion: fields of the champion by name; ``None``: there is none, or it cannot be read.
    :param findings: what was noticed on the way.
    :param newest: the version that was accepted last, whether it can be read or not; 0: none was.
    :param lost: which accepted contracts cannot be read, one sentence; empty: none is lost.
    :param unproven: what was lost, now or since the last promotion; a person has to answer for it.
    """

    contract: DataContract | None = None
    accepted: DataContract | None = None
    history: tuple[LedgerRow, ...] = ()
    forms: dict[str, ValueForm] = {}
    loose: frozenset[str] = frozenset()
    champion: frozenset[str] | None = None
    findings: tuple[str, ...] = ()
    newest: int = 0
    lost: str = ""
    unproven: tuple[str, ...] = ()

    def column(self, name: str) -> ContractColumn | None:
        """Return what a column means, or ``None`` where nobody decided it."""
        return self.contract.column(name) if self.contract else None

    def role(self, name: str) -> ColumnRole | None:
        """Return the role that a column keeps where the model's file gives it none."""
        column = self.column(name)
        if column is None or column.role in KEYED or name in self.loose:
            return None
        return column.role

    @property
    def row(self) -> LedgerRow | None:
        """The row of the ledger that says which contract was accepted last, or ``None``."""
        return self.history[0] if self.history else None

    @property
    def version(self) -> int:
        """The contract's version; 0: there is none."""
        return self.contract.version if self.contract else 0

    @property
    def digest(self) -> Digest | None:
        """Digest of the contract, or ``None``."""
        return self.contract.content_digest() if self.contract else None

    @property
    def renamed(self) -> frozenset[str]:
        """The target, where people have listed other classes since a snapshot was accepted."""
        before = {column.name: column.classes for column in self.accepted.columns} if self.accepted else {}
        columns = self.contract.columns if self.contract else ()
        return frozenset(
            column.name
            for column in columns
            if column.classes and before.get(column.name) and set(column.classes) - set(before[column.name])
        )

    @property
    def is_decided(self) -> bool:
        """Whether an accepted snapshot or a person decided any of it, and not the champion alone."""
        columns = self.contract.columns if self.contract else ()
        return self.accepted is not None or any(
            column.origin is not ContractOrigin.CHAMPION for column in columns
        )

    @property
    def meaning(self) -> Digest:
        """Digest of what the contract says, whatever its version and date are."""
        if self.contract is None:
            return "none"
        said = self.contract.model_dump(mode="json", include={"columns", "positive"})
        return digest_of({**said, "loose": sorted(self.loose)})


def contract_in_force(spec: ModelSpec, ports: Ports, *, judged: Digest | None = None) -> InForce:
    """Return the contract that holds for a model now.

    What the model's file says of a column counts over the file in ``include/contracts``, that over the
    contract of the last accepted snapshot, and that over the champion's schema. Where that contract
    is lost, the newest one that is whole holds, and the findings say so.

    :param judged: a snapshot that is being judged: its own acceptance, by a run before, does not count, so
        that the same snapshot is judged by the same contract again.
    :raises DataRefusedError: if the file in ``include/contracts`` cannot be used.
    :raises StorageError: if the storage does not answer.
    """
    rows = _rows_before(ports.ledger.rows(spec.name), judged)
    history = accepted_before(rows)
    accepted, newest, lost = accepted_contract_of(rows, ports)
    champion, findings = _champion_columns(spec, rows, ports)
    columns = {column.name: column for column in accepted.columns} if accepted else {}
    columns |= {column.name: column for column in champion or () if column.name not in columns}
    by_people, positive = _by_people(spec, ports, columns)
    loose = frozenset(
        name
        for name, column in columns.items()
        if column.origin is ContractOrigin.PERSON
        and column.role is ColumnRole.IGNORED
        and name not in by_people.roles
    )
    columns |= by_people.columns
    base = accepted or DataContract(model=spec.name, version=newest + 1, columns=(), decided_at=UNDATED)
    composed = (tuple(columns.values()), positive or base.positive)
    if composed != (base.columns, base.positive):
        base = base.replace(columns=composed[0], positive=composed[1])
    return InForce(
        contract=base if accepted or base.columns else None,
        accepted=accepted,
        history=history,
        forms=by_people.forms,
        loose=loose,
        champion=None if champion is None else frozenset(column.name for column in champion),
        findings=(*([lost] if lost else []), *findings),
        newest=newest,
        lost=lost,
        unproven=tuple(dict.fromkeys((*unproven_since_promotion(rows), *([lost] if lost else [])))),
    )


def accepted_before(rows: Sequence[LedgerRow]) -> tuple[LedgerRow, ...]:
    """Return the rows of accepted snapshots, the newest first, each snapshot once, at most ``REMEMBERED``."""
    found: dict[str, LedgerRow] = {}
    for row in reversed(rows):
        if row.action is LedgerAction.ACCEPT and len(found) < REMEMBERED:
            found.setdefault(row.body["snapshot_digest"], row)
    return tuple(found.values())


def _rows_before(rows: Sequence[LedgerRow], judged: Digest | None) -> Sequence[LedgerRow]:
    """Return the rows up to where a snapshot was accepted, unless another one has been since."""
    if judged is None:
        return rows
    end = len(rows)
    for place in range(len(rows) - 1, -1, -1):
        if rows[place].action is not LedgerAction.ACCEPT:
            continue
        if rows[place].body["snapshot_digest"] != judged:
            break
        end = place
    return rows[:end]


class _ByPeople(NamedTuple):
    columns: dict[str, ContractColumn]
    forms: dict[str, ValueForm]
    roles: frozenset[str]


def _by_people(
    spec: ModelSpec, ports: Ports, held: dict[str, ContractColumn]
) -> tuple[_ByPeople, str | None]:
    """Return what people decided: in the contract's file, and over it in the model's.

    Of the model's file what it says of all columns (``data.source``) comes before what it says of one.
    """
    written = ports.contracts.written_by_people(spec.name)
    columns: dict[str, ContractColumn] = {}
    for column in written.columns if written else ():
        _require_same_role(column, spec)
        known = held.get(column.name)
        if known is not None and known.kind is column.kind:
            column = column.replace(
                words=known.words,
                classes=column.classes or known.classes,
                form=form_with_known(column.form, known.form),
            )
        columns[column.name] = column
    roles = set(columns)
    columns |= _by_source(spec, {**held, **columns})
    forms: dict[str, ValueForm] = {}
    for name, block in spec.data.columns.items():
        decided = column_by_people(name, block, columns.get(name, held.get(name)))
        if decided is None:
            forms[name] = form_by_people(block, ValueForm())
        else:
            columns[name] = decided
        if block.role:
            roles.add(name)
    return _ByPeople(columns, forms, frozenset(roles)), written.positive if written else None


def _by_source(spec: ModelSpec, held: dict[str, ContractColumn]) -> dict[str, ContractColumn]:
    """Return the columns that are written otherwise by the keys of ``data.source`` than they are held."""
    decided = {}
    for name, column in held.items():
        form = form_by_source(spec.data.source, column.kind, column.form)
        if form != column.form:
            ignored = column.role is ColumnRole.IGNORED  # its role stays the data's
            origin = column.origin if ignored else ContractOrigin.PERSON
            decided[name] = column.replace(form=form, origin=origin)
    return decided


def _require_same_role(column: ContractColumn, spec: ModelSpec) -> None:
    if (key := KEYED.get(column.role)) is None or getattr(spec.data, key) == column.name:
        return
    raise DataRefusedError(
        f"include/contracts/{spec.name}.yaml gives column {column.name!r} the role {column.role.value}; "
        f"data.{key} of the model's file names {getattr(spec.data, key)!r}",
        code="WS-DATA-071",
        next_action=f"Write one column in both, or remove the role {column.role.value} from the contract.",
    )


def _champion_columns(
    spec: ModelSpec, rows: Sequence[LedgerRow], ports: Ports
) -> tuple[tuple[ContractColumn, ...] | None, tuple[str, ...]]:
    champion = champion_of(rows)
    if champion is None:
        return None, ()
    try:
        schema = ports.bundles.describe(champion.bundle_uri, champion.digest).schema
    except LostBundleError as error:
        return None, (f"the champion's schema does not count: {error.code}, its bundle is gone",)
    except UnverifiedBundleError as error:
        return None, (f"the champion's schema does not count: {error.code}, its bundle cannot be verified",)
    return columns_of_champion(schema, spec), ()


def columns_of_champion(schema: InputSchema, spec: ModelSpec) -> tuple[ContractColumn, ...]:
    """Return what a champion's columns mean: its fields, and its target where that has classes."""
    fields = tuple(
        ContractColumn(
            name=field.name,
            kind=field.kind,
            true_word=field.true_word,
            false_word=field.false_word,
            form=field.form or ValueForm(),
            origin=ContractOrigin.CHAMPION,
        )
        for field in schema.fields
        if field.name != spec.data.target
    )
    if schema.answer is not Answer.CLASS or spec.task != "classification":
        return fields
    kinds = {bool: ColumnKind.BOOLEAN, int: ColumnKind.INTEGER, float: ColumnKind.NUMBER}
    kind = kinds.get(type(schema.classes[0]), ColumnKind.CATEGORY)
    words = (schema.label_words if kind is ColumnKind.BOOLEAN else None) or (None, None)
    target = ContractColumn(
        name=spec.data.target,
        kind=kind,
        role=ColumnRole.TARGET,
        true_word=words[0],
        false_word=words[1],
        classes=() if kind is ColumnKind.BOOLEAN else tuple(category_text(label) for label in schema.classes),
        origin=ContractOrigin.CHAMPION,
    )
    return (*fields, target)


def require_contract(spec: ModelSpec, ports: Ports) -> tuple[DataContract, tuple[str, ...]]:
    """Return the contract in force, and what is missing of the accepted ones.

    :raises DataRefusedError: if nobody has decided anything about the model's columns yet.
    """
    force = contract_in_force(spec, ports)
    if force.contract is None:
        why = force.lost or "none of its snapshots passed validation"
        raise DataRefusedError(
            f"{spec.name} has no data contract{' that can be read' if force.lost else ' yet'}: {why}",
            code="WS-DATA-072",
            next_action="Run its retrain DAG, or write `data.columns` in the model's file.",
        )
    statistics = accepted_statistics(force.history, ports)
    said = (*force.findings, *force.unproven, *([statistics.lost] if statistics.lost else []))
    return force.contract, tuple(dict.fromkeys(said))
