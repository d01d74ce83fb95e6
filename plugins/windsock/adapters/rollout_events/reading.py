"""What is read into an :class:`~windsock.adapters.rollout_events.intake.Intake`: hours of the log, labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from windsock.adapters.label_sources import file_labels, table_labels
from windsock.adapters.log_format import OUTCOMES, PREDICTIONS, UNANSWERED
from windsock.adapters.log_reading import Bounds, HourLog, LogReader, moments_of
from windsock.adapters.rollout_events.intake import OUTCOME, PAST, Intake
from windsock.adapters.rollout_events.scope import Scope
from windsock.records import Span
from windsock.spec import parse_duration

if TYPE_CHECKING:
    import pandas as pd

EXPOSED = (PREDICTIONS, UNANSWERED)
"""Kinds of the log that tell who was exposed."""


@dataclass(frozen=True)
class Sources:
    """Where rows come from.

    :param roots: folders that a file of outcomes may lie in.
    :param connections: turns an Airflow connection id into a SQLAlchemy URL.
    """

    reader: LogReader
    roots: tuple[Path, ...]
    connections: Callable[[str], str]

    def take_hour(self, intake: Intake, hour: HourLog, moments: Bounds) -> None:
        """Take in what was received in a stretch of an hour."""
        if hour.kind in EXPOSED:
            for table in hour.tables(moments, columns=intake.exposure_columns, features=()):
                intake.add_exposures(table)
        else:
            for table in hour.tables(moments, columns=list(OUTCOME)):
                intake.add_outcomes(table)
        intake.counted["damaged"] += hour.damaged

    def take_past(self, intake: Intake, model: str, since: datetime) -> None:
        """Take in who was exposed in the time before a step, as far back as an outcome may come of it."""
        if not intake.scope.windows:
            return
        span = Span(start=since - timedelta(microseconds=max(intake.scope.windows)), end=since)
        for kind in EXPOSED:
            for name in self.reader.hours(kind, model, span):
                with self.reader.hour(kind, model, name) as hour:
                    for table in hour.tables(moments_of(span), columns=list(PAST), features=()):
                        intake.add_past(table)

    def take_before(self, intake: Intake, model: str, start: datetime) -> None:
        """Take in the outcomes of units in the time before a rollout began."""
        length = intake.scope.plan.pre_period
        if length is None or not intake.scope.needs_before:
            return
        span = Span(start=start - parse_duration(length), end=start)
        for name in self.reader.hours(OUTCOMES, model, span):
            with self.reader.hour(OUTCOMES, model, name) as hour:
                for table in hour.tables(moments_of(span), columns=list(OUTCOME)):
                    intake.add_outcomes(table, to="before")

    def take_labels(self, intake: Intake, since: datetime, now: datetime) -> None:
        """Take in the labels of a table or a file; those that are posted are in the log."""
        scope = intake.scope
        if scope.is_posted or not scope.needs_outcomes:
            return
        timed = scope.plan.labels.label_time is not None
        for piece in self._labels(scope, since):
            intake.add_labels(piece, now, timed=timed)

    def _labels(self, scope: Scope, since: datetime) -> Iterator[pd.DataFrame]:
        labels = scope.plan.labels
        if labels.kind == "table":
            return table_labels(labels, self.connections, since)
        return file_labels(labels, self.roots)
