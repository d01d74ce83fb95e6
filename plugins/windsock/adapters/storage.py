"""``Storage``: files under the storage root, a folder or any fsspec URL. Whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from uuid import uuid4

from windsock.adapters.storage_backends import Backend, LocalFolder, ObjectStore
from windsock.exceptions import SettingsError, StorageError, WindsockError

PROBES = "probes"
"""Prefix of an object store below which it is tried whether it can be written."""
LOCAL_SCHEMES = ("file://", "local://")
RIGHTS = "Give this user the right to read and write there."
SPACE = "Free some space, then clear this task; nothing half-written is left."
CAUSES = {
    errno.ENOSPC: ("WS-STORAGE-002", "the disk is full", SPACE),
    errno.EDQUOT: ("WS-STORAGE-002", "the disk quota is used up", SPACE),
    errno.EACCES: ("WS-STORAGE-003", "permission denied", RIGHTS),
    errno.EPERM: ("WS-STORAGE-003", "operation not permitted", RIGHTS),
    errno.EROFS: ("WS-STORAGE-003", "the file system is read-only", RIGHTS),
    errno.ENOENT: (
        "WS-STORAGE-004",
        "it is not there",
        "See that the storage root is the one it was written to.",
    ),
}


class Storage:
    """Files and folders under one root.

    Every method takes a path relative to the root, or the URI that :meth:`uri` made of one. On a folder each
    write is atomic: a temporary name, fsync, rename, fsync of the folder. On an object store a file is one
    put, and a tree counts from its last object on.

    :param url: a folder, ``file://`` and a folder, or an fsspec URL without credentials, such as
        ``s3://bucket/place``.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return f"Storage({self.root!r})"

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "://" not in self.url or self.url.startswith(LOCAL_SCHEMES)

    @property
    def root(self) -> str:
        """The root as an absolute path or URL, without a slash at its end.

        :raises SettingsError: if the URL carries credentials: records keep URIs, so they would be kept too.
        """
        if self.is_local:
            plain = self.url.partition("://")[2] or self.url
            return os.path.normpath(Path(plain).expanduser().absolute())
        if "@" in urlsplit(self.url).netloc:
            raise SettingsError(
                "the storage URL carries credentials",
                code="WS-STORAGE-006",
                next_action="Give them to fsspec by its environment variables or configuration file instead.",
            )
        scheme, _, place = self.url.partition("://")
        return f"{scheme}://{place.strip('/')}"

    def uri(self, path: str) -> str:
        """Return the absolute URI of a path.

        :param path: relative to the root, or a URI under the root.
        :raises SettingsError: if it leads out of the root.
        """
        relative = self._relative(path)
        return f"{self.root.rstrip('/')}/{relative}" if relative else self.root

    def here(self, address: str, *, folder: str, depth: int) -> str:
        """Return a recorded address as it lies under this root, also if it was written under another one.

        Records keep whole addresses. After an installation was moved, the place under the root is told by
        the last parts of an address. Only for readers that hold what they read against a digest: what lies
        there under this root may be something else.

        :param folder: the folder of the root that such addresses lie in, such as ``bundles``.
        :param depth: parts of such an address under the root, that folder among them.
        :returns: the address itself where it lies under the root already, or is none of that folder.
        """
        if address.startswith(f"{self.root.rstrip('/')}/") or not ("://" in address or address[:1] == "/"):
            return address
        parts = address.split("/")[-depth:]
        is_one = len(parts) == depth and parts[0] == folder and not {"", ".", ".."} & set(parts)
        return "/".join(parts) if is_one else address

    def local_path(self, path: str) -> Path | None:
        """Return the file or folder on this machine, or ``None`` on an object store."""
        return Path(self.uri(path)) if self.is_local else None

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder."""
        with self._guard("look for", path) as place:
            return self._backend.exists(place)

    def read_bytes(self, path: str) -> bytes:
        """Return a file's content.

        :raises StorageError: if it is not there or cannot be read.
        """
        with self._guard("read", path) as place:
            return self._backend.read(place)

    def write_bytes(self, path: str, content: bytes, *, keep_first: bool = False) -> bool:
        """Write a file whole.

        :param keep_first: leave a file that is there already as it is.
        :returns: whether it was written.
        :raises StorageError: if it cannot be written; what was there before is still there.
        """
        with self._guard("write", path) as place:
            return self._backend.write(place, content, keep_first=keep_first)

    def names(self, path: str) -> tuple[str, ...]:
        """Return the names directly in a folder, sorted; none if there is no such folder."""
        with self._guard("list", path) as place:
            return tuple(sorted(self._backend.names(place)))

    def marks(self, path: str) -> dict[str, str]:
        """Return, by name, what tells one state of each file directly in a folder from another.

        A file that is written anew has another mark; to compare marks costs no reading.
        """
        with self._guard("list", path) as place:
            return dict(self._backend.marks(place))

    def size(self, path: str) -> int:
        """Return how many bytes a file, or all files of a folder, have; 0 if it is not there."""
        with self._guard("measure", path) as place:
            return self._backend.size(place)

    def remove(self, path: str) -> None:
        """Remove a file or a whole folder; one that is not there is fine.

        :raises StorageError: if it cannot be removed.
        :raises SettingsError: if it is the root itself.
        """
        if not self._relative(path):
            raise SettingsError(
                "the storage root itself is never removed",
                code="WS-STORAGE-005",
                next_action="Name a folder under the root.",
            )
        with self._guard("remove", path) as place:
            self._backend.remove(place)

    def put_tree(self, folder: Path, path: str, *, last: str) -> bool:
        """Copy a local folder to a new place, whole.

        On a folder the tree appears in one rename. On an object store the file named ``last`` comes last:
        readers look for it first and treat a tree without it as not there.

        :param folder: files and sub-folders to copy.
        :param path: where to. A tree that is there already, with its last file, stands.
        :param last: name of the file that completes the tree, such as ``manifest.json``.
        :returns: whether it was written; ``False`` if another tree stands there.
        :raises StorageError: if it cannot be written; nothing half-written is visible.
        """
        files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
        if last not in files:
            raise ValueError(f"{last} is not among the files of the tree")
        if self.exists(f"{self.uri(path)}/{last}"):
            return False
        with self._guard("write", path) as place:
            self._backend.need_space(sum(file.stat().st_size for file in files.values()))
            return self._backend.put_tree(folder, place, [*sorted(files.keys() - {last}), last])

    def fetch_tree(self, path: str, folder: Path) -> tuple[str, ...]:
        """Copy a tree to a local folder.

        :param folder: made if it is not there.
        :returns: the names of the files, relative to it.
        :raises StorageError: if the tree is not there or cannot be copied.
        """
        with self._guard("read", path) as place:
            self._backend.fetch_tree(place, folder)
        return tuple(
            sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        )

    @contextmanager
    def working_folder(self, size: int = 0) -> Iterator[Path]:
        """Give a private folder to prepare a tree in; removed afterwards.

        :param size: bytes that will be written to it.
        :raises StorageError: if there is too little space, or the disk fills up while it is used.
        """
        try:
            self._backend.need_space(size)
            with self._backend.working_folder() as folder:
                yield folder
        except OSError as error:
            if isinstance(error, WindsockError):
                raise
            raise self._error("prepare files under", self.root, error) from error

    def require_writable(self, *folders: str) -> None:
        """Write a small file and remove it, and see that folders that are there already may be written.

        :param folders: below the root.
        :raises StorageError: if the storage cannot be written, is full or does not answer.
        """
        if not self.is_local:
            probe = f"{PROBES}/{uuid4().hex}"
            self.write_bytes(probe, b"windsock")
            self.remove(probe)
            return
        with self.working_folder() as scratch:
            (scratch / "probe").write_bytes(b"windsock")
        for folder in folders:
            place = Path(self.uri(folder))
            if place.exists() and not place.is_dir():
                raise self._error("write to", str(place), NotADirectoryError(errno.ENOTDIR, ""))
            if place.exists() and not os.access(place, os.W_OK | os.X_OK):
                raise self._error("write to", str(place), PermissionError(errno.EACCES, ""))

    @property
    def _backend(self) -> Backend:
        return LocalFolder(self.root) if self.is_local else ObjectStore(self.root)

    def _relative(self, path: str) -> str:
        base = f"{self.root.rstrip('/')}/"
        rest = "" if path == self.root else path.removeprefix(base)
        outside = "://" in rest or rest.startswith(("/", "~")) or "\\" in rest or "\0" in rest
        parts = PurePosixPath(rest).parts
        if outside or ".." in parts:
            head, found, tail = path.partition("://")
            shown = f"{head}://{tail.rpartition('@')[2]}" if found else path
            raise SettingsError(
                f"{shown[:200]!r} does not lie under the storage root {self.root}",
                code="WS-STORAGE-005",
                next_action="Set WINDSOCK_STORAGE_URL to the root that the record was written under.",
            )
        return "/".join(parts)

    @contextmanager
    def _guard(self, action: str, path: str) -> Iterator[str]:
        place = self.uri(path)
        try:
            yield place
        except WindsockError:
            raise
        except OSError as error:
            raise self._error(action, place, error) from error
        except Exception as error:
            if self.is_local:
                raise
            raise self._error(action, place, error) from error  # object stores have errors of their own

    @staticmethod
    def _error(action: str, place: str, error: Exception) -> StorageError:
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else getattr(error, "errno", None)
        failed = ("WS-STORAGE-001", f"it failed with {type(error).__name__}", None)
        code, why, cure = CAUSES.get(number or 0, failed)
        return StorageError(f"cannot {action} {place}: {why}", code=code, next_action=cure)
