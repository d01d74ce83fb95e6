"""The newest hours of a stretch of the log, up to a number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from windsock.adapters.log_format import OUTCOMES, PREDICTIONS, hour_start
from windsock.adapters.log_reading import Bounds, moments_of
from windsock.adapters.rollout_events.intake import Intake
from windsock.adapters.rollout_events.reading import Sources
from windsock.records import Span


@dataclass
class Recent:
    """What was read of a stretch.

    :param since: from when on everything was read.
    :param rows: answers and outcomes.
    :param exposures: answers.
    :param unitless: answers to requests without a unit.
    :param first: the oldest hour that has any; ``None``: none has.
    """

    since: datetime
    first: datetime | None = None
    rows: int = 0
    exposures: int = 0
    unitless: int = 0


def take_recent(sources: Sources, intake: Intake, model: str, span: Span, most_rows: int | None) -> Recent:
    """Take in what was received in a stretch, the newest hours first; whole hours only.

    :param most_rows: no further hour is read once there are so many rows; default: all are.
    """
    found, scope = Recent(since=span.start), intake.scope
    kinds = (PREDICTIONS, OUTCOMES) if scope.needs_outcomes and scope.is_posted else (PREDICTIONS,)
    hours = {kind: set(sources.reader.hours(kind, model, span)) for kind in kinds}
    moments = moments_of(span)
    for name in sorted(set().union(*hours.values()), reverse=True):
        if most_rows is not None and found.rows >= most_rows:
            break
        for kind in kinds:
            if name in hours[kind]:
                _take(sources, intake, model, (kind, name), moments, found)
        found.since = found.first = max(span.start, hour_start(name) or span.start)
    else:
        found.since = span.start
    return found


def _take(
    sources: Sources, intake: Intake, model: str, about: tuple[str, str], moments: Bounds, found: Recent
) -> None:
    kind, name = about
    with sources.reader.hour(kind, model, name) as hour:
        if kind == OUTCOMES:
            before = intake.rows
            sources.take_hour(intake, hour, moments)
            found.rows += intake.rows - before
            return
        for table in hour.tables(moments, columns=intake.exposure_columns, features=()):
            intake.add_exposures(table)
            found.rows += table.num_rows
            found.exposures += table.num_rows
            if "unit" in table.column_names:
                found.unitless += table.column("unit").null_count
            else:
                found.unitless += table.num_rows
