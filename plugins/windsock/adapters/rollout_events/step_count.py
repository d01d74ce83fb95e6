"""``StepCount``: counts a step: hours that are final once, and kept; the rest on top of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from windsock.adapters.log_columns import microseconds
from windsock.adapters.log_format import OUTCOMES, hour_of
from windsock.adapters.log_reading import EVER, Bounds
from windsock.adapters.rollout_events.engine import open_engine
from windsock.adapters.rollout_events.hours import Hours, leave_new
from windsock.adapters.rollout_events.intake import Intake
from windsock.adapters.rollout_events.parts import KINDS, PartFiles
from windsock.adapters.rollout_events.reading import EXPOSED, Sources
from windsock.adapters.rollout_events.records import FORM, HourMark, Kept, PartKind
from windsock.adapters.rollout_events.rows import CountRows
from windsock.adapters.rollout_events.scope import Scope
from windsock.adapters.rollout_events.sums import Numbers, difference, plus
from windsock.exceptions import RolloutRefusedError
from windsock.records import Rollout

log = logging.getLogger(__name__)

FOLD_ROWS = 500_000
"""Hours are counted together up to so many rows of the log; one hour with more is counted at once."""
ANEW = "all is counted anew from the log"
CLOCK = timedelta(hours=1)
"""By how much a server's clock may be behind the one that wrote when the step began."""


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
        self.kinds = (*EXPOSED, OUTCOMES) if posted else EXPOSED
        first = hour_of(rollout.step_since - CLOCK)
        self.hours = Hours(sources.reader, rollout.model, first, kinds=self.kinds)
        self.late: list[str] = []
        """Logs of counted hours, ``KIND/HOUR``, whose new rows are to be added to what is kept."""
        self.reread = False
        """Whether rows that are counted are among those that were taken in."""

    def numbers(self, *, anew: bool = False) -> Numbers:
        """Return the sums of all that was received.

        :param anew: trust nothing that was kept.
        :raises RacedError: if another caller kept something meanwhile.
        :raises DamagedPartsError: if a kept file is not what was written.
        :raises RolloutRefusedError: if all is to be counted anew, and the log of counted hours is gone.
        """
        read = self.rows.read()
        kept = self._anew(read) if anew else self._trusted(read)
        waiting = [hour for hour in self.hours.names() if hour > kept.last]
        if not waiting and not self.late and self.scope.is_posted:
            if kept != read and kept.last:
                self.rows.switch(read.generation, kept.replace(generation=read.generation + 1))
            return dict(kept.numbers)
        with self.sources.reader.storage.working_folder() as work, open_engine(work) as connection:
            return self._count(connection, work, kept, waiting)

    def _anew(self, read: Kept) -> Kept:
        """Return that nothing is kept, if the log still has all that was counted."""
        gone = self.hours.gone(read)
        is_unknown = bool(read.generation) and not read.hours  # which hours were counted cannot be read
        since = hour_of(self.rollout.step_since)
        if gone or (is_unknown and not self.hours.go_back_to(since)):
            what = f"{len(gone):,} counted hours, from {gone[0]} on," if gone else f"the hours since {since}"
            step = f"rollout {self.rollout.experiment}, step {self.rollout.step}"
            raise RolloutRefusedError(
                f"{self.rollout.model}: {step}, is to be counted anew, and the log of {what} is gone: "
                "units would be lost",
                code="WS-ROLLOUT-047",
                next_action="Restore that log, or the files below `rollouts/` and the control database, "
                f"from a backup; or end the rollout: `windsock rollout stop {self.rollout.model}`.",
            )
        return Kept(generation=read.generation, plan=self.scope.digest, form=FORM)

    def _trusted(self, read: Kept) -> Kept:
        """Return what is kept if it still holds, with the marks of now; else nothing."""
        if not read.last:
            return self._anew(read)
        if read.plan != self.scope.digest:
            self._tell("WS-ROLLOUT-042: %s, rollout %s, step %d: what was kept is of another plan; " + ANEW)
            return self._anew(read)
        if read.form < FORM and not self.hours.gone(read):
            self._tell("WS-ROLLOUT-048: %s, rollout %s, step %d: an older release counted it; " + ANEW)
            return self._anew(read)
        late, kept = self.hours.compare(read)
        if not late:
            return kept
        if not self.hours.gone(read):
            self._tell("WS-ROLLOUT-040: %s, rollout %s, step %d: a counted hour has got more rows; " + ANEW)
            return self._anew(read)
        self._tell(
            "WS-ROLLOUT-040: %s, rollout %s, step %d: a counted hour has got more rows; they alone are "
            "added, as the log of counted hours is gone"
        )
        self.late = late
        return kept

    def _tell(self, sentence: str) -> None:
        log.warning(sentence, self.rollout.model, self.rollout.experiment, self.rollout.step)

    def _count(self, connection: Any, work: Path, kept: Kept, waiting: Sequence[str]) -> Numbers:
        rollout = self.rollout
        storage = self.sources.reader.storage
        files = PartFiles(storage, rollout.model, rollout.experiment, rollout.step, work)
        intake = Intake(connection, self.scope)
        final = list(takewhile(lambda hour: self.hours.is_final(hour, self.now), waiting))
        if not kept.has_before and not self._before_is_final():
            final = []
        rest = [one for hour in waiting[len(final) :] for one in self.hours.of(hour)]
        added = [one for one in self.late if self.hours.is_final(one.partition("/")[2], self.now)]
        if added:
            kept = self._keep(intake, files, kept, self._take(intake, added, EVER, kept), kept.last)
        while final:
            kept, final = self._fold(intake, files, kept, final)
        rest += [one for one in self.late if one not in added]
        self._take(intake, rest, (EVER[0], microseconds(self.now) + 1), kept)
        self.sources.take_labels(intake, rollout.step_since, self.now)
        if not intake.rows and not any(intake.counted.values()):
            return dict(kept.numbers)
        self._take_before(intake, kept)
        return plus(kept.numbers, self._sums(intake, files.view(connection, kept.parts)))

    def _sums(self, intake: Intake, there: frozenset[PartKind]) -> Numbers:
        """Return what the rows that were taken in add to the sums."""
        intake.settle(there)
        if self.reread:  # counted rows that came again are no repeats
            for name in ("repeated_exposures", "repeated_outcomes", "reused"):
                intake.counted.pop(name, None)
        return plus(intake.counted, difference(intake.connection, self.scope, there))

    def _before_is_final(self) -> bool:
        """Return whether nothing of the time that is read once is still being written."""
        if not self.scope.needs_before and not self.scope.windows:
            return True
        last = hour_of(self.rollout.step_since if self.scope.windows else self.rollout.started_at)
        return self.hours.is_over(last, self.now) and all(
            self.hours.is_final(hour, self.now) for hour in self.hours.names() if hour <= last
        )

    def _take_before(self, intake: Intake, kept: Kept) -> None:
        """Take in what is read once: of the time before the rollout, and before the step."""
        if not kept.has_before:
            self.sources.take_before(intake, self.rollout.model, self.rollout.started_at)
            self.sources.take_past(intake, self.rollout.model, self.rollout.step_since)

    def _take(self, intake: Intake, ones: Iterable[str], bounds: Bounds, kept: Kept) -> dict[str, HourMark]:
        """Take in what is not counted of some logs, ``KIND/HOUR``; return their marks."""
        marks = {}
        for one in ones:
            kind, _, hour = one.partition("/")
            before = kept.hours.get(one)
            with self.sources.reader.hour(kind, self.rollout.model, hour) as opened:
                marks[one] = self.hours.mark(opened, before)
                self.reread |= leave_new(opened, before)
                self.sources.take_hour(intake, opened, bounds)
        return marks

    def _fold(
        self, intake: Intake, files: PartFiles, kept: Kept, final: Sequence[str]
    ) -> tuple[Kept, list[str]]:
        """Count some final hours, keep what they come to; return what is kept and the hours that are left."""
        done = 0
        marks: dict[str, HourMark] = {}
        while done < len(final) and intake.rows < FOLD_ROWS:
            marks |= self._take(intake, self.hours.of(final[done]), EVER, kept)
            done += 1
        return self._keep(intake, files, kept, marks, final[done - 1]), list(final[done:])

    def _keep(
        self, intake: Intake, files: PartFiles, kept: Kept, marks: dict[str, HourMark], last: str
    ) -> Kept:
        """Keep what the rows that were taken in come to; return what is kept now."""
        self._take_before(intake, kept)
        connection = intake.connection
        added = self._sums(intake, files.view(connection, kept.parts, verify=True))
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
            hours={**kept.hours, **marks},
            last=last,
            numbers=plus(kept.numbers, added),
            has_before=True,
            form=kept.form,
        )
        if not self.rows.switch(kept.generation, after):
            before = {part.name for part in kept.parts}
            files.remove([part for part in [*after.parts, *made] if part.name not in before])
            raise RacedError
        files.sweep(after, self.now)
        intake.clear()
        self.reread = False
        return after
