"""``ArchiveRolloutEvents``: what the prediction log and the outcomes tell of a rollout."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from windsock.adapters.storage import Storage
from windsock.ports import Traffic
from windsock.records import Rollout, RolloutPlan, Span, StepTotals


class ArchiveRolloutEvents:
    """Counts exposures and outcomes by unit; what is counted once is kept under the storage root.

    :param state_folder: the server's state folder.
    :param storage: the storage root.
    :param url: the control database, which says which of the kept files holds.
    :param roots: folders that a file of outcomes may lie in.
    :param connections: turns an Airflow connection id into a SQLAlchemy URL.
    """

    def __init__(
        self,
        state_folder: Path,
        storage: Storage,
        *,
        url: str,
        roots: tuple[Path, ...],
        connections: Callable[[str], str],
    ) -> None:
        self.state_folder = state_folder
        self.storage = storage
        self.url = url
        self.roots = roots
        self.connections = connections

    def totals(self, rollout: Rollout, *, now: datetime) -> StepTotals:
        """Return what was seen of the rollout's present step."""
        raise NotImplementedError

    def traffic(self, model: str, plan: RolloutPlan, span: Span) -> Traffic:
        """Return what a stretch of the log tells a planner."""
        raise NotImplementedError

    def forget(self, model: str, experiment: str) -> None:
        """Remove what was kept of a rollout that is over."""
        raise NotImplementedError
