"""``FakeMonitor``: windows, episodes, claims and alerts, in memory."""

from __future__ import annotations


class FakeMonitor:
    """Keeps nothing yet."""
