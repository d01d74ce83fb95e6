"""A process that counts a rollout of a test's log: ``python -m support.rollout_judge FOLDER URL MINUTE``.

Each hour is kept by itself, so that there are many moments at which a kill could count one twice.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support.rollout_log import RolloutLog, plan, several
from support.rollout_recount import told_of
from windsock.adapters.rollout_events import step_count

JUDGED = several(3, plan(attribution="90m", unit_cap=3), dropped=(2,))


def main(folder: Path, url: str, minute: float) -> None:
    """Count, and print what it comes to."""
    step_count.FOLD_ROWS = 1
    print("begins", flush=True)  # noqa: T201
    print(json.dumps(told_of(RolloutLog(folder, url=url).totals(JUDGED, minute))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
