"""A process that counts a rollout hour by hour: ``python -m support.fold_process FILE HOUR``.

The file is what :class:`Folding` holds; the hour is the one to begin with. It counts until it is killed, and
prints each hour that it has counted.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path

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
            roots=(),
            connections=lambda conn_id: conn_id,
        )


def main(file: Path, begun: int) -> None:
    """Count from an hour to the last one."""
    for heavy in ("duckdb", "pandas", "pyarrow.parquet"):
        import_module(heavy)
    folding = Folding.model_validate_json(file.read_bytes())
    events = folding.events()
    print("ready", flush=True)  # noqa: T201
    for hour in range(begun, folding.hours + 2):
        events.totals(folding.rollout, now=folding.begins + timedelta(hours=hour, minutes=5))
        print(hour, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
