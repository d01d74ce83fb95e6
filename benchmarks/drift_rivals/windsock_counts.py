"""Windsock: hours of the archive counted against the profile of the bundle, and judged.

``windsock_counts.py PROFILE STORAGE FIRST_HOUR LAST_HOUR [SLICES]``: counts that stretch, so many times.
"""

from __future__ import annotations

import sys

from timing import Stopwatch, tell

watch = Stopwatch()
import logging  # noqa: E402
from datetime import timedelta  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402, F401
import pyarrow.compute  # noqa: E402
import pyarrow.parquet  # noqa: E402, F401
import scipy.stats  # noqa: E402, F401

from windsock.adapters.log_format import hour_start  # noqa: E402
from windsock.adapters.storage import Storage  # noqa: E402
from windsock.adapters.window_counts import ArchiveWindowCounter  # noqa: E402
from windsock.monitoring.drift_columns import judge_columns  # noqa: E402
from windsock.records import DriftProfile, Span  # noqa: E402
from windsock.spec import DriftBlock  # noqa: E402

imported = watch.look()
logging.basicConfig(level=logging.WARNING)
_, profile_file, storage, first, last, *more = sys.argv
begin, end = hour_start(first), hour_start(last)
assert begin is not None
assert end is not None
profile = DriftProfile.model_validate_json(Path(profile_file).read_text())
counter = ArchiveWindowCounter(Path(storage) / "no-server", Storage(storage))
counts = counter.count("bench", "b" * 64, profile, Span(start=begin, end=end))
judged = judge_columns(profile, counts, DriftBlock())
run = watch.look()
again: tuple[float, float] = (0.0, 0.0)
if more:
    counter.count("bench", "b" * 64, profile, Span(start=begin, end=end))
    again = watch.look()
drifted = [column.name for column in judged.columns if column.status.value == "fail"]
tell(
    imported,
    run,
    drifted,
    rows=counts.rows,
    again_wall=again[0],
    again_cpu=again[1],
    hours=(end - begin) / timedelta(hours=1),
)
