"""``SqlRollouts``: the decisions on rollouts, in the control database."""

from __future__ import annotations

from windsock.records import RolloutDecision


class SqlRollouts:
    """Keeps one decision for each number of a rollout.

    :param url: the control database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def decisions(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        """Return a rollout's decisions by number."""
        raise NotImplementedError

    def add_decision(self, decision: RolloutDecision) -> RolloutDecision:
        """Keep a decision unless its number has one; return the one that stands."""
        raise NotImplementedError
