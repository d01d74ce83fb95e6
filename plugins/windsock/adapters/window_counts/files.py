"""Stored counts: ``counts/MODEL/DIGEST12/DAY/HOUR.counts`` and ``day.counts`` below the storage root.

A file is a magic word with the version of this format, a checksum, a header in JSON, and two compressed
vectors: whole numbers, each as the difference from the one before, and the lowest and highest of each number;
where rows have units a third one, of the columns' tables by group of units and bin.
Counts of the same profile have vectors of the same length, so any window is a sum of vectors.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.adapters.storage import Storage
from windsock.adapters.window_counts.plan import Plan, no_rows
from windsock.exceptions import StorageError
from windsock.records import ColumnProfile
from windsock.statistics.clusters import BINS, GROUPS
from windsock.statistics.counting import LATENCY_EDGES, ColumnCounts, WindowCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

FOLDER = "counts"
SUFFIX = ".counts"
DAY = f"day{SUFFIX}"
MAGIC, WITH_UNITS = b"WSCOUNT1", b"WSCOUNT2"
"""Of counts without units, and of those with: a version of before counts the latter again."""
CHECKSUM = 16
ARRAYS = ("below", "up_to", "named", "rest")
SCALARS = ("rows", "nulls", "absent", "unreadable", "unseen")


class DamagedCountsError(ValueError):
    """A file is no counts of this bundle, profile and stretch."""


@dataclass
class Totals:
    """Counts as vectors, to be added up.

    :param whole: all whole numbers of the columns, and the latencies; int64.
    :param lowest: of each column; infinity where there is no number.
    :param highest: of each column; minus infinity where there is no number.
    :param groups: rows with a unit by column, group and bin; ``None`` where no row has one; int64.
    :param said: what is not of the profile's columns, and what the counts were made of.
    """

    whole: NDArray[Any]
    lowest: NDArray[Any]
    highest: NDArray[Any]
    said: dict[str, Any]
    groups: NDArray[Any] | None = None

    def add(self, other: Totals) -> None:
        """Add another one's counts to these."""
        import numpy as np

        self.whole = self.whole + other.whole
        self.lowest = np.minimum(self.lowest, other.lowest)
        self.highest = np.maximum(self.highest, other.highest)
        if other.groups is not None:
            self.groups = other.groups if self.groups is None else self.groups + other.groups
        for name in ("rows", "fallbacks", "damaged"):
            self.said[name] += other.said[name]
        for name in ("variants", "predictions"):
            mine = self.said[name]
            for key, count in other.said[name].items():
                mine[key] = mine.get(key, 0) + count


def totals_of(counts: WindowCounts, plan: Plan) -> Totals:
    """Return counts as vectors."""
    import numpy as np

    columns = _columns(counts, plan)
    parts: list[Any] = []
    for column in columns:
        parts.append([getattr(column, name) for name in SCALARS])
        parts += [array for name in ARRAYS if (array := getattr(column, name)) is not None]
    parts.append(counts.latency or (0,) * (len(LATENCY_EDGES) + 1))
    lows = [np.inf if column.lowest is None else column.lowest for column in columns]
    highs = [-np.inf if column.highest is None else column.highest for column in columns]
    return Totals(
        whole=np.concatenate([np.asarray(part, dtype=np.int64) for part in parts]),
        lowest=np.array(lows),
        highest=np.array(highs),
        said={
            "rows": counts.rows,
            "fallbacks": counts.fallbacks,
            "damaged": counts.damaged,
            "variants": dict(counts.variants),
            "predictions": dict(counts.predictions),
        },
        groups=_groups(columns),
    )


def _groups(columns: list[ColumnCounts]) -> NDArray[Any] | None:
    """Return the columns' tables of units, one after the other; those of a column that has none are empty."""
    import numpy as np

    if all(column.groups is None for column in columns):
        return None
    nothing = np.zeros((GROUPS, BINS), dtype=np.int64)
    return np.stack([nothing if column.groups is None else column.groups for column in columns])


def counts_of(totals: Totals, plan: Plan) -> WindowCounts:
    """Return vectors as counts."""
    place = 0
    made: list[ColumnCounts] = []
    for number, column in enumerate(plan.columns):
        scalars = totals.whole[place : place + len(SCALARS)].tolist()
        place += len(SCALARS)
        arrays: dict[str, Any] = {}
        for name, width in _widths(column):
            arrays[name] = totals.whole[place : place + width]
            place += width
        low, high = float(totals.lowest[number]), float(totals.highest[number])
        made.append(
            ColumnCounts(
                **dict(zip(SCALARS, scalars, strict=True)),
                lowest=low if low <= high else None,
                highest=high if low <= high else None,
                groups=None if totals.groups is None else totals.groups[number],
                **arrays,
            )
        )
    return WindowCounts(
        rows=totals.said["rows"],
        columns=dict(zip(plan.names, made, strict=False)),
        scores=None if plan.profile.score is None else made[-1],
        variants=totals.said["variants"],
        fallbacks=totals.said["fallbacks"],
        predictions=totals.said["predictions"],
        latency=tuple(totals.whole[place:].tolist()),
        damaged=totals.said["damaged"],
    )


def _columns(counts: WindowCounts, plan: Plan) -> list[ColumnCounts]:
    columns = [counts.columns[name] for name in plan.names]
    return columns if counts.scores is None else [*columns, counts.scores]


def _widths(column: ColumnProfile) -> Iterator[tuple[str, int]]:
    nothing = no_rows(column)
    for name in ARRAYS:
        array = getattr(nothing, name)
        if array is not None:
            yield name, len(array)


def encode(totals: Totals, said: dict[str, Any]) -> bytes:
    """Return a file's content.

    :param said: what the counts are of.
    """
    import numpy as np

    steps = np.diff(totals.whole, prepend=0)
    kind = next(
        kind
        for kind in ("<i1", "<i2", "<i4", "<i8")
        if kind == "<i8" or (np.iinfo(kind).min <= steps.min() and steps.max() <= np.iinfo(kind).max)
    )
    groups = totals.groups
    header = json.dumps(
        {**said, "totals": totals.said, "kind": kind, "whole": len(steps), "columns": len(totals.lowest)}
    ).encode()
    body = steps.astype(kind).tobytes() + np.concatenate([totals.lowest, totals.highest]).tobytes()
    body += b"" if groups is None else groups.astype("<i8").tobytes()
    content = len(header).to_bytes(4, "little") + header + zlib.compress(body, 1)
    return (MAGIC if groups is None else WITH_UNITS) + _checksum(content) + content


def decode(content: bytes, expected: dict[str, Any], plan: Plan) -> tuple[Totals, dict[str, Any]]:
    """Return a file's counts and what it says of them.

    :param expected: what it must be of.
    :raises DamagedCountsError: if it is damaged, or of something else.
    """
    import numpy as np

    rest = content[len(MAGIC) + CHECKSUM :]
    magic = content[: len(MAGIC)]
    if magic not in (MAGIC, WITH_UNITS) or content[len(MAGIC) : len(MAGIC) + CHECKSUM] != _checksum(rest):
        raise DamagedCountsError("it is damaged, or of another version")
    size = int.from_bytes(rest[:4], "little")
    said = json.loads(rest[4 : 4 + size])
    if any(said.get(name) != value for name, value in expected.items()):
        raise DamagedCountsError("it is of another bundle, profile or stretch")
    body = zlib.decompress(rest[4 + size :])
    steps = np.frombuffer(body, dtype=said["kind"], count=said["whole"])
    columns = said["columns"]
    ends = np.frombuffer(body, dtype="<f8", offset=steps.nbytes, count=2 * columns)
    groups = np.frombuffer(body, dtype="<i8", offset=steps.nbytes + ends.nbytes)
    return Totals(
        whole=np.cumsum(steps, dtype=np.int64),
        lowest=ends[:columns],
        highest=ends[columns:],
        said=said["totals"],
        groups=None if magic == MAGIC else groups.reshape(columns, GROUPS, BINS).copy(),
    ), said


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=CHECKSUM).digest()


class CountFiles:
    """Keeps counts of slices and of days.

    :param storage: the storage root.
    :param model: whose log was counted.
    :param plan: what it was counted against.
    """

    def __init__(self, storage: Storage, model: str, plan: Plan) -> None:
        self.storage = storage
        self.plan = plan
        accepted = f"-{plan.profile_digest[:12]}" if plan.profile.accepted else ""
        self.folder = f"{FOLDER}/{model}/{plan.digest[:12]}{accepted}"
        self.of = {"digest": plan.digest, "profile": plan.profile_digest}

    def load(self, name: str, *, live: Iterable[str] | None) -> Totals | None:
        """Return stored counts; ``None`` if there are none that can be used.

        :param name: ``DAY/HOUR.counts``, ``DAY/HOUR-FROM-TO.counts`` or ``DAY/day.counts``.
        :param live: the segments that they must be counted with; ``None``: any.
        """
        path = f"{self.folder}/{name}"
        try:
            if not self.storage.exists(path):
                return None
            totals, said = decode(self.storage.read_bytes(path), {**self.of, "name": name}, self.plan)
        except (StorageError, ValueError, KeyError, TypeError, zlib.error) as error:
            log.warning("WS-MONITORING-010: stored counts %s are counted again: %s", path, _why(error))
            return None
        if said["sealed"] and said["key"] != self.plan.key:
            return None
        if live is not None and said["live"] != list(live):
            return None
        return totals

    def keep(self, name: str, totals: Totals, *, live: Iterable[str] = ()) -> None:
        """Store counts; where that fails they are counted again the next time."""
        unreadable = sum(column.unreadable for column in counts_of(totals, self.plan).columns.values())
        said = {**self.of, "name": name, "live": list(live), "key": self.plan.key, "sealed": unreadable > 0}
        path = f"{self.folder}/{name}"
        try:
            self.storage.write_bytes(path, encode(totals, said))
        except StorageError as error:
            log.warning("WS-MONITORING-011: counts %s could not be stored: %s", path, error.code)


def _why(error: Exception) -> str:
    if isinstance(error, DamagedCountsError):
        return str(error)
    return error.code if isinstance(error, StorageError) else "it is damaged"


def forget_hours(storage: Storage, model: str, hours: Iterable[str]) -> None:
    """Remove the stored counts that hours are in, because their rows have changed.

    :raises StorageError: if they cannot be removed.
    """
    hours = list(hours)
    for digest in storage.names(f"{FOLDER}/{model}"):
        for day in dict.fromkeys(name[:8] for name in hours):
            folder = f"{FOLDER}/{model}/{digest}/{day}"
            touched = tuple(name[9:] for name in hours if name[:8] == day)
            for name in storage.names(folder):
                if name == DAY or name.startswith(touched):
                    storage.remove(f"{folder}/{name}")


def forget_days(storage: Storage, before: str) -> None:
    """Remove the stored counts of days before one, such as ``20260501``.

    :raises StorageError: if they cannot be removed.
    """
    for model in storage.names(FOLDER):
        for digest in storage.names(f"{FOLDER}/{model}"):
            for day in storage.names(f"{FOLDER}/{model}/{digest}"):
                if day < before:
                    storage.remove(f"{FOLDER}/{model}/{digest}/{day}")
