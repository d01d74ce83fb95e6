"""Temporary files in memory: much of the suite's time is waiting for a disk that nobody needs to keep."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
LEAST_FREE = 4 * 2**30


def use_for_temporary_files(folder: Path = MEMORY, *, least_free: int = LEAST_FREE) -> bool:
    """Let temporary files lie in memory, where there is room and ``TMPDIR`` does not say otherwise.

    :param folder: a file system in memory.
    :param least_free: bytes that must be free there.
    :returns: whether they do.
    """
    if os.environ.get("TMPDIR") or not _fits(folder, least_free):
        return False
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # it may have been asked for before
    return True


def _fits(folder: Path, least_free: int) -> bool:
    try:
        may_execute = not os.statvfs(folder).f_flag & os.ST_NOEXEC
        return may_execute and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= least_free
    except OSError:
        return False
