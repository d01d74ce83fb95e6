"""Which windows are closed and have no verdict yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from windsock.records import Span, Status, WindowKind, WindowVerdict
from windsock.spec import MonitoringBlock

MOST_WINDOWS = 31
"""How far back one run looks: after a long pause the windows before change nothing any more."""


def pending_windows(
    block: MonitoringBlock, judged: Iterable[WindowVerdict], *, since: datetime | None, now: datetime
) -> tuple[Span, ...]:
    """Return the closed windows that lack a verdict, among the last :data:`MOST_WINDOWS`, in their order.

    A window lacks one if any kind that the model asks for is missing or is ``error``, or was judged by a
    clock that was ahead. To judge a window once more changes no verdict that stands.

    :param judged: the verdicts there are, of every kind.
    :param since: when the first version went live; windows that ended before are none. ``None``: nothing is
        live, and the latest window alone is looked at, so that somebody says so.
    """
    length, last = block.window_length, block.window_end(now)
    made = {
        (one.window, one.kind) for one in judged if one.status is not Status.ERROR and one.judged_at <= now
    }
    kinds = [kind for kind, is_on in _kinds(block) if is_on]
    ends = [last - length * back for back in range(1 if since is None else MOST_WINDOWS)]
    windows = (Span(start=end - length, end=end) for end in reversed(ends) if since is None or end > since)
    return tuple(window for window in windows if any((window, kind) not in made for kind in kinds))


def _kinds(block: MonitoringBlock) -> tuple[tuple[WindowKind, bool], ...]:
    return (("drift", block.data_drift), ("performance", block.performance_tracking))
