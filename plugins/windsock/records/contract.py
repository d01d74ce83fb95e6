"""The data contract: what a model's columns mean, decided once and held from then on."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from windsock.records.base import Digest, Moment, Record
from windsock.records.data import ColumnKind, ColumnRole
from windsock.records.value_form import ValueForm

MAX_WORDS = 1_000
"""So many words of a category are remembered; of a column with more, none are."""


CONTRACT_CODES = ("WS-DATA-14",)
"""How the codes of checks begin that hold a snapshot against its contract; they speak in sentences."""


class ContractOrigin(StrEnum):
    """Who decided what a column means."""

    INFERRED = "inferred"
    CHAMPION = "champion"
    PERSON = "person"


class ContractColumn(Record):
    """What one column means.

    :param name: its name in the source.
    :param kind: what its values are.
    :param role: what it is for.
    :param true_word: for a boolean that is text: the word that means true.
    :param false_word: for a boolean that is text: the word that means false.
    :param form: how its values are written.
    :param classes: of a target with classes: their words, as the source writes them.
    :param words: of a category with few values: those that have been seen; empty: not remembered.
    :param unique: whether each row has a value of its own; held for the entity.
    :param origin: who decided it.
    """

    name: str
    kind: ColumnKind
    role: ColumnRole = ColumnRole.FEATURE
    true_word: str | None = None
    false_word: str | None = None
    form: ValueForm = ValueForm()
    classes: tuple[str, ...] = ()
    words: tuple[str, ...] = Field(default=(), max_length=MAX_WORDS)
    unique: bool = False
    origin: ContractOrigin = ContractOrigin.INFERRED


class DataContract(Record):
    """What the columns of a model's source mean; each accepted change makes the next version.

    :param model: the model's name.
    :param version: 1 for the first one.
    :param columns: the columns, in the source's order.
    :param positive: of a target with two classes: the word of the class that scores are for.
    :param snapshot_digest: the accepted snapshot that it was made with; ``None`` where a person wrote it.
    :param changes: what is new in this version, one sentence each.
    :param decided_at: when it was made.
    """

    model: str
    version: int = Field(ge=1)
    columns: tuple[ContractColumn, ...]
    positive: str | None = None
    snapshot_digest: Digest | None = None
    changes: tuple[str, ...] = ()
    decided_at: Moment

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError("a column stands twice in the contract")
        return self

    def column(self, name: str) -> ContractColumn | None:
        """Return a column by name, or ``None``."""
        return next((column for column in self.columns if column.name == name), None)


class NumberStatistics(Record):
    """A column of numbers in one snapshot: moments and quantiles, without the missing values.

    :param quantiles: at 0, 1, 5, 25, 50, 75, 95, 99 and 100 per cent.
    """

    mean: float
    sd: float
    quantiles: tuple[float, ...]


class ColumnStatistics(Record):
    """One column of an accepted snapshot, as later ones are held against it.

    :param kind: what its values are.
    :param nulls: share of rows without a value.
    :param unread: share of rows whose value could not be read.
    :param distinct: number of different values.
    :param number: of numbers (integers too; of times as seconds since 1970).
    :param shares: of categories, booleans and whole numbers with few different values: share of the most
        frequent words, at most 50; a word in fewer than 5 rows is none of them.
    """

    name: str
    kind: ColumnKind
    nulls: float = Field(ge=0, le=1)
    unread: float = Field(default=0, ge=0, le=1)
    distinct: int = Field(ge=0)
    number: NumberStatistics | None = None
    shares: dict[str, float] = Field(default_factory=dict)


class SnapshotStatistics(Record):
    """What an accepted snapshot looked like; made of its source's rows, without recent ones.

    :param copies: share of rows that are copies of another one.
    :param suite_digest: the expectation suite that it passed.
    :param is_part: whether its rows are only some of the source's: recent ones were mixed in for the others.
    """

    model: str
    snapshot_digest: Digest
    rows: int = Field(ge=0)
    copies: float = Field(ge=0, le=1)
    columns: tuple[ColumnStatistics, ...]
    suite_digest: Digest | None = None
    is_part: bool = False
    taken_at: Moment

    def column(self, name: str) -> ColumnStatistics | None:
        """Return a column by name, or ``None``."""
        return next((column for column in self.columns if column.name == name), None)
