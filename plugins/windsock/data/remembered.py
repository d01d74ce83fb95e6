"""A snapshot beside the accepted ones, column by column, and what is found to be wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from windsock.data.read_columns import NUMERIC
from windsock.records import ColumnKind, ColumnStatistics, SnapshotStatistics
from windsock.spec import ModelSpec

History = Sequence[tuple[ColumnStatistics, SnapshotStatistics]]
"""One column in accepted snapshots, newest first, each with its snapshot."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that accepted snapshots do not explain.

    :param what: what was seen, in the accepted snapshots and now, and the limit; never a row's value.
    :param column: the column; empty for the whole table.
    :param value: the number that was seen.
    :param limit: what it is held against.
    :param n: rows or values behind it.
    """

    what: str
    column: str = ""
    value: float | None = None
    limit: float | None = None
    relation: Literal["<=", ">="] = "<="
    n: int = 0


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """A snapshot's statistics and those of the accepted ones, newest first; one accepted one at least."""

    spec: ModelSpec
    now: SnapshotStatistics
    accepted: tuple[SnapshotStatistics, ...]

    @property
    def whole(self) -> tuple[SnapshotStatistics, ...]:
        """The accepted snapshots of all rows of the source; none where the judged one is not of all."""
        return () if self.now.is_part else tuple(one for one in self.accepted if not one.is_part)

    def columns(self, *kinds: ColumnKind) -> Iterator[tuple[ColumnStatistics, History]]:
        """Return columns that the model uses and the last accepted snapshot had, with their history.

        A column that came or went is none of them: the data contract asks about those. One whose kind people
        have changed has a history from then on.

        :param kinds: only columns of these kinds.
        """
        before = [{column.name: column for column in one.columns} for one in self.accepted]
        for column in self.now.columns:
            if not self._is_used(column.name) or (kinds and column.kind not in kinds):
                continue
            history = list(_as_long_as_there(column, zip(before, self.accepted, strict=True)))
            if history:
                yield column, history

    def _is_used(self, name: str) -> bool:
        data = self.spec.data
        if name in (data.target, data.entity, data.event_time) or name in data.sensitive:
            return True
        return name not in data.exclude and (not data.features or name in data.features)


def _as_long_as_there(
    now: ColumnStatistics, before: Iterable[tuple[dict[str, ColumnStatistics], SnapshotStatistics]]
) -> Iterator[tuple[ColumnStatistics, SnapshotStatistics]]:
    for columns, snapshot in before:
        column = columns.get(now.name)
        if column is None or not (column.kind is now.kind or {column.kind, now.kind} <= NUMERIC):
            return
        yield column, snapshot


def known_rows(column: ColumnStatistics, snapshot: SnapshotStatistics) -> int:
    """Return in how many rows a column has a value."""
    return round((1 - column.nulls) * snapshot.rows)
