"""``SqlMonitor``: windows, episodes, claims and alerts in the control database."""

from __future__ import annotations

from datetime import datetime

from windsock.records import (
    Alert,
    Episode,
    RetrainClaim,
    RetrainOutcome,
    WindowKind,
    WindowVerdict,
)
from windsock.spec import ModelSpec


class SqlMonitor:
    """Keeps what the monitor knows; see :class:`~windsock.ports.Monitor`.

    :param url: the control database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def windows(
        self, model: str, kind: WindowKind | None = None, *, since: datetime | None = None
    ) -> tuple[WindowVerdict, ...]:
        """Return judged windows in the order of their end."""
        raise NotImplementedError

    def add_window(self, verdict: WindowVerdict) -> WindowVerdict:
        """Keep a window's verdict."""
        raise NotImplementedError

    def episodes(self, model: str) -> tuple[Episode, ...]:
        """Return a model's episodes in the order in which they were opened."""
        raise NotImplementedError

    def announce(self, episode: Episode) -> Episode:
        """Open an episode, or count one more announcement of an open one."""
        raise NotImplementedError

    def claim(self, spec: ModelSpec, *, episode_key: str | None, holder: str, now: datetime) -> RetrainClaim:
        """Claim a model for one retrain."""
        raise NotImplementedError

    def close(self, model: str, *, holder: str, outcome: RetrainOutcome, now: datetime) -> None:
        """Give a claim back and close its episode."""
        raise NotImplementedError

    def alerts(self, model: str, *, firing: bool | None = None) -> tuple[Alert, ...]:
        """Return a model's alerts, the latest last."""
        raise NotImplementedError

    def put_alert(self, alert: Alert) -> Alert:
        """Keep an alert's present state under its key, and its history."""
        raise NotImplementedError
