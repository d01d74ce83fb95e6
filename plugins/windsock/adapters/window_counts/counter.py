"""``ArchiveWindowCounter``: slices of the prediction log, counted once and stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from windsock.adapters.storage import Storage
from windsock.ports import utc_now
from windsock.records import DriftProfile, Span
from windsock.statistics.counting import WindowCounts


class ArchiveWindowCounter:
    """Counts stretches of the prediction log against a profile.

    :param state_folder: the server's state folder, with the segments of hours that are not archived yet.
    :param storage: the storage root, with the archive and the stored counts.
    :param keys_dir: the installation's keys: with a ``log.key`` sensitive values are read for counting.
    :param now: the clock.
    """

    def __init__(
        self,
        state_folder: Path,
        storage: Storage,
        *,
        keys_dir: Path | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.state_folder = state_folder
        self.storage = storage
        self.keys_dir = keys_dir
        self.now = now

    def count(self, model: str, digest: str, profile: DriftProfile, span: Span) -> WindowCounts:
        """Return the counts of a stretch; see :class:`~windsock.ports.WindowCounter`."""
        raise NotImplementedError
