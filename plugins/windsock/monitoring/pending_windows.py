"""Which windows are closed and have no verdict yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from windsock.records import Span, Status, WindowVerdict
from windsock.spec import MonitoringBlock

MOST_WINDOWS = 31
"""How far back one run looks: after a long pause the windows before change nothing any more."""


def pending_windows(
    block: MonitoringBlock, judged: Iterable[WindowVerdict], *, since: datetime | None, now: datetime
) -> tuple[Span, ...]:
    """Return the closed windows without a verdict, among the last :data:`MOST_WINDOWS`, in their order.

    A window whose verdict is ``error`` is judged again.

    :param judged: the verdicts there are.
    :param since: when the first version went live; windows that ended before are none. ``None``: nothing is
        live, and the latest window alone is looked at, so that somebody says so.
    """
    length, last = block.window_length, block.window_end(now)
    done = {one.window.end for one in judged if one.status is not Status.ERROR}
    ends = [last - length * back for back in range(1 if since is None else MOST_WINDOWS)]
    return tuple(
        Span(start=end - length, end=end)
        for end in reversed(ends)
        if end not in done and (since is None or end > since)
    )
