"""``StepCount``: counts a step: hours that are final once, and kept; the rest on top of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from windsock.adapters.log_columns import microseconds
from windsock.adapters.log_format import OUTCOMES, PREDICTIONS, hour_of
from windsock.adapters.log_reading import EVER
from windsock.adapters.rollout_events.engine import open_engine
from windsock.adapters.rollout_events.hours import Hours
from windsock.adapters.rollout_events.intake import Intake
from windsock.adapters.rollout_events.parts import KINDS, PartFiles
from windsock.adapters.rollout_events.reading import Sources
from windsock.adapters.rollout_events.records import HourMark, Kept
from windsock.adapters.rollout_events.rows import CountRows
from windsock.adapters.rollout_events.scope import TOLERANCE_MINUTES, Scope
from windsock.adapters.rollout_events.sums import Numbers, difference, plus
from windsock.records import Rollout

log = logging.getLogger(__name__)

FOLD_ROWS = 500_000
"""Hours are counted together up to so many rows of the log; one hour with more is counted at once."""


class RacedError(RuntimeError):
    """Another caller kept something since this one looked."""


class StepCount:
    """One count of the present step of a rollout.

    :param rows: which of the kept files hold.
    """

    def __init__(self, sources: Sources, rows: CountRows, rollout: Rollout, now: datetime) -> None:
        self.sources = sources
        self.rows = rows
        self.rollout = rollout
        self.now = now
        self.scope = Scope.of(rollout)
        posted = self.scope.needs_outcomes and self.scope.is_posted
        self.kinds = (PREDICTIONS, OUTCOMES) if posted else (PREDICTIONS,)
        first = hour_of(rollout.step_since - timedelta(minutes=TOLERANCE_MINUTES))
        self.hours = Hours(sources.reader, rollout.model, first, kinds=self.kinds)

    def numbers(self, *, anew: bool = False) -> Numbers:
        """Return the sums of all that was received.

        :param anew: trust nothing that was kept.
        :raises RacedError: if another caller kept something meanwhile.
        :raises DamagedPartsError: if a kept file is not what was written.
        """
        read = self.rows.read()
        kept = self._empty(read) if anew else self._trusted(read)
        waiting = [hour for hour in self.hours.names() if hour > kept.last]
        if not waiting and self.scope.is_posted:
            if kept != read and kept.last:
                self.rows.switch(read.generation, kept.model_copy(update={"generation": read.generation + 1}))
            return dict(kept.numbers)
        with self.sources.reader.storage.working_folder() as work, open_engine(work) as connection:
            return self._count(connection, work, kept, waiting)

    def _empty(self, read: Kept) -> Kept:
        return Kept(generation=read.generation, plan=self.scope.digest)

    def _trusted(self, read: Kept) -> Kept:
        """Return what is kept if it still holds, with the marks of now; else nothing."""
        if not read.last:
            return self._empty(read)
        if read.plan != self.scope.digest:
            self._tell("WS-ROLLOUT-042", "what was kept is of another plan")
            return self._empty(read)
        agrees, kept = self.hours.agrees(read)
        if not agrees:
            self._tell("WS-ROLLOUT-040", "an hour that was counted has got more rows since")
            return self._empty(read)
        return kept

    def _tell(self, code: str, why: str) -> None:
        log.warning(
            "%s: %s, rollout %s, step %d: %s; all is counted anew from the log",
            code,
            self.rollout.model,
            self.rollout.experiment,
            self.rollout.step,
            why,
        )

    def _count(self, connection: Any, work: Path, kept: Kept, waiting: Sequence[str]) -> Numbers:
        rollout = self.rollout
        storage = self.sources.reader.storage
        files = PartFiles(storage, rollout.model, rollout.experiment, rollout.step, work)
        intake = Intake(connection, self.scope)
        final = list(takewhile(lambda hour: self.hours.is_final(hour, self.now), waiting))
        if self.scope.needs_before and not kept.has_before and not self._before_is_final():
            final = []
        rest = list(waiting[len(final) :])
        while final:
            kept, final = self._fold(intake, files, kept, final)
        for hour in rest:
            self._take(intake, hour, (EVER[0], microseconds(self.now) + 1))
        self.sources.take_labels(intake, rollout.step_since, self.now)
        if not intake.rows and not any(intake.counted.values()):
            return dict(kept.numbers)
        if not kept.has_before:
            self.sources.take_before(intake, rollout.model, rollout.started_at)
        there = files.view(connection, kept.parts)
        intake.settle(there)
        return plus(kept.numbers, plus(intake.counted, difference(connection, self.scope, there)))

    def _before_is_final(self) -> bool:
        """Return whether nothing of the time before the rollout is still being written."""
        last = hour_of(self.rollout.started_at)
        return self.hours.is_over(last, self.now) and all(
            self.hours.is_final(hour, self.now) for hour in self.hours.names() if hour <= last
        )

    def _take(self, intake: Intake, hour: str, moments: tuple[int, int]) -> dict[str, HourMark]:
        marks = {}
        for kind in self.hours.kinds_of(hour):
            with self.sources.reader.hour(kind, self.rollout.model, hour) as opened:
                self.sources.take_hour(intake, opened, moments)
                marks[f"{kind}/{hour}"] = self.hours.mark(opened)
        return marks

    def _fold(
        self, intake: Intake, files: PartFiles, kept: Kept, final: Sequence[str]
    ) -> tuple[Kept, list[str]]:
        """Count some final hours, keep what they come to; return what is kept and the hours that are left."""
        done, marks = 0, dict(kept.hours)
        while done < len(final) and intake.rows < FOLD_ROWS:
            marks |= self._take(intake, final[done], EVER)
            done += 1
        if not kept.has_before:
            self.sources.take_before(intake, self.rollout.model, self.rollout.started_at)
        connection = intake.connection
        there = files.view(connection, kept.parts, verify=True)
        intake.settle(there)
        added = plus(intake.counted, difference(connection, self.scope, there))
        made = [
            part
            for kind in KINDS
            if intake.counted[kind]
            for part in files.write(connection, kind, f"new_{kind}", self.now)
        ]
        after = Kept(
            generation=kept.generation + 1,
            plan=self.scope.digest,
            parts=files.merge(connection, [*kept.parts, *made], self.now),
            hours=marks,
            last=final[done - 1],
            numbers=plus(kept.numbers, added),
            has_before=True,
        )
        if not self.rows.switch(kept.generation, after):
            before = {part.name for part in kept.parts}
            files.remove([part for part in [*after.parts, *made] if part.name not in before])
            raise RacedError
        files.sweep(after, self.now)
        intake.clear()
        return after, list(final[done:])
