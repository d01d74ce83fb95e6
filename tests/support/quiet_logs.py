"""What a quiet task may log: few lines of ours, none twice, and no warning of a library."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from windsock.cli.airflow_tasks import LogLine

OURS = re.compile(r"windsock(\..+)?")
"""Loggers of this package."""
MOST = 12
WARNINGS = frozenset({"warning", "error", "critical"})
WARNED = re.compile(r"\w*Warning\b")
"""Words such as ``DeprecationWarning``: what ``warnings`` prints may come at any level, by any logger."""


def ours(log: Iterable[LogLine]) -> list[LogLine]:
    """Return the lines that are ours, without marks of groups and blank lines."""
    return [
        line
        for line in log
        if OURS.fullmatch(line.logger) and line.event.strip() and not line.event.startswith("::")
    ]


def noise_in(log: Sequence[LogLine]) -> list[str]:
    """Return what is too much in the log of a quiet task; empty: nothing."""
    lines = ours(log)
    found = (
        [f"{len(lines)} lines of ours, at most {MOST}: {[line.event for line in lines]}"]
        if len(lines) > MOST
        else []
    )
    counts = Counter(line.event for line in log if line.event.strip() and not line.event.startswith("::"))
    found += [f"{number} times: {event!r}" for event, number in counts.items() if number > 1]
    for line in log:
        is_loud = line.level.lower() in WARNINGS and not OURS.fullmatch(line.logger)
        if is_loud or WARNED.search(line.event):
            found.append(f"{line.level} of {line.logger or 'no logger'}: {line.event!r}")
    return found
