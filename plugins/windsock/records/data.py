"""Records of the data room: snapshot and validation."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from windsock.records.base import CheckResult, Digest, Moment, Record, RunContext, Span, Status
from windsock.records.value_form import ValueForm
from windsock.spec import ModelSpec
from windsock.spec.base import is_none
from windsock.spec.leak_suspects import LeakSuspect


class ColumnKind(StrEnum):
    """What a column's values are."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    DATETIME = "datetime"


class ColumnRole(StrEnum):
    """What a column is for."""

    FEATURE = "feature"
    TARGET = "target"
    ENTITY = "entity"
    EVENT_TIME = "event_time"
    SENSITIVE = "sensitive"
    IGNORED = "ignored"


READ_FREELY = "without the contract its values would be read as"
"""How a column's note began that said what :attr:`ColumnSchema.freely` and ``advice`` say now."""


class ColumnSchema(Record):
    """One column of a snapshot.

    :param name: the column's name in the source.
    :param kind: what its values are.
    :param role: what it is for.
    :param nulls: rows without a value.
    :param distinct: number of different values, without the missing ones.
    :param true_word: for a boolean that was text: the word that means true; else ``None``.
    :param false_word: for a boolean that was text: the word that means false; else ``None``.
    :param note: why it is read or used this way, where that is not plain; never a row's value.
    :param form: how its values are written.
    :param unread: rows whose value does not fit the kind and is missing for it; among ``nulls``.
    :param shapes: how values that do not fit look, the most frequent first; a digit is 9, a letter a.
    :param freely: where too many values do not fit what it means: the kind that they have by themselves.
    :param advice: what settles that, as a sentence for people.
    :param bare: of numbers with a sign of currency: rows without it; they count as numbers of that currency.
    :param unread_of: of a column that decides which rows are taken: values that it had before rows were left
        out, those that do not fit among them; ``unread`` and ``shapes`` are of these. 0: of the rows here.
    """

    name: str
    kind: ColumnKind
    role: ColumnRole = ColumnRole.FEATURE
    nulls: int = Field(default=0, ge=0)
    distinct: int = Field(default=0, ge=0)
    true_word: str | None = None
    false_word: str | None = None
    note: str = ""
    form: ValueForm = ValueForm()
    unread: int = Field(default=0, ge=0)
    shapes: tuple[str, ...] = ()
    unread_of: int = Field(default=0, ge=0)
    freely: str = Field(default="", exclude_if="".__eq__)
    advice: str = Field(default="", exclude_if="".__eq__)
    bare: int = Field(default=0, ge=0, exclude_if=(0).__eq__)

    @model_validator(mode="before")
    @classmethod
    def _from_a_note(cls, given: Any) -> Any:
        """Read a column as it was kept when its note said what does not fit."""
        note = given.get("note", "") if isinstance(given, dict) else ""
        if not isinstance(note, str) or not note.startswith(READ_FREELY):
            return given
        freely, _, advice = note.removeprefix(READ_FREELY).partition(";")
        return {**given, "note": "", "freely": freely.strip(), "advice": advice.strip()}

    def values_among(self, rows: int) -> int:
        """Return how many values there are among a snapshot's rows, or among those that it was taken from."""
        return self.unread_of or rows - self.nulls + self.unread


class TakeSnapshotInput(Record):
    """Input of ``take_snapshot``.

    :param window_end: end of the data window; default: the run's logical date, else now.
    :param data_window: overrides the spec's data window, such as ``30d``.
    :param recent: a stretch of the prediction log, by the server's clock: its labelled answers are mixed into
        the source's rows, and the model is judged on those of them that are held out.
    :param onset: since when the world is another one; where enough of the recent rows are younger, they are
        marked so.
    """

    spec: ModelSpec
    run: RunContext = RunContext()
    window_end: Moment | None = None
    data_window: str | None = None
    recent: Span | None = None
    onset: Moment | None = Field(default=None, exclude_if=is_none)

    @model_validator(mode="after")
    def _rows_since_the_onset_are_recent(self) -> Self:
        if self.onset is not None and self.recent is None:
            raise ValueError("an onset marks some of the recent rows; `recent` says which these are")
        return self


class DataSnapshot(Record):
    """An immutable copy of the rows that one training sees.

    :param model: the model's name.
    :param digest: content digest: schema and rows, whatever their order; same content, same digest.
    :param uri: folder under the storage root with the Parquet file and its manifest.
    :param rows: number of rows.
    :param columns: the columns, in the source's order.
    :param source: kind and place of the source, without credentials.
    :param findings: what was noticed and done while reading (blanks, types, ids, dates); never a row's value.
    :param window_start: earliest event time asked for, where there is a data window.
    :param window_end: latest event time asked for, where there is a data window.
    :param recent_rows: so many of the rows, the last ones, are recent: labelled answers of the prediction
        log.
    :param recent_start: from when these answers are, where there are any.
    :param recent_end: up to when.
    :param onset: since when the world is another one, where rows are marked so.
    :param onset_rows: so many of the rows, the last ones, are recent and younger than the onset.
    :param contract: version of the data contract that its columns were read by; 0: there was none yet.
    :param contract_digest: digest of that contract.
    :param unlabelled: rows of the source that were left out, for they have no target.
    :param taken_at: when the content was first stored.
    """

    model: str
    digest: Digest
    uri: str
    rows: int = Field(ge=0)
    columns: tuple[ColumnSchema, ...]
    source: str
    findings: tuple[str, ...] = ()
    window_start: Moment | None = None
    window_end: Moment | None = None
    recent_rows: int = Field(default=0, ge=0)
    recent_start: Moment | None = None
    recent_end: Moment | None = None
    onset: Moment | None = Field(default=None, exclude_if=is_none)
    onset_rows: int = Field(default=0, ge=0, exclude_if=(0).__eq__)
    contract: int = Field(default=0, ge=0)
    contract_digest: Digest | None = None
    unlabelled: int = Field(default=0, ge=0)
    taken_at: Moment

    @model_validator(mode="after")
    def _recent_rows_are_rows(self) -> Self:
        if self.recent_rows > self.rows:
            raise ValueError("more recent rows than rows")
        if self.onset_rows > self.recent_rows:
            raise ValueError("more rows since the onset than recent rows")
        return self

    @property
    def features(self) -> tuple[ColumnSchema, ...]:
        """The columns a model may learn from."""
        return tuple(column for column in self.columns if column.role is ColumnRole.FEATURE)

    def column(self, name: str) -> ColumnSchema | None:
        """Return a column by name, or ``None``."""
        return next((column for column in self.columns if column.name == name), None)


class ValidateDataInput(Record):
    """Input of ``validate_data``.

    :param dry_run: only judge; a snapshot that passes is not accepted.
    """

    spec: ModelSpec
    snapshot: DataSnapshot
    run: RunContext = RunContext()
    nonce: str | None = None
    dry_run: bool = False


class ValidationReport(Record):
    """Whether a snapshot may be trained on.

    :param snapshot_digest: the very snapshot that was checked.
    :param status: pass only if every check ran and passed.
    :param checks: every check that counts, with its result; never empty.
    :param remarks: passed expectations that were inferred from this very snapshot: they prove nothing and
        do not count.
    :param suite_digest: digest of the expectation suite that was used.
    :param suite_origin: ``file`` (include/expectations), ``accepted`` (the last accepted snapshot's: what is
        structural in it counts) or ``inferred`` (written from this snapshot).
    :param suite_uri: where the suite that was inferred lies for people to adopt; ``None`` for a file.
    :param asks: changes of the columns that a person has to decide about, one sentence each.
    :param suspects: what nearly gives the target away; the gate asks a person.
    """

    model: str
    snapshot_digest: Digest
    status: Status
    checks: tuple[CheckResult, ...] = Field(min_length=1)
    remarks: tuple[CheckResult, ...] = ()
    suite_digest: Digest
    suite_origin: str
    suite_uri: str | None = None
    asks: tuple[str, ...] = ()
    suspects: tuple[LeakSuspect, ...] = Field(default=(), exclude_if=().__eq__)

    @property
    def counted(self) -> str:
        """How many checks passed, and what does not count, in one phrase."""
        passed = len(self.checks) - len(self.failed)
        remark = f"; {len(self.remarks)} expectations inferred from this very snapshot prove nothing"
        return f"{passed} of {len(self.checks)} data checks passed{remark if self.remarks else ''}"

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)
