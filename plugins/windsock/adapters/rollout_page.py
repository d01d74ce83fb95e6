"""``RolloutPage``: one HTML page about a rollout."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.records import Rollout, RolloutDecision


class RolloutPage:
    """Writes the page that people look at; it needs nothing from elsewhere."""

    def html(self, rollout: Rollout, decisions: Sequence[RolloutDecision]) -> bytes:
        """Return the page."""
        raise NotImplementedError
