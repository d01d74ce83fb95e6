"""Small files of the server's state folder: written whole or not at all, locked while they change."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from windsock.exceptions import StorageError
from windsock.private_files import give, make_folder

FULL = (errno.ENOSPC, errno.EDQUOT)


def replace_file(file: Path, content: str) -> None:
    """Write a file under a temporary name, bring it to the disk, then give it its name.

    :raises StorageError: if it cannot be written; what was there before is still there.
    """
    made: str | None = None
    try:
        make_folder(file.parent)
        descriptor, made = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            give(Path(made))
            os.fsync(descriptor)
        os.replace(made, file)
        made = None
        sync_folder(file.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {file}: {error.strerror or type(error).__name__}",
            code="WS-STORAGE-002" if error.errno in FULL else "WS-STORAGE-001",
        ) from error
    finally:
        if made is not None:
            with suppress(OSError):
                os.unlink(made)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock across processes; a process that dies lets go of it.

    :raises StorageError: if the lock file cannot be made.
    """
    try:
        make_folder(file.parent)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"cannot lock {file}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
