"""How much memory this process may still take: by the machine, its container and its own limit."""

from __future__ import annotations

import os
import resource
from pathlib import Path

UNKNOWN = 8 * 1024**3
"""Taken for free where nothing says how much is."""
MACHINE = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/statm")


def free_memory() -> int:
    """Return the bytes that are free, the least of what machine, container and process allow."""
    found = [free for free in (_of_machine(), _of_container(), _of_process()) if free is not None]
    return max(0, min(found, default=UNKNOWN))


def _of_machine() -> int | None:
    lines = _read(MACHINE).splitlines()
    line = next((line for line in lines if line.startswith("MemAvailable:")), None)
    return int(line.split()[1]) * 1024 if line else None


def _of_container() -> int | None:
    limit, used = _read(CONTAINER / "memory.max").strip(), _read(CONTAINER / "memory.current").strip()
    return int(limit) - int(used) if limit.isdecimal() and used.isdecimal() else None


def _of_process() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _read(OWN).split()
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
