"""Ports: what a model learns from: its source, its snapshots, its expectations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from windsock.records import (
    CheckResult,
    ColumnSchema,
    DataContract,
    DataSnapshot,
    Digest,
    SnapshotStatistics,
    ValueForm,
)
from windsock.spec import Source

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SourceRead:
    """What a source gave.

    :param frame: the rows as the source has them; every column of a CSV is text, blanks are empty strings.
    :param described: kind and place, without credentials, for records and logs.
    :param form: how its text stands for values, as far as the source's keys or the file itself say so; only
        what is set in it is known. ``None``: nothing is.
    :param lines: rows that a file's lines promise; ``None`` where there are no lines.
    :param findings: what was noticed while reading; never a row's value.
    """

    frame: pd.DataFrame
    described: str
    form: ValueForm | None = None
    lines: int | None = None
    findings: tuple[str, ...] = ()


class SourceReader(Protocol):
    """Reads a model's rows from wherever they are."""

    def read(self, source: Source) -> SourceRead:
        """Read all rows.

        :raises DataRefusedError: if the source is wrong for good: missing, empty, duplicate column names.
        :raises SourceUnavailableError: if it did not answer.
        :raises NotBuiltError: if the kind cannot be read yet.
        """
        ...


class SnapshotStore(Protocol):
    """Keeps snapshots by content under the storage root."""

    def find(self, model: str, digest: str) -> DataSnapshot | None:
        """Return the stored snapshot of this content, or ``None``."""
        ...

    def latest(self, model: str) -> DataSnapshot | None:
        """Return the snapshot that was stored last, to tell what has changed since, or ``None``."""
        ...

    def put(self, snapshot: DataSnapshot, frame: pd.DataFrame) -> DataSnapshot:
        """Write the rows and, last, the manifest; return the record with its ``uri``.

        If the content is there already, nothing is written and the first record is returned.

        :raises StorageError: if it cannot be written; nothing half-written is left.
        """
        ...

    def load(self, snapshot: DataSnapshot) -> pd.DataFrame:
        """Read the rows back, after they were checked against the snapshot's digest.

        :raises StorageError: if they cannot be read.
        :raises UnverifiedSnapshotError: if they are not what was written.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Suite:
    """An expectation suite.

    :param content: the suite in Great Expectations' JSON form: ``{"name", "expectations": [{"type",
        "kwargs"}]}``.
    :param origin: ``file``, ``inferred``, or ``accepted``: inferred from an accepted snapshot.
    :param uri: where it lies.
    :param digest: of the document, where only a part of it is in ``content``.
    """

    content: Mapping[str, Any]
    origin: str
    uri: str | None = None
    digest: Digest | None = None


class ExpectationEngine(Protocol):
    """Checks a frame against an expectation suite."""

    def suite(self, model: str) -> Suite | None:
        """Return the suite that people wrote for this model, or ``None``.

        :raises DataRefusedError: if the file is no suite.
        """
        ...

    def infer(self, model: str, frame: pd.DataFrame, columns: Sequence[ColumnSchema]) -> Suite:
        """Write a suite from a frame, keep it under the storage root by its digest for people to adopt."""
        ...

    def accepted(self, model: str, digest: Digest) -> Suite | None:
        """Return what is structural in a suite that was kept: types, and the columns that have no nulls.

        :returns: ``None`` if no suite of this digest was kept, such as one that people wrote.
        :raises StorageError: if it cannot be read.
        :raises UnverifiedSnapshotError: if it is not what the digest stands for.
        """
        ...

    def check(self, frame: pd.DataFrame, suite: Suite) -> tuple[CheckResult, ...]:
        """Run the suite; one result for each expectation. One that raised has status error, never pass."""
        ...


class ContractStore(Protocol):
    """Keeps data contracts and the statistics of accepted snapshots; the ledger says which ones count."""

    def written_by_people(self, model: str) -> DataContract | None:
        """Return the contract that people keep for this model in ``include/contracts``, or ``None``.

        :raises DataRefusedError: if the file is no contract.
        """
        ...

    def put(self, document: DataContract | SnapshotStatistics) -> tuple[str, Digest]:
        """Write a document by its content; return where it lies, and its digest.

        :raises StorageError: if it cannot be written; nothing half-written is left.
        """
        ...

    def contract(self, uri: str, digest: Digest) -> DataContract:
        """Read a contract back.

        :raises StorageError: if the storage does not answer; it is tried again.
        :raises UnverifiedSnapshotError: if it is not there, or not what the digest stands for.
        """
        ...

    def statistics(self, uri: str, digest: Digest) -> SnapshotStatistics:
        """Read a snapshot's statistics back; it raises as :meth:`contract` does."""
        ...
