"""Seasons and natural variability of a model's columns, from all dated rows of its snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnProfile, Span
from windsock.records.seasons import UTC_ZONE, Cycle, Season
from windsock.spec import DriftBlock
from windsock.spec.monitoring import EPOCH
from windsock.statistics.seasons import LENGTHS, MOST_RECURRING, PARTS, count_part, cycle_of, parts_of
from windsock.statistics.unit_tables import FEWEST_ROWS, UnitTable, tabulate_units
from windsock.statistics.variability import (
    FEWEST_UNITS,
    Variability,
    differ_by_part,
    find_excursions,
    reach_of,
    windows_that_alarm,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

LEAST_TIME = {"week": timedelta(days=21), "day": timedelta(days=3)}
"""Training time from which on a season can be known."""
OWN_ROWS = 200
"""Rows of the reference in each part, from which on a window is held against its like alone."""
OWN_UNITS = 2
"""Days of each weekday (hours of each hour of the day) that the reference must have for that."""
TWO_WEEKS = timedelta(days=14)
MOST_WINDOWS = 10_000
ODD_SHARE, ODD_ROOM = 0.002, 0.1
"""At each end so many rows may be dated wrongly; the others' time, and so much of it more, is the history."""


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """A column on all dated rows of a snapshot.

    :param column: its profile, of the reference.
    :param values: on all dated rows, in the order of the times.
    :param reference: which of them the profile describes.
    """

    column: ColumnProfile
    values: pd.Series[Any]
    reference: NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What was found out about columns.

    :param columns: by name, with their seasons and what recurs.
    :param variability: what windows of the training time did.
    :param windows: the windows that its places are of.
    :param reach: how many windows before and after each were looked at.
    :param judged: how many windows have enough rows to be judged.
    :param alarms: which of them would alarm, with the columns.
    """

    columns: Mapping[str, ColumnProfile]
    variability: Variability
    windows: tuple[Span, ...] = ()
    reach: int = 0
    judged: int = 0
    alarms: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def find_seasons(
    histories: Mapping[str, History],
    times: NDArray[Any],
    window: timedelta,
    rule: DriftBlock = DriftBlock(),  # noqa: B008
    zone: str = UTC_ZONE,
) -> Found:
    """Find what recurs in columns, by weekday or hour and from window to window.

    :param histories: by any key.
    :param times: ``datetime64[us]`` in UTC, one for each row of the histories.
    :param window: length of the monitor's windows.
    :param rule: by which windows of the training time are judged.
    :param zone: time zone of the hours.
    """
    cycle = cycle_of(window)
    spans = windows_of(times, window)
    if not histories or not spans:
        return Found(
            columns={key: one.column for key, one in histories.items()},
            variability=Variability(recurring={}),
        )
    unit = units_of(times, window, spans[0].start)
    columns, tables, kinds = {}, {}, {}
    for key, history in histories.items():
        column = history.column.replace(season=_season(history, times, cycle, zone))
        columns[key] = column
        table = tabulate_units(column, history.values, unit, len(spans))
        if table is not None:
            tables[key], kinds[key] = table, _kinds(column.season, spans, cycle)
    reach = reach_of(len(spans), max(1, TWO_WEEKS // window))
    variability = find_excursions(tables, kinds, reach)
    for key, much in variability.recurring.items():
        lasted = variability.lasted.get(key, 0)
        columns[key] = columns[key].replace(recurring=min(MOST_RECURRING, much), lasted=lasted)
    limits = {
        key: (rule.ks if table.ordered else rule.cramers_v) + columns[key].recurring
        for key, table in tables.items()
    }
    judged, alarms = windows_that_alarm(tables, kinds, limits, rule.q)
    return Found(
        columns=columns,
        variability=variability,
        windows=spans,
        reach=reach,
        judged=judged,
        alarms=alarms,
    )


def windows_of(times: NDArray[Any], window: timedelta) -> tuple[Span, ...]:
    """Return the windows of the calendar between the first and the last time; of many, the latest ones.

    A few rows whose dates lie far from all others, in the future or long ago, are none of the history. A
    window at an end counts if its middle lies between the first and the last time.
    """
    if not len(times):
        return ()
    first, last = map(_moment, _ends(times))
    numbers = range((first - EPOCH) // window, (last - EPOCH) // window + 1)[-MOST_WINDOWS:]
    starts = [EPOCH + number * window for number in numbers]
    return tuple(
        Span(start=start, end=start + window) for start in starts if first <= start + window / 2 <= last
    )


def _ends(times: NDArray[Any]) -> tuple[Any, Any]:
    """Return the first and the last time, but for a few that lie far from all others."""
    import numpy as np

    ordered = np.sort(times)
    odd = int(ODD_SHARE * len(ordered))
    low, high = ordered[odd], ordered[len(ordered) - 1 - odd]
    room = (high - low) * ODD_ROOM
    return max(ordered[0], low - room), min(ordered[-1], high + room)


def _moment(time: Any) -> datetime:
    from datetime import UTC

    found: datetime = time.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)


def units_of(times: NDArray[Any], window: timedelta, start: datetime) -> NDArray[Any]:
    """Return the place of each time's window, counted from one that begins at ``start``."""
    import numpy as np

    begin = np.datetime64(start.replace(tzinfo=None), "us")
    length = np.timedelta64(window).astype("timedelta64[us]")
    found: NDArray[Any] = ((times - begin) // length).astype(np.int64)
    return found


def _kinds(season: Season | None, spans: tuple[Span, ...], cycle: Cycle) -> NDArray[Any]:
    """Return what each window can be compared with: those that begin in the same part of the cycle."""
    import numpy as np

    if season is None:
        return np.zeros(len(spans), dtype=int)
    starts = np.array([one.start.replace(tzinfo=None) for one in spans], dtype="datetime64[us]")
    return parts_of(starts, cycle, season.zone)


def _season(history: History, times: NDArray[Any], cycle: Cycle, zone: str) -> Season | None:
    """Return what recurs in a column by weekday or by hour; ``None``: nothing beyond chance."""
    import numpy as np

    column = history.column
    if column.many is not None or times.max() - times.min() < np.timedelta64(
        LEAST_TIME[cycle] - LENGTHS[cycle]
    ):
        return None
    length = LENGTHS[cycle]
    spans = windows_of(times, length)
    unit = units_of(times, length, spans[0].start)
    table = tabulate_units(column, history.values, unit, len(spans))
    if table is None:
        return None
    part = _known_parts(table, spans, cycle, zone)
    if not differ_by_part(table, part):
        return None
    return _counted(history, times, (cycle, zone), sorted(set(part[part >= 0].tolist())))


def _known_parts(table: UnitTable, spans: tuple[Span, ...], cycle: Cycle, zone: str) -> NDArray[Any]:
    """Return the part of each unit that has rows; -1 for parts with too few units, or too few rows."""
    import numpy as np

    starts = np.array([one.start.replace(tzinfo=None) for one in spans], dtype="datetime64[us]")
    part = np.where(table.rows > 0, parts_of(starts, cycle, zone), -1)
    for place in range(PARTS[cycle]):
        here = part == place
        if here.sum() < FEWEST_UNITS or table.rows[here].sum() < FEWEST_ROWS:
            part[here] = -1
    found: NDArray[Any] = part
    return found


def _counted(history: History, times: NDArray[Any], parts: tuple[Cycle, str], known: Sequence[int]) -> Season:
    import numpy as np

    cycle, zone = parts
    part, reference = parts_of(times, cycle, zone), history.reference
    is_own = _is_own(times[reference], part[reference], known, cycle)
    counted = reference if is_own else np.ones(len(times), dtype=bool)
    by_part = np.bincount(part[reference], minlength=PARTS[cycle]).tolist()
    return Season(
        cycle=cycle,
        parts=tuple(
            count_part(history.column, history.values[counted & (part == place)]) if place in known else None
            for place in range(PARTS[cycle])
        ),
        reference=() if is_own else tuple(by_part),
        zone=zone if cycle == "day" else UTC_ZONE,
    )


def _is_own(times: NDArray[Any], part: NDArray[Any], known: Sequence[int], cycle: Cycle) -> bool:
    """Return whether the reference has every part often enough to be a window's like by itself."""
    import numpy as np

    number = units_of(times, LENGTHS[cycle], EPOCH)
    units = min(np.unique(number[part == place]).size for place in known)
    return units >= OWN_UNITS and min(int((part == place).sum()) for place in known) >= OWN_ROWS


__all__ = ["Found", "History", "find_seasons", "units_of", "windows_of"]
