"""The two kinds of storage: a folder of this machine and an object store. Only ``Storage`` uses them.

They know paths, not roots, and raise what the system raises; ``Storage`` turns that into words.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from uuid import uuid4

from windsock.exceptions import SettingsError, StorageError
from windsock.library_texts import library_text
from windsock.private_files import give, make_folder, opener, tighten, tighten_old

SCRATCH = ".scratch"
"""Folder below a local root for what is being written; nothing in it counts."""
STALE_SECONDS = 86_400
"""What a killed task left in the scratch folder is removed after this time."""
OWN = (
    *("bundles", "counts", "evidence", "expectations", "outcomes", "predictions", "removed", "rollouts"),
    "snapshots",
    "unanswered",
    SCRATCH,
)
"""What Windsock writes below a local root; the scratch folder, which tells an old root, is the last."""
RESERVE_BYTES = 16 * 1024 * 1024
"""Free space that a write leaves."""
MARKS = ("size", "ETag", "etag", "LastModified", "mtime", "updated", "created")
"""What listings of object stores say of an object, each store in its own words."""
MOST_BYTES = 2 * 1024**3
"""Largest file that is read whole."""


class Backend(Protocol):
    """What both kinds can do. Places are absolute, made by ``Storage.uri``."""

    def exists(self, place: str) -> bool:
        """Return whether there is a file or folder."""
        ...

    def read(self, place: str) -> bytes:
        """Return a file's content."""
        ...

    def write(self, place: str, content: bytes, *, keep_first: bool) -> bool:
        """Write a file whole; return whether it was written."""
        ...

    def names(self, place: str) -> Sequence[str]:
        """Return the names directly in a folder."""
        ...

    def marks(self, place: str) -> Mapping[str, str]:
        """Return what tells one state of each file directly in a folder from another."""
        ...

    def size(self, place: str) -> int:
        """Return how many bytes a file, or all files of a folder, have."""
        ...

    def remove(self, place: str) -> None:
        """Remove a file or a folder."""
        ...

    def put_tree(self, folder: Path, place: str, names: Sequence[str]) -> bool:
        """Copy files; the last name completes the tree."""
        ...

    def fetch_tree(self, place: str, folder: Path) -> None:
        """Copy a tree to a local folder."""
        ...

    def need_space(self, size: int) -> None:
        """Refuse a write that the disk has no room for."""
        ...

    def working_folder(self) -> Any:
        """Give a private folder, as a context manager."""
        ...


class LocalFolder:
    """A folder of this machine.

    :param root: absolute path.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def exists(self, place: str) -> bool:
        """Return whether there is a file or folder."""
        return Path(place).exists()

    def read(self, place: str) -> bytes:
        """Return a regular file's content; a pipe or a device would be waited for, or never end."""
        descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", place)
            if found.st_size > MOST_BYTES:
                raise OSError(errno.EFBIG, "it is too large to be read whole", place)
            return stream.read()

    def write(self, place: str, content: bytes, *, keep_first: bool) -> bool:
        """Write to a temporary name, fsync, rename."""
        target = Path(place)
        self.need_space(len(content))
        with self.working_folder() as scratch:
            temporary = scratch / "file"
            with open(temporary, "xb", opener=opener) as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            make_folder(target.parent)
            try:
                if keep_first:
                    os.link(temporary, target)
                else:
                    temporary.replace(target)
            except FileExistsError:
                return False
        _sync(target.parent)
        return True

    def names(self, place: str) -> Sequence[str]:
        """Return the names directly in a folder."""
        folder = Path(place)
        return [entry.name for entry in folder.iterdir() if entry.name != SCRATCH] if folder.is_dir() else []

    def marks(self, place: str) -> Mapping[str, str]:
        """Return size, time and inode of each file directly in a folder."""
        found: dict[str, str] = {}
        for name in self.names(place):
            with suppress(FileNotFoundError):  # removed meanwhile
                seen = os.stat(os.path.join(place, name))
                found[name] = f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ino}"
        return found

    def size(self, place: str) -> int:
        """Return how many bytes a file, or all files of a folder, have."""
        target, total = Path(place), 0
        for file in target.rglob("*") if target.is_dir() else (target,):
            with suppress(FileNotFoundError):  # removed meanwhile, or never there
                seen = file.lstat()
                total += seen.st_size if stat.S_ISREG(seen.st_mode) else 0
        return total

    def remove(self, place: str) -> None:
        """Remove a file, or take a folder out of sight in one move and then remove it."""
        target = Path(place)
        if not target.is_dir():
            target.unlink(missing_ok=True)
            return
        with self.working_folder() as scratch:
            target.rename(scratch / "removed")

    def put_tree(self, folder: Path, place: str, names: Sequence[str]) -> bool:
        """Copy the files beside the target, fsync all, and move the whole tree there in one rename."""
        target, last = Path(place), names[-1]
        with self.working_folder() as scratch:
            tree = scratch / "tree"
            for name in names:
                make_folder((tree / name).parent)
                _copy(folder / name, tree / name)
            for entry in (tree, *tree.rglob("*")):
                _sync(entry)
            make_folder(target.parent)
            if target.exists() and not (target / last).exists():
                target.rename(scratch / "incomplete")
            try:
                tree.rename(target)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and (target / last).exists():
                    return False
                raise
        _sync(target.parent)
        return True

    def fetch_tree(self, place: str, folder: Path) -> None:
        """Copy a tree to a local folder."""
        if not Path(place).is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder")
        make_folder(folder)
        shutil.copytree(place, folder, dirs_exist_ok=True, copy_function=_copy)
        tighten(folder)

    def need_space(self, size: int) -> None:
        """Refuse a write that the disk has no room for."""
        there = self.root
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free
        if free < size + RESERVE_BYTES:
            raise StorageError(
                f"the disk is full at {self.root}: {size:,} bytes are needed, {free:,} are free, "
                f"{RESERVE_BYTES:,} of them are kept in reserve",
                code="WS-STORAGE-002",
                next_action="Free some space, then clear this task; nothing half-written is left.",
            )

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """Give a private folder on the root's own disk; removed afterwards."""
        base = self.root / SCRATCH
        folder = base / uuid4().hex
        make_folder(folder)
        try:
            tighten_old(self.root, OWN)
            _sweep(base)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class ObjectStore:
    """Any other fsspec URL.

    :param root: the URL.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    def exists(self, place: str) -> bool:
        """Return whether there is an object or a prefix."""
        fs, key = self._open(place)
        return bool(fs.exists(key))

    def read(self, place: str) -> bytes:
        """Return an object's content."""
        fs, key = self._open(place)
        return bytes(fs.cat_file(key))

    def write(self, place: str, content: bytes, *, keep_first: bool) -> bool:
        """Write an object in one put."""
        fs, key = self._open(place)
        if keep_first and fs.exists(key):
            return False
        fs.makedirs(str(PurePosixPath(key).parent), exist_ok=True)
        fs.pipe_file(key, content)
        return True

    def names(self, place: str) -> Sequence[str]:
        """Return the names directly below a prefix."""
        fs, key = self._open(place)
        found = fs.ls(key, detail=False) if fs.isdir(key) else []
        return [PurePosixPath(str(name).rstrip("/")).name for name in found]

    def marks(self, place: str) -> Mapping[str, str]:
        """Return size and tag, or time, of each object directly below a prefix."""
        fs, key = self._open(place)
        found = fs.ls(key, detail=True) if fs.isdir(key) else []
        return {
            PurePosixPath(str(one["name"]).rstrip("/")).name: "-".join(
                str(one[said]) for said in MARKS if one.get(said) is not None
            )
            for one in found
        }

    def size(self, place: str) -> int:
        """Return how many bytes an object, or all below a prefix, have."""
        fs, key = self._open(place)
        return int(fs.du(key, total=True)) if fs.exists(key) else 0

    def remove(self, place: str) -> None:
        """Remove an object, or all below a prefix."""
        fs, key = self._open(place)
        if fs.exists(key):
            fs.rm(key, recursive=True)

    def put_tree(self, folder: Path, place: str, names: Sequence[str]) -> bool:
        """Put the objects in order; on a failure remove those that were put."""
        fs, key = self._open(place)
        try:
            for name in names:
                fs.makedirs(str(PurePosixPath(f"{key}/{name}").parent), exist_ok=True)
                fs.put_file(str(folder / name), f"{key}/{name}")
        except Exception:
            with suppress(Exception):
                if not fs.exists(f"{key}/{names[-1]}"):
                    fs.rm(key, recursive=True)
            raise
        return True

    def fetch_tree(self, place: str, folder: Path) -> None:
        """Copy all objects below a prefix to a local folder."""
        fs, key = self._open(place)
        found = fs.find(key)
        if not found:
            raise FileNotFoundError(errno.ENOENT, "no such prefix")
        for name in found:
            target = folder / str(name).removeprefix(key).lstrip("/")
            make_folder(target.parent)
            fs.get_file(name, str(target))
            give(target)

    def need_space(self, size: int) -> None:
        """Object stores say themselves when they are full."""

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """Give a private folder among the system's temporary ones; removed afterwards."""
        with TemporaryDirectory(prefix="windsock-") as name:
            yield Path(name)

    def _open(self, place: str) -> tuple[Any, str]:
        import fsspec

        try:
            fs, key = fsspec.core.url_to_fs(place)
        except (ImportError, ValueError) as error:
            raise SettingsError(
                f"the storage URL {self.root} cannot be used: {library_text(error)}",
                code="WS-STORAGE-006",
                next_action="Mend WINDSOCK_STORAGE_URL, or install the fsspec package for its scheme.",
            ) from error
        fs.invalidate_cache()
        return fs, str(key).rstrip("/")


def _copy(source: Path | str, target: Path | str) -> None:
    with open(source, "rb") as reading, open(target, "wb", opener=opener) as writing:
        shutil.copyfileobj(reading, writing, 1024 * 1024)


def _sync(entry: Path) -> None:
    descriptor = os.open(entry, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(base: Path) -> None:
    for folder in base.iterdir():
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
