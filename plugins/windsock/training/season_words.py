"""What training found out about windows, in words: what recurs, what would alarm, what would do."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from windsock.spec import parse_duration
from windsock.spec.monitoring import DAY, MonitoringBlock
from windsock.statistics.season_finding import LEAST_TIME, Found
from windsock.statistics.seasons import cycle_of
from windsock.texts import first_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNDATED = "WS-TRAINING-120"
SHOWN = 5
OFTEN = 0.05
"""Share of the windows of the training time that would alarm, from which on another window is proposed."""
WEEK = timedelta(days=7)


def sentences(found: Found, times: NDArray[Any], block: MonitoringBlock) -> tuple[str, ...]:
    """Return what people should know about a model's windows; nothing where all is quiet.

    :param found: seasons and excursions.
    :param times: ``datetime64[us]`` of the dated rows.
    """
    return (*_recurring(found), *_once(found), *_alarms(found), *_proposals(found, times, block))


def undated(block: MonitoringBlock) -> tuple[str, ...]:
    """Return what people should know where rows have no time; nothing where windows are whole weeks."""
    lengths = (block.window_length, parse_duration(block.performance.window))
    if not any(length % WEEK for length in lengths):
        return ()
    told = (
        f"{UNDATED}: training rows have no time, so a pattern of the week or the day cannot be learned, and "
        "windows that have one fail as drift or loss; name the column that dates a row in `data.event_time`, "
        "or let windows be whole weeks (`monitoring.window`, `monitoring.performance.window`)"
    )
    return (told,)


def _recurring(found: Found) -> list[str]:
    by_cycle: dict[str, list[str]] = {}
    for name, column in found.columns.items():
        if column.season is not None:
            by_cycle.setdefault(column.season.cycle, []).append(name)
    told = []
    for cycle, names in by_cycle.items():
        which = "weekday" if cycle == "week" else "hour of the day (UTC)"
        told.append(f"by {which}: {_named(names)}; a window is held against its like")
    if wide := [name for name, column in found.columns.items() if column.recurring]:
        told.append(f"comes and goes, in two places at least, so that limits are wider: {_named(wide)}")
    return told


def _once(found: Found) -> list[str]:
    return [
        f"{one.column} was {one.effect:.2g} away in the window of "
        f"{found.windows[one.window].start:%Y-%m-%d %H:%M}, once: no limit is wider for it"
        for one in found.variability.once[:SHOWN]
    ]


def _alarms(found: Found) -> list[str]:
    if not found.alarms:
        return []
    counted = Counter(name for names in found.alarms.values() for name in names)
    shown = ", ".join(f"{name} {count}" for name, count in counted.most_common(SHOWN))
    return [f"{len(found.alarms):,} of {found.judged:,} windows of the training time would alarm: {shown}"]


def _proposals(found: Found, times: NDArray[Any], block: MonitoringBlock) -> list[str]:
    """Return which window would hold what recurs, where this one does not."""
    told = []
    cycle, looks_back = cycle_of(block.window_length), parse_duration(block.performance.window)
    seasons = {column.season.cycle for column in found.columns.values() if column.season}
    if "week" in seasons and looks_back % WEEK:
        told.append(
            f"weekdays differ, and a look-back of {block.performance.window} is no whole week: "
            "set `monitoring.performance.window: 7d`"
        )
    if len(found.alarms) <= OFTEN * found.judged or not found.judged:
        return told
    known = (times.max() - times.min()).astype("timedelta64[us]").item() if len(times) else timedelta()
    if cycle == "week" and known < LEAST_TIME["week"] - DAY and block.window_length < WEEK:
        told.append(
            f"{known.days} days of training rows are too few to know weekdays (21 are enough): until there "
            "are more, set `monitoring.window: 7d`"
        )
    elif cycle == "day" and known >= LEAST_TIME["day"]:
        told.append(
            f"windows of {block.window} are held against the same hours only; where weekdays differ, set "
            "`monitoring.window: 1d`"
        )
    return told


def _named(names: list[str]) -> str:
    return first_of(names, SHOWN)
