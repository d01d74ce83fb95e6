"""``Hours``: which hours of a model's log there are, which are final, and whether counted ones still hold."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property

from windsock.adapters.log_format import (
    OUTCOMES,
    PREDICTIONS,
    SEGMENT_SUFFIX,
    hour_start,
    segment_folder,
)
from windsock.adapters.log_merge import archived_segments
from windsock.adapters.log_reading import HOUR, PARQUET, HourLog, LogReader
from windsock.adapters.rollout_events.records import HourMark, Kept
from windsock.adapters.window_counts.slices import ON_THE_DISK

KINDS = (PREDICTIONS, OUTCOMES)


class Hours:
    """The hours of a model's log from one on.

    :param first: name of the first hour; there may be rows in it that do not matter.
    :param kinds: of the log that matter.
    """

    def __init__(self, reader: LogReader, model: str, first: str, *, kinds: Iterable[str] = KINDS) -> None:
        self.reader = reader
        self.model = model
        self.first = first
        self.kinds = tuple(kinds)

    @cached_property
    def archived(self) -> dict[str, str]:
        """Archived hours, ``KIND/HOUR``, each with what marks its file."""
        return {
            f"{kind}/{name.removesuffix(PARQUET)}": mark
            for kind in self.kinds
            for name, mark in self.reader.storage.marks(f"{kind}/{self.model}").items()
            if name.endswith(PARQUET) and self._matters(name.removesuffix(PARQUET))
        }

    @cached_property
    def live(self) -> dict[str, frozenset[str]]:
        """Hours with segments that are not archived, ``KIND/HOUR``: short hashes of their names."""
        found: dict[str, frozenset[str]] = {}
        for kind in self.kinds:
            for hour, marks in self.reader.live(kind, self.model).items():
                named = [name for name, _, size in (mark.rpartition(":") for mark in marks) if size != "0"]
                if self._matters(hour) and named:
                    found[f"{kind}/{hour}"] = frozenset(map(short, named))
        return found

    def names(self) -> list[str]:
        """Return the hours that have a log, in order."""
        return sorted({one.partition("/")[2] for one in {*self.live, *self.archived}})

    def kinds_of(self, hour: str) -> list[str]:
        """Return the kinds of log that an hour has."""
        return [kind for kind in self.kinds if f"{kind}/{hour}" in {*self.live, *self.archived}]

    def is_final(self, hour: str, now: datetime) -> bool:
        """Return whether an hour is over and nobody writes to it."""
        return self.is_over(hour, now) and not any(self._is_written(kind, hour) for kind in self.kinds)

    def is_over(self, hour: str, now: datetime) -> bool:
        """Return whether all that was received in an hour is on the disk."""
        start = hour_start(hour)
        return start is not None and start + HOUR + ON_THE_DISK <= now

    def mark(self, log: HourLog) -> HourMark:
        """Return what marks an hour whose rows were read from its open log."""
        names = {*archived_segments(log.archived), *(segment.file.name for segment in log.segments)}
        archived = self.archived.get(f"{log.kind}/{log.name}", "") if log.archived is not None else ""
        return HourMark(segments=tuple(sorted(map(short, names))), archived=archived)

    def agrees(self, kept: Kept) -> tuple[bool, Kept]:
        """Return whether counted hours hold what they held, and what is kept with the marks of now.

        An hour that was archived since holds the same rows. One that is gone does not matter: its rows are
        counted.
        """
        changed: dict[str, HourMark] = {}
        for one in {*self.live, *self.archived}:
            if one.partition("/")[2] > kept.last:
                continue
            mark = kept.hours.get(one)
            if mark is None or not self.live.get(one, frozenset()) <= set(mark.segments):
                return False, kept
            archived = self.archived.get(one, "")
            if archived and archived != mark.archived:
                if not self._archived_names(one) <= set(mark.segments):
                    return False, kept
                changed[one] = mark.model_copy(update={"archived": archived})
        return True, kept.model_copy(update={"hours": {**kept.hours, **changed}}) if changed else kept

    def _archived_names(self, one: str) -> frozenset[str]:
        kind, _, hour = one.partition("/")
        with self.reader.hour(kind, self.model, hour) as log:
            return frozenset(map(short, archived_segments(log.archived)))

    def _matters(self, hour: str) -> bool:
        return hour_start(hour) is not None and hour >= self.first

    def _is_written(self, kind: str, hour: str) -> bool:
        folder = segment_folder(self.reader.state_folder, kind, self.model, hour)
        for file in folder.glob(f"*{SEGMENT_SUFFIX}"):
            try:
                with file.open("rb") as stream:
                    fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)  # a server holds it alone
            except BlockingIOError:
                return True
            except FileNotFoundError:  # archived meanwhile
                continue
        return False


def short(name: str) -> str:
    """Return a short hash of a segment's name: whether one is new is all that is asked."""
    return hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
