"""Shifts the clock of a Python process from its start on, where its environment asks for it.

Its folder is put on the path of the processes that a test starts, see ``support.shifted``.
"""

from __future__ import annotations

import os
import time

if shift := os.environ.get("WINDSOCK_TEST_CLOCK_SHIFT"):
    import time_machine

    time_machine.travel(time.time() + float(shift), tick=True).start()
