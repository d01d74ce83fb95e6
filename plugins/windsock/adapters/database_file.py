"""The file of an SQLite database: which one a process has opened, and whether it is still there.

A connection keeps the file that it has opened, whatever its name leads to by now: what it would write after a
restore goes into a file that nobody reads any more.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

_opened: WeakKeyDictionary[Engine, tuple[Path, tuple[int, int]]] = WeakKeyDictionary()


def file_of(url: URL) -> Path | None:
    """Return the file of an SQLite database; ``None``: another one, or one that a URI of SQLite names."""
    name = str(url.database)
    is_file = url.get_backend_name() == "sqlite" and not name.startswith("file:")
    return Path(name).absolute() if is_file else None


def remember_file(engine: Engine) -> None:
    """Note which file an engine has opened; an engine of no file of its own is left alone."""
    if (file := file_of(engine.url)) is not None:
        _opened[engine] = (file, _identity(file))


def is_replaced(engine: Engine) -> bool:
    """Say whether another file has the name of the one that an engine has opened.

    :raises FileNotFoundError: if no file has it.
    """
    if (known := _opened.get(engine)) is None:
        return False
    file, identity = known
    return _identity(file) != identity


def _identity(file: Path) -> tuple[int, int]:
    try:
        facts = file.stat()
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "its file was there before and is gone") from None
    return facts.st_dev, facts.st_ino
