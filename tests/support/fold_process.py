"""A process that counts a rollout hour by hour until it is killed."""

from __future__ import annotations

from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

from windsock.adapters.rollout_events import ArchiveRolloutEvents
from windsock.adapters.storage import Storage
from windsock.records import Record, Rollout
from windsock.settings import Settings


class Folding(Record):
    """What is counted.

    :param begins: the first hour.
    :param hours: how many.
    """

    settings: Settings
    url: str
    rollout: Rollout
    begins: datetime
    hours: int

    def events(self) -> ArchiveRolloutEvents:
        """Return what counts."""
        return ArchiveRolloutEvents(
            self.settings.serving_dir,
            Storage(self.settings.storage_url),
            url=self.url,
            keys_dir=self.settings.keys_dir,
            roots=(),
            connections=lambda conn_id: conn_id,
        )


def main(folding: Folding, begun: int, says: Connection[Any, Any]) -> None:
    """Count from an hour to the last one; say each hour that is counted."""
    events = folding.events()
    says.send("ready")
    for hour in range(begun, folding.hours + 2):
        events.totals(folding.rollout, now=folding.begins + timedelta(hours=hour, minutes=5))
        says.send(hour)
