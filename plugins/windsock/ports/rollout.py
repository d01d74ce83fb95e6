"""Ports: what was seen of a rollout, what was decided, and the page about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from windsock.records import (
    Moments,
    Rollout,
    RolloutDecision,
    RolloutEnd,
    RolloutPlan,
    Span,
    StepTotals,
)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What a model's answers of a stretch tell about a rollout to come.

    :param units: different units that were answered.
    :param by_day: new units on each day of the stretch, in order: those that no day before had.
    :param metrics: sums over those units, by the metric's name.
    :param first: the oldest hour of the stretch that the log has; ``None``: not known.
    :param exposures: answers that were read.
    :param unitless: answers to requests without a unit, each a unit of its own.
    """

    span: Span
    units: int
    by_day: tuple[int, ...]
    metrics: dict[str, Moments]
    first: datetime | None = None
    exposures: int = 0
    unitless: int = 0


class RolloutEvents(Protocol):
    """Counts exposures and outcomes by unit; what is counted once is kept."""

    def totals(self, rollout: Rollout, *, now: datetime) -> StepTotals:
        """Return what was seen of the rollout's present step.

        A unit belongs to the arm of its first exposure in the step (intent to treat): an answer of the
        fallback counts for the arm that the unit belongs to. Rows of hours that are over are counted once
        and kept; those of the hour that runs are counted anew each time. Two callers at once are as one.

        :raises StorageError: if the log, or what was kept, cannot be read.
        :raises RolloutRefusedError: if what was kept cannot be used, and the log of counted hours is gone.
        :raises SourceUnavailableError: if the table of the outcomes does not answer.
        :raises MonitoringError: if the table or file of the outcomes is not there or lacks a column.
        """
        ...

    def traffic(self, model: str, plan: RolloutPlan, span: Span, *, most_rows: int | None = None) -> Traffic:
        """Return what a stretch of the log tells a planner.

        :param most_rows: the newest hours are read first, and none before once there are so many answers and
            outcomes; the traffic's ``span`` is what was read. Default: all of it.
        :raises StorageError: if the log cannot be read.
        """
        ...

    def kept(self, model: str) -> tuple[str, ...]:
        """Return the rollouts of which anything is kept, by the experiment's name, in order.

        :raises StorageError: if the storage root does not answer.
        :raises DatabaseUnavailableError: if the control database does not answer.
        """
        ...

    def forget(self, model: str, experiment: str) -> None:
        """Remove what was kept of a rollout that is over; one of which nothing is kept is fine.

        :raises StorageError: if it cannot be removed.
        :raises DatabaseUnavailableError: if the control database does not answer.
        """
        ...


class Rollouts(Protocol):
    """The decisions on rollouts, in the control database."""

    def decisions(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        """Return all of a rollout's decisions by number; there may be thousands."""
        ...

    def last(self, model: str, experiment: str) -> RolloutDecision | None:
        """Return a rollout's newest decision; ``None`` before the first look."""
        ...

    def planned(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        """Return the planned looks among a rollout's decisions, by number."""
        ...

    def series(self, model: str, experiment: str, *, newest: int, every: int) -> tuple[RolloutDecision, ...]:
        """Return a rollout's course in few decisions, by number.

        :param newest: so many of the newest ones, all of them.
        :param every: of those before, the first and each so many after it; and each that neither held nor
            promoted.
        """
        ...

    def missing(self, model: str, experiment: str) -> tuple[int, ...]:
        """Return the numbers of decisions that were kept and are not there any more, as far as is known."""
        ...

    def add_decision(self, decision: RolloutDecision) -> RolloutDecision:
        """Keep a decision unless its number has one; return the one that stands."""
        ...


class RolloutReporter(Protocol):
    """Writes the page that people look at."""

    def html(
        self, rollout: Rollout, decisions: Sequence[RolloutDecision], end: RolloutEnd | None = None
    ) -> bytes:
        """Return one HTML page without anything from elsewhere.

        :param decisions: by number; the last one is what it comes to.
        :param end: how it ended by the ledger; ``None``: it is under way.
        """
        ...
