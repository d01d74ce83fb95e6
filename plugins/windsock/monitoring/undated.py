"""A pattern that nobody can tell from trouble: training rows have no time, windows are no whole weeks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from windsock.records import Span, Status, WindowKind, WindowVerdict
from windsock.spec import ModelSpec, parse_duration
from windsock.statistics.seasons import cycle_of, overlap
from windsock.statistics.variability import values_differ_by_part

CODE = "WS-MONITORING-120"
WEEK = timedelta(days=7)
LOOKED_AT = 8 * WEEK
"""Verdicts that are looked at for what recurs."""
FEWEST = 3
"""Windows of each weekday, before they are called a pattern: two weekends may be alike by chance."""
SCORE = "drift_score"
KEYS: dict[WindowKind, str] = {"drift": "monitoring.window", "performance": "monitoring.performance.window"}


def undated_text(spec: ModelSpec, kind: WindowKind, windows: Sequence[WindowVerdict] = ()) -> str:
    """Return what is to be done about windows that fail where no season can be known; empty: one can.

    :param windows: kept verdicts, in any order; they say whether weekdays differ in what drifts.
    """
    block = spec.monitoring
    length = block.window_length if kind == "drift" else parse_duration(block.performance.window)
    if spec.data.event_time is not None or not length % WEEK:
        return ""
    seen = ""
    if kind == "drift" and recurs_by_week(windows):
        seen = "windows of the same weekday were alike and those of others were not: a pattern of the week. "
    return (
        f"{CODE} {seen}Training rows have no time, so a pattern of the week or the day is not known and "
        f"fails as {'drift' if kind == 'drift' else 'a loss'} does: name the column that dates a row in "
        f"`data.event_time` and retrain, or set `{KEYS[kind]}: 7d`"
    )


def undated_of(findings: Iterable[str], kind: WindowKind) -> str:
    """Return that text of a report's findings; empty: it has none."""
    return next((one for one in findings if one.startswith(CODE) and f"`{KEYS[kind]}: " in one), "")


def recurs_by_week(windows: Sequence[WindowVerdict]) -> bool:
    """Return whether the days of a weekday are more alike than chance has it, after three whole weeks.

    Judged are the drift scores of the version that the latest window is of; windows of a day are asked.
    """
    latest = max(windows, key=lambda one: one.window.end, default=None)
    if latest is None:
        return False
    found: dict[Span, tuple[int, float]] = {}
    for one in windows:
        length = one.window.end - one.window.start
        is_one = (
            one.kind == "drift" and one.digest == latest.digest and one.status in (Status.PASS, Status.FAIL)
        )
        if not is_one or SCORE not in one.numbers or length != timedelta(days=1):
            continue
        weights = overlap(one.window, cycle_of(length))
        found[one.window] = (weights.index(max(weights)), one.numbers[SCORE])
    parts = [part for part, _ in found.values()]
    if len(set(parts)) < 7 or min(parts.count(part) for part in set(parts)) < FEWEST:
        return False
    return values_differ_by_part([value for _, value in found.values()], parts)


__all__ = ["CODE", "LOOKED_AT", "recurs_by_week", "undated_of", "undated_text"]
