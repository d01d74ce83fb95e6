"""A process that counts a rollout of a test's log.

Each hour is kept by itself, so that there are many moments at which a kill could count one twice.
"""

from __future__ import annotations

import json
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from support.rollout_log import RolloutLog, plan, several
from support.rollout_recount import told_of
from windsock.adapters.rollout_events import step_count

JUDGED = several(3, plan(attribution="90m", unit_cap=3), dropped=(2,))


def main(folder: Path, url: str, minute: float, says: Connection[Any, Any]) -> None:
    """Say that it begins, count, and say what it comes to."""
    step_count.FOLD_ROWS = 1
    says.send("begins")
    says.send(json.dumps(told_of(RolloutLog(folder, url=url).totals(JUDGED, minute))))
