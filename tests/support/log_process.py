"""A process that writes the prediction log until it is killed: ``python -m support.log_process FOLDER``.

Each line it prints is a promise: ``outcome ID`` is acknowledged; ``rows N TIME WRITTEN`` says that rows 0 to
N - 1 had been handed over by TIME and that WRITTEN of them are on the disk.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from support.log_rows import answered
from windsock.ports import utc_now
from windsock.records import OutcomeEvent
from windsock.serving.prediction_log import PredictionLog

ROWS = 20
WRITERS = 16


async def main(folder: Path) -> None:
    """Write rows and outcomes until killed."""
    log = PredictionLog(folder)
    log.start()
    acknowledged = 0

    async def outcomes(writer: int) -> None:
        nonlocal acknowledged
        number = 0
        while True:
            identifier = f"{writer}-{number}"
            await log.add_outcome(
                OutcomeEvent(model="churn", prediction_id=identifier, outcome=True, receive_time=utc_now())
            )
            acknowledged += 1
            print(f"outcome {identifier}", flush=True)  # noqa: T201
            number += 1

    tasks = [asyncio.create_task(outcomes(writer)) for writer in range(WRITERS)]
    rows = 0
    while True:
        for _ in range(5):
            assert log.add_rows(*answered(*(str(rows + place) for place in range(ROWS)), at=utc_now()))
            rows += ROWS
        written = max(0, log.state.written - acknowledged - len(tasks))
        print(f"rows {rows} {time.time()} {written}", flush=True)  # noqa: T201
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
