"""``Hours``: which hours of a model's log there are, which are final, and whether counted ones still hold."""

from __future__ import annotations

import fcntl
import hashlib
import os
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

    def of(self, hour: str) -> list[str]:
        """Return the logs that an hour has, ``KIND/HOUR``."""
        there = {*self.live, *self.archived}
        return [one for kind in self.kinds if (one := f"{kind}/{hour}") in there]

    def is_final(self, hour: str, now: datetime) -> bool:
        """Return whether an hour is over and nobody writes to it."""
        return self.is_over(hour, now) and not any(self._is_written(kind, hour) for kind in self.kinds)

    def is_over(self, hour: str, now: datetime) -> bool:
        """Return whether all that was received in an hour is on the disk."""
        start = hour_start(hour)
        return start is not None and start + HOUR + ON_THE_DISK <= now

    def mark(self, log: HourLog, before: HourMark | None) -> HourMark:
        """Return what marks an hour once the rows of its open log are counted.

        :param before: its mark, if some of them are.
        """
        written = (segment for segment in log.segments if os.fstat(segment.stream.fileno()).st_size)
        names = {*archived_segments(log.archived), *(segment.file.name for segment in written)}
        archived = self.archived.get(f"{log.kind}/{log.name}", "") if log.archived is not None else ""
        segments = {*map(short, names), *(before.segments if before else ())}
        return HourMark(segments=tuple(sorted(segments)), archived=archived)

    def compare(self, kept: Kept) -> tuple[list[str], Kept]:
        """Return the counted hours, ``KIND/HOUR``, that have got more since, and what is kept.

        An hour that was archived since holds the same rows: it is kept with its mark of now. One that is gone
        has got none: its rows are counted.
        """
        late: list[str] = []
        changed: dict[str, HourMark] = {}
        for one in sorted({*self.live, *self.archived}):
            if one.partition("/")[2] > kept.last:
                continue
            mark, archived = kept.hours.get(one), self.archived.get(one, "")
            if mark is None or not self.live.get(one, frozenset()) <= set(mark.segments):
                late.append(one)
            elif archived and archived != mark.archived:
                if self._archived_names(one) <= set(mark.segments):
                    changed[one] = mark.replace(archived=archived)
                else:
                    late.append(one)
        return late, kept.replace(hours={**kept.hours, **changed}) if changed else kept

    def gone(self, kept: Kept) -> list[str]:
        """Return the counted hours, ``KIND/HOUR``, whose log is not there any more, in order."""
        mine = (one for one in kept.hours if one.partition("/")[0] in self.kinds)
        return sorted(one for one in mine if self._is_gone(one, kept.hours[one]))

    def _is_gone(self, one: str, mark: HourMark) -> bool:
        """Return whether a counted segment is neither live nor archived; a file may be of late ones alone."""
        missing = set(mark.segments) - self.live.get(one, frozenset())
        return bool(missing) and not (one in self.archived and missing <= self._archived_names(one))

    def go_back_to(self, hour: str) -> bool:
        """Return whether there is a log of an hour or of one before it: the oldest ones are removed first."""
        reader = self.reader
        there = reader.live(PREDICTIONS, self.model).keys() | reader.archived(PREDICTIONS, self.model)
        return any(hour_start(one) is not None and one <= hour for one in there)

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


def leave_new(log: HourLog, mark: HourMark | None) -> bool:
    """Leave of an open hour what is not counted; return whether counted rows are still among it.

    :param mark: of what is counted. Rows of an archived file cannot be told apart by their segments.
    """
    if mark is None:
        return False
    counted = set(mark.segments)
    log.segments = [segment for segment in log.segments if short(segment.file.name) not in counted]
    if set(map(short, archived_segments(log.archived))) <= counted:
        log.archived, log.damaged = None, 0
    return log.archived is not None


def short(name: str) -> str:
    """Return a short hash of a segment's name: whether one is new is all that is asked."""
    return hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
