"""What is counted: a profile's columns, ready for counting; and counts of nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import gt

from windsock.adapters.column_cipher import ColumnCipher
from windsock.records import WITHDRAWN, ColumnKind, ColumnProfile, DriftProfile
from windsock.statistics.clusters import bin_ends
from windsock.statistics.counting import LATENCY_EDGES, NUMERIC, ColumnCounts, WindowCounts
from windsock.statistics.rare_values import BUCKETS
from windsock.statistics.ties import Cuts, cuts_of, has_ties

SHADOW = "shadow"


def fallbacks_of(arms: Mapping[str, int] | Mapping[str | None, int]) -> int:
    """Return the rows that another version answered than their own, because that one failed.

    Rows of a challenger that its rollout dropped are none: the champion answers them by plan.

    :param arms: rows by their ``fallback_for``.
    """
    return sum(rows for arm, rows in arms.items() if arm is not None and not arm.startswith(WITHDRAWN))


@dataclass(frozen=True)
class Plan:
    """A bundle's profile, and what is needed to count rows against it.

    :param digest: the bundle.
    :param cipher: reads sensitive values; ``None``: they are counted as unreadable.
    :param key: what tells one log key from another; empty where there is none.
    """

    digest: str
    profile: DriftProfile
    cipher: ColumnCipher | None = None
    key: str = ""

    @cached_property
    def names(self) -> list[str]:
        """Names of the features."""
        return [column.name for column in self.profile.columns]

    @cached_property
    def cuts(self) -> Mapping[int, Cuts]:
        """Where the columns that are numbers are cut, by identity of the column."""
        return {id(column): cuts_of(column) for column in self.columns}

    @cached_property
    def ends(self) -> Mapping[int, tuple[float, ...]]:
        """Ends of the coarse bins of the columns that are numbers, by identity of the column."""
        numeric = (column for column in self.columns if column.kind in NUMERIC)
        return {id(column): tuple(bin_ends(column).tolist()) for column in numeric}

    @cached_property
    def places(self) -> Mapping[int, Mapping[str, int]]:
        """Place of each category in the profile's order, by identity of the column."""
        return {
            id(column): {name: place for place, name in enumerate(column.categories)}
            for column in self.columns
        }

    @property
    def columns(self) -> tuple[ColumnProfile, ...]:
        """The features, and the scores where the profile has them."""
        score = self.profile.score
        return self.profile.columns if score is None else (*self.profile.columns, score)

    @property
    def has_classes(self) -> bool | None:
        """Whether predictions are classes; ``None`` where the profile does not say."""
        target = self.profile.target
        return None if target is None else target.kind not in NUMERIC

    @cached_property
    def profile_digest(self) -> str:
        """Digest of what decides the counts: names, kinds, edges, categories."""
        import numpy as np

        made = hashlib.sha256()
        for column in self.columns:
            for text in (column.name, column.kind.value, column.true_word or "", *column.categories):
                content = text.encode("utf-8", "surrogatepass")
                made.update(len(content).to_bytes(8, "little") + content)
            made.update(np.array(column.edges, dtype="float64").tobytes() + b";")
            if has_ties(column):  # exact edges have the digest that they always had
                made.update(b"ties" + bytes(map(gt, column.up_to, (one + 1 for one in column.below))))
            made.update(b"buckets" if column.many is not None else b"")
        made.update(np.array(LATENCY_EDGES).tobytes())
        made.update(b"scores" if self.profile.score is not None else b"")
        made.update(str(self.has_classes).encode())
        return made.hexdigest()

    def nothing(self) -> WindowCounts:
        """Return the counts of no rows."""
        score = self.profile.score
        return WindowCounts(
            rows=0,
            columns={column.name: no_rows(column) for column in self.profile.columns},
            scores=None if score is None else no_rows(score),
            latency=(0,) * (len(LATENCY_EDGES) + 1),
        )


def no_rows(column: ColumnProfile, *, nulls: int = 0, absent: int = 0, unreadable: int = 0) -> ColumnCounts:
    """Return the counts of rows of which none has a usable value."""
    import numpy as np

    zeros = np.zeros(len(column.edges), dtype=np.int64)
    is_number = column.kind in NUMERIC
    is_named = column.kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN)
    return ColumnCounts(
        rows=0,
        nulls=nulls,
        absent=absent,
        unreadable=unreadable,
        below=zeros if is_number else None,
        up_to=zeros if is_number else None,
        named=np.zeros(len(column.categories), dtype=np.int64) if is_named else None,
        rest=None if column.many is None else np.zeros(BUCKETS, dtype=np.int64),
    )
