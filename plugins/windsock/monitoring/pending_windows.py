"""Which windows are closed and have no verdict yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from windsock.records import Span, Status, WindowKind, WindowVerdict
from windsock.spec import MonitoringBlock
from windsock.spec.monitoring import EPOCH

RECENT_WINDOWS = 31
"""So many of the last windows are tried again where their verdict is ``error``, and judged where windows of
another length were. What is older is judged once."""


def pending_windows(
    block: MonitoringBlock, judged: Iterable[WindowVerdict], *, since: datetime | None, now: datetime
) -> tuple[Span, ...]:
    """Return all closed windows that lack a verdict, in their order.

    Of the last :data:`RECENT_WINDOWS` one lacks a verdict if any kind that the model asks for is missing or
    is ``error``, or was judged by a clock that was ahead. An older one lacks it only where no verdict of that
    kind covers its time: neither an ``error`` nor windows of another length are judged again there. To judge
    a window once more changes no verdict that stands.

    :param judged: the verdicts there are, of every kind.
    :param since: when the first version went live; windows that ended before are none. ``None``: nothing is
        live, and the latest window alone is looked at, so that somebody says so.
    """
    length, last = block.window_length, block.window_end(now)
    known = [one for one in judged if one.judged_at <= now]
    made = {(one.window, one.kind) for one in known if one.status is not Status.ERROR}
    kinds = [kind for kind, is_on in _kinds(block) if is_on]
    ends = [last - length * back for back in range(1 if since is None else RECENT_WINDOWS)]
    windows = (Span(start=end - length, end=end) for end in reversed(ends) if since is None or end > since)
    recent = [window for window in windows if any((window, kind) not in made for kind in kinds)]
    if since is None:
        return tuple(recent)
    until = recent_since(block, now)
    older = {
        window
        for kind in kinds
        for window in _uncovered([one.window for one in known if one.kind == kind], length, since, until)
    }
    return (*sorted(older, key=lambda window: window.end), *recent)


def recent_since(block: MonitoringBlock, now: datetime) -> datetime:
    """Return when the first of the last :data:`RECENT_WINDOWS` windows begins."""
    return block.window_end(now) - RECENT_WINDOWS * block.window_length


def _uncovered(spans: Iterable[Span], length: timedelta, since: datetime, until: datetime) -> Iterator[Span]:
    """Yield the windows between two times of which some part is covered by no span."""
    covered = since
    for span in sorted([*spans, Span(start=until, end=until + length)], key=lambda one: one.start):
        start, stop = EPOCH + (covered - EPOCH) // length * length, min(span.start, until)
        while covered < stop and start < stop:
            yield Span(start=start, end=start + length)
            start += length
        covered = max(covered, span.end)


def recent_ends(block: MonitoringBlock, now: datetime) -> list[datetime]:
    """Return the ends of the last :data:`RECENT_WINDOWS` closed windows, the latest first."""
    last = block.window_end(now)
    return [last - block.window_length * back for back in range(RECENT_WINDOWS)]


def watched_kinds(block: MonitoringBlock) -> tuple[WindowKind, ...]:
    """Return what windows are judged for."""
    return tuple(kind for kind, is_on in _kinds(block) if is_on)


def _kinds(block: MonitoringBlock) -> tuple[tuple[WindowKind, bool], ...]:
    return (("drift", block.data_drift), ("performance", block.performance_tracking))
