"""What each contender reports of itself: import apart from load and run, and its peak memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path


class Stopwatch:
    """Seconds by the clock and of processor time since the last look."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def look(self) -> tuple[float, float]:
        """Return them, and begin anew."""
        wall, cpu = time.perf_counter(), time.process_time()
        passed = wall - self._wall, cpu - self._cpu
        self._wall, self._cpu = wall, cpu
        return passed


def tell(
    imported: tuple[float, float], run: tuple[float, float], drifted: Iterable[str], **more: float
) -> None:
    """Print the figures as one line of JSON."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))  # of this program alone
    print(
        json.dumps(
            {
                "import_wall": imported[0],
                "import_cpu": imported[1],
                "wall": run[0],
                "cpu": run[1],
                "peak_mb": peak / 1024,
                "drifted": sorted(drifted),
                **more,
            }
        )
    )
