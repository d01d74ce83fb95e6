"""``ArchiveRolloutEvents``: what the prediction log and the outcomes tell of a rollout."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from windsock.adapters.log_columns import microseconds
from windsock.adapters.log_reading import LogReader
from windsock.adapters.rollout_events.engine import open_engine
from windsock.adapters.rollout_events.intake import Intake
from windsock.adapters.rollout_events.kept import kept_rollouts
from windsock.adapters.rollout_events.parts import FOLDER, DamagedPartsError
from windsock.adapters.rollout_events.reading import Sources
from windsock.adapters.rollout_events.recent import take_recent
from windsock.adapters.rollout_events.rows import CountRows, forget_rows
from windsock.adapters.rollout_events.scope import Scope
from windsock.adapters.rollout_events.step_count import RacedError, StepCount
from windsock.adapters.rollout_events.sums import difference, metrics_of, totals_of
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.ports import Traffic
from windsock.records import Rollout, RolloutPlan, Span, StepTotals

log = logging.getLogger(__name__)

ATTEMPTS = 6
ON_THE_DISK = timedelta(seconds=1)
"""How long after its receipt a row is on the disk."""
DAY = timedelta(days=1)


class ArchiveRolloutEvents:
    """Counts exposures and outcomes by unit; what is counted once is kept under the storage root.

    :param state_folder: the server's state folder.
    :param storage: the storage root.
    :param url: the control database, which says which of the kept files holds.
    :param keys_dir: the installation's keys, with which that is signed.
    :param roots: folders that a file of outcomes may lie in.
    :param connections: turns an Airflow connection id into a SQLAlchemy URL.
    """

    def __init__(
        self,
        state_folder: Path,
        storage: Storage,
        *,
        url: str,
        keys_dir: Path,
        roots: tuple[Path, ...],
        connections: Callable[[str], str],
    ) -> None:
        self.state_folder = state_folder
        self.storage = storage
        self.url = url
        self.keys_dir = keys_dir
        self.roots = roots
        self.connections = connections

    def totals(self, rollout: Rollout, *, now: datetime) -> StepTotals:
        """Return what was seen of the rollout's present step; see :class:`~windsock.ports.RolloutEvents`."""
        rows = CountRows(self.url, self.keys_dir, rollout.model, rollout.experiment, rollout.step)
        anew = False
        for _ in range(ATTEMPTS):
            generation = rows.generation()
            try:
                numbers = StepCount(self._sources(), rows, rollout, now).numbers(anew=anew)
            except RacedError:
                anew = False
            except DamagedPartsError:
                anew = rows.generation() == generation  # else another caller merged the files meanwhile
                if anew:
                    log.warning(
                        "WS-ROLLOUT-041: %s, rollout %s, step %d: a file of counts is missing or damaged; "
                        "all is counted anew from the log",
                        rollout.model,
                        rollout.experiment,
                        rollout.step,
                    )
            else:
                return totals_of(numbers, rollout, now - ON_THE_DISK)
        raise StorageError(
            f"{rollout.model}: the counts of rollout {rollout.experiment} were changed by others "
            f"{ATTEMPTS} times while they were being made",
            code="WS-ROLLOUT-044",
            next_action="Clear this task; see that one installation alone judges this rollout.",
        )

    def traffic(self, model: str, plan: RolloutPlan, span: Span, *, most_rows: int | None = None) -> Traffic:
        """Return what a stretch of the log tells a planner; see :class:`~windsock.ports.RolloutEvents`."""
        sources, scope = self._sources(), Scope(plan=plan)
        with self.storage.working_folder() as work, open_engine(work) as connection:
            intake = Intake(connection, scope)
            recent = take_recent(sources, intake, model, span, most_rows)
            span = span.replace(start=recent.since)
            sources.take_labels(intake, span.start, span.end)
            sources.take_before(intake, model, span.start)
            intake.settle(())
            numbers = difference(connection, scope, frozenset())
            days = connection.execute(
                "SELECT (first - $start) // $day, count(*) FROM units GROUP BY 1",
                {"start": microseconds(span.start), "day": DAY // timedelta(microseconds=1)},
            ).fetchall()
        found = dict(days)
        return Traffic(
            span=span,
            units=int(numbers["champion/units"]),
            by_day=tuple(int(found.get(day, 0)) for day in range(-((span.start - span.end) // DAY))),
            metrics=metrics_of(numbers, "champion", scope),
            first=recent.first,
            exposures=recent.exposures,
            unitless=recent.unitless,
        )

    def kept(self, model: str) -> tuple[str, ...]:
        """Return the rollouts of which anything is kept."""
        return kept_rollouts(self.storage, self.url, model)

    def forget(self, model: str, experiment: str) -> None:
        """Remove what was kept of a rollout that is over."""
        forget_rows(self.url, model, experiment)
        self.storage.remove(f"{FOLDER}/{model}/{experiment}")

    def _sources(self) -> Sources:
        reader = LogReader(self.state_folder, self.storage)
        return Sources(reader=reader, roots=self.roots, connections=self.connections)
