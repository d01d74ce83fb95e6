"""``ArchiveWindowCounter``: slices of the prediction log, counted once and stored."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from windsock.adapters.column_cipher import LOG_KEY, ColumnCipher
from windsock.adapters.log_format import PREDICTIONS, hour_start
from windsock.adapters.log_reading import Bounds, HourLog, LogReader, received_all
from windsock.adapters.storage import Storage
from windsock.adapters.window_counts.files import CountFiles, Totals, counts_of, totals_of
from windsock.adapters.window_counts.ibis_engine import IbisEngine
from windsock.adapters.window_counts.parquet_engine import ParquetEngine, count_rows
from windsock.adapters.window_counts.plan import Plan
from windsock.adapters.window_counts.slices import Day, Slice, days_of
from windsock.exceptions import SettingsError
from windsock.ports import utc_now
from windsock.records import DriftProfile, Span
from windsock.settings import CounterEngine
from windsock.statistics.counting import WindowCounts

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Counts the rows of an hour's files."""

    def count(self, hour: HourLog, moments: Bounds, plan: Plan, *, live: bool = True) -> WindowCounts:
        """Return the counts of a stretch."""
        ...


class ArchiveWindowCounter:
    """Counts stretches of the prediction log against a profile.

    :param state_folder: the server's state folder, with the segments of hours that are not archived yet.
    :param storage: the storage root, with the archive and the stored counts.
    :param keys_dir: the installation's keys: with a ``log.key`` sensitive values are read for counting.
    :param engine: ``parquet`` counts with numpy; ``ibis`` by one query over all columns, in DuckDB. Their
        counts are equal.
    :param now: the clock.
    """

    def __init__(
        self,
        state_folder: Path,
        storage: Storage,
        *,
        keys_dir: Path | None = None,
        engine: CounterEngine = "parquet",
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.state_folder = state_folder
        self.storage = storage
        self.keys_dir = keys_dir
        self.engine: Engine = ParquetEngine() if engine == "parquet" else IbisEngine()
        self.now = now

    def count(self, model: str, digest: str, profile: DriftProfile, span: Span) -> WindowCounts:
        """Return the counts of a stretch; see :class:`~windsock.ports.WindowCounter`."""
        cipher, key = self._cipher()
        plan = Plan(digest=digest, profile=profile, cipher=cipher, key=key)
        reader = LogReader(self.state_folder, self.storage)
        counting = _Counting(
            model=model,
            plan=plan,
            engine=self.engine,
            reader=reader,
            files=CountFiles(self.storage, model, plan),
            now=self.now(),
            live=reader.live(PREDICTIONS, model),
            archived=frozenset(reader.archived(PREDICTIONS, model)),
        )
        total = totals_of(plan.nothing(), plan)
        for day in days_of(span):
            if (counted := counting.day(day)) is not None:
                total.add(counted)
        return counts_of(total, plan)

    def without_rows(self, model: str, spans: Sequence[Span]) -> frozenset[Span]:
        """Return stretches without a row; see :class:`~windsock.ports.WindowCounter`."""
        reader = LogReader(self.state_folder, self.storage)
        live = frozenset(reader.live(PREDICTIONS, model))
        archived = frozenset(reader.archived(PREDICTIONS, model))

        def has_rows(span: Span) -> bool:
            slices = [one for day in days_of(span) for one in day.slices]
            hours = dict.fromkeys(name for one in slices for name in (one.hour, *one.neighbours))
            moments = slices[0].moments[0], slices[-1].moments[1]
            own = {one.hour for one in slices}
            for name in hours:
                if name in archived or (name in own and name in live):
                    with reader.hour(PREDICTIONS, model, name) as hour:
                        if count_rows(hour, moments) or (name in own and hour.damaged):
                            return True
            return False

        return frozenset(span for span in spans if not has_rows(span))

    def begins(self, model: str) -> datetime | None:
        """Return when the log that is kept begins; see :class:`~windsock.ports.WindowCounter`."""
        reader = LogReader(self.state_folder, self.storage)
        names = reader.archived(PREDICTIONS, model) | reader.live(PREDICTIONS, model).keys()
        return min((start for name in names if (start := hour_start(name)) is not None), default=None)

    def _cipher(self) -> tuple[ColumnCipher | None, str]:
        if self.keys_dir is None:
            return None, ""
        try:
            cipher = ColumnCipher.from_folder(self.keys_dir)
        except SettingsError as error:
            log.warning("%s: %s; sensitive values are counted as unreadable", error.code, error.message)
            return None, ""
        if cipher is None:
            return None, ""
        return cipher, hashlib.sha256((self.keys_dir / LOG_KEY).read_bytes()).hexdigest()[:12]


@dataclass
class _Counting:
    """One stretch, being counted.

    :param live: hours with segments, and what marks those.
    :param archived: hours that are archived.
    :param received: first and last time of receipt in an archived hour, as far as it was looked at.
    """

    model: str
    plan: Plan
    engine: Engine
    reader: LogReader
    files: CountFiles
    now: datetime
    live: Mapping[str, tuple[str, ...]]
    archived: frozenset[str]
    received: dict[str, Bounds] = field(default_factory=dict)

    def day(self, day: Day) -> Totals | None:
        """Return the counts of a day's slices; ``None`` where there is no log.

        The sum of a whole day is stored once all its rows are archived.
        """
        slices = [one for one in day.slices if self._has_log(one)]
        if not slices:
            return None
        is_final = (
            day.is_whole
            and day.slices[-1].is_over(self.now)
            and not any(hour in self.live for one in day.slices for hour in (one.hour, *one.neighbours))
        )
        if is_final and (stored := self.files.load(day.name, live=())) is not None:
            return stored
        total = self.slice(slices[0])
        for one in slices[1:]:
            total.add(self.slice(one))
        if is_final:
            self.files.keep(day.name, total)
        return total

    def slice(self, one: Slice) -> Totals:
        """Return the counts of a slice, stored or counted now.

        Stored ones stand as long as the hour's segments are those that were counted; in the hour that runs,
        whose segments grow, they stand until it is over.
        """
        live = self.live.get(one.hour, ())
        if one.is_closed(self.now):
            stored = self.files.load(one.name, live=live if one.is_over(self.now) else None)
            if stored is not None:
                return stored
        counts = self.plan.nothing()
        for name in (one.neighbours[0], one.hour, one.neighbours[1]):
            if name == one.hour or self._has_strays(name, one):
                counts += self._hour(name, one)
        totals = totals_of(counts, self.plan)
        if one.is_closed(self.now):
            is_same = self.reader.marks(PREDICTIONS, self.model, one.hour) == live
            if is_same or not one.is_over(self.now):
                self.files.keep(one.name, totals, live=live)
        return totals

    def _hour(self, name: str, one: Slice) -> WindowCounts:
        is_own = name == one.hour
        with self.reader.hour(PREDICTIONS, self.model, name) as hour:
            counts = self.engine.count(hour, one.moments, self.plan, live=is_own)
            self._note(name, hour)
        if not is_own:
            return counts
        return replace(counts, damaged=self._damage(counts.rows, hour.damaged, one))

    def _damage(self, rows: int, damaged: int, one: Slice) -> int:
        """Return a slice's share of its hour's damaged lines, whose times nobody knows.

        It is as large as the share of the hour's rows, so that a part is as damaged as its hour; rounded up,
        but nothing where it is less than one line. Without any rows each part has all of them.

        :param rows: of the slice.
        :param damaged: of the hour.
        """
        if one.is_whole or not damaged:
            return damaged
        with self.reader.hour(PREDICTIONS, self.model, one.hour) as hour:
            in_hour = max(rows, count_rows(hour, one.hour_moments))
        if not in_hour:
            return damaged
        share = damaged * rows
        return -(-share // in_hour) if share >= in_hour else 0

    def _has_log(self, one: Slice) -> bool:
        if one.hour in self.live or one.hour in self.archived:
            return True
        return any(self._has_strays(name, one) for name in one.neighbours)

    def _has_strays(self, name: str, one: Slice) -> bool:
        """Return whether an archived hour beside the slice holds rows of it: the clock was set."""
        if name not in self.archived:
            return False
        if name not in self.received:
            with self.reader.hour(PREDICTIONS, self.model, name) as hour:
                self._note(name, hour)
        first, last = self.received[name]
        return first < one.moments[1] and last >= one.moments[0]

    def _note(self, name: str, hour: HourLog) -> None:
        self.received[name] = received_all(hour.archived)
