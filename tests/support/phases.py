"""How long each part of the tests took: seconds of all workers together, by folder."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FILE = "PYTEST_PHASES_FILE"
"""Environment variable: a file that takes a line ``NAME SECONDS`` for each part."""


def seconds_by_part(durations: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the seconds of each folder below ``tests``; files that lie in it directly are ``tests``.

    :param durations: node ids, each with the seconds of one of its phases.
    """
    found: dict[str, float] = defaultdict(float)
    for nodeid, seconds in durations:
        parts = nodeid.partition("::")[0].split("/")
        found[parts[1] if len(parts) > 2 else parts[0]] += seconds
    return dict(sorted(found.items()))


def print_parts(reporter: Any) -> None:
    """Print the seconds by part at the end of a run."""
    reports = [
        report for listed in reporter.stats.values() for report in listed if hasattr(report, "duration")
    ]
    parts = seconds_by_part((report.nodeid, report.duration) for report in reports)
    if not parts:
        return
    listed = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in parts.items())
    reporter.write_line(f"worker seconds by part: {listed}")
    if file := os.environ.get(FILE):
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.writelines(f"{name} {seconds:.0f}\n" for name, seconds in parts.items())
