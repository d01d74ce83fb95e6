"""Counting by one query over all columns."""

from __future__ import annotations

from windsock.adapters.log_reading import HourLog, Moments
from windsock.adapters.window_counts.plan import Plan
from windsock.statistics.counting import WindowCounts


class IbisEngine:
    """Counts by Ibis."""

    def count(self, hour: HourLog, moments: Moments, plan: Plan, *, live: bool = True) -> WindowCounts:
        """Return the counts of an hour's rows of a stretch."""
        raise NotImplementedError
