"""Shifts the clock of a Python process from its start on, where its environment asks for it.

SQLite's ``CURRENT_TIMESTAMP``, by which Airflow's scheduler goes, is shifted, too. The folder of this file is
put on the path of the processes that a test starts, see ``support.shifted``.
"""

from __future__ import annotations

import os
import time

if shift := os.environ.get("WINDSOCK_TEST_CLOCK_SHIFT"):
    import sqlite3
    from typing import Any

    import time_machine

    time_machine.travel(time.time() + float(shift), tick=True).start()
    time.time()  # the travelled clock stands still until it is read

    class Connection(sqlite3.Connection):
        """A connection whose SQL lives at the hour of the process."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.create_function("current_timestamp", 0, lambda: time.strftime("%F %T", time.gmtime()))

    plain = sqlite3.connect

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        """Connect as ever."""
        return plain(*args, **{"factory": Connection, **kwargs})

    sqlite3.connect = sqlite3.dbapi2.connect = connect  # type: ignore[assignment]
