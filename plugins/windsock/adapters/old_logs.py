"""Old logs of a shipped stack: full ones of its programs, and those of its tasks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

FULL = re.compile(r".+\.log\.[0-9]+")


def old_logs(programs: Path, tasks: Path, before: datetime, *, remove: bool) -> tuple[int, int]:
    """Find logs that nobody has written to since a time; the ones that programs write to now are none.

    :param programs: folder of the programs' logs.
    :param tasks: folder of Airflow's logs.
    :param remove: whether they are removed, with the folders of tasks that are empty then.
    :returns: how many files, and how many bytes they have.
    """
    sizes, emptied = [], set[Path]()
    for folder, names in _folders(programs, tasks):
        found = [size for name in names if (size := _old(folder / name, before, remove)) is not None]
        sizes += found
        if remove and folder not in (programs, tasks) and (found or folder in emptied):
            with suppress(OSError):  # something is in it still
                folder.rmdir()
                emptied.add(folder.parent)
    return len(sizes), sum(sizes)


def _folders(programs: Path, tasks: Path) -> Iterator[tuple[Path, list[str]]]:
    with suppress(OSError):
        yield programs, [name for name in os.listdir(programs) if FULL.fullmatch(name)]
    for folder, _, names in os.walk(tasks, topdown=False):
        yield Path(folder), names


def _old(file: Path, before: datetime, remove: bool) -> int | None:
    """Return how many bytes an old file has; ``None``: it is younger, is gone or cannot be removed."""
    try:
        seen = file.lstat()
        if seen.st_mtime >= before.timestamp():
            return None
        if remove:
            file.unlink()
    except OSError:
        return None
    return seen.st_size


__all__ = ["old_logs"]
