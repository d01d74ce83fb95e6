"""The files of a bundle: read whole into memory, verified there, and parsed only then.

What was verified is what is parsed: nothing is read from the disk a second time.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Protocol

from windsock.adapters.signing import SIGNATURE_SIZE, Verifier
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError, UnverifiedBundleError
from windsock.records import (
    KNOWN_FILES,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    TREES_FILE,
    BundleManifest,
)

MIB = 1024**2
LIMITS = {
    SIGNATURE_FILE: SIGNATURE_SIZE,
    MANIFEST_FILE: 8 * MIB,
    MODEL_FILE: 4 * 1024 * MIB,
    TREES_FILE: 512 * MIB,
}
"""Most bytes of a file; of all others, :data:`OTHER_LIMIT`."""
OTHER_LIMIT = 64 * MIB
SHOWN = 10


def limit_of(name: str) -> int:
    """Return the most bytes that a file of a bundle may have."""
    return LIMITS.get(name, OTHER_LIMIT)


class BundleFolder(Protocol):
    """Where the files of a bundle are read from."""

    def names(self) -> set[str]:
        """Return the names of all that is in the folder."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        ...


class LocalBundle:
    """A bundle in a folder of this machine: regular files and nothing else.

    :param folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> set[str]:
        """Return the names of the files.

        :raises UnverifiedBundleError: if one of them is a link, a folder, or no regular file.
        :raises StorageError: if there is no such folder, or it cannot be read.
        """
        try:
            with os.scandir(self.folder) as entries:
                found = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
        except OSError as error:
            raise StorageError(
                f"there is no bundle at {self.folder}: {error.strerror or type(error).__name__}",
                code="WS-STORAGE-004",
                next_action="See that the storage root is the one the bundle was written to.",
            ) from error
        if strange := sorted(name for name, regular in found.items() if not regular):
            raise _wrong_files(f"{_listed(strange)} is no regular file")
        return set(found)

    def read(self, name: str) -> bytes:
        """Return a file's content; a link is not followed.

        :raises UnverifiedBundleError: if it is no regular file, or is larger than its limit.
        """
        try:
            descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise _wrong_files(f"{name} cannot be read ({error.strerror})") from error
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _wrong_files(f"{name} is no regular file")
            limit = limit_of(name)
            _require_size(name, status.st_size, limit)
            content = stream.read(limit + 1)
        _require_size(name, len(content), limit)
        return content


class StoredBundleFolder:
    """A bundle in an object store.

    :param storage: the storage root.
    :param uri: the bundle's folder.
    """

    def __init__(self, storage: Storage, uri: str) -> None:
        self.storage, self.uri = storage, uri

    def names(self) -> set[str]:
        """Return the names of all that is directly below the prefix.

        :raises StorageError: if there is nothing, or the store does not answer.
        """
        found = set(self.storage.names(self.uri))
        if not found:
            raise StorageError(
                f"there is no bundle at {self.uri}",
                code="WS-STORAGE-004",
                next_action="See that the storage root is the one the bundle was written to.",
            )
        return found

    def read(self, name: str) -> bytes:
        """Return a file's content.

        :raises UnverifiedBundleError: if it is larger than its limit.
        :raises StorageError: if it cannot be read.
        """
        content = self.storage.read_bytes(f"{self.uri}/{name}")
        _require_size(name, len(content), limit_of(name))
        return content


def open_bundle(storage: Storage, uri: str) -> BundleFolder:
    """Return the folder behind a bundle's URI.

    :raises StorageError: if it does not lie under the storage root.
    """
    local = storage.local_path(uri)
    return LocalBundle(local) if local is not None else StoredBundleFolder(storage, storage.uri(uri))


def is_gone(error: StorageError) -> bool:
    """Return whether a bundle's folder is not there; else it is there and cannot be read."""
    cause = error.__cause__
    gone = cause is None or isinstance(cause, FileNotFoundError | NotADirectoryError)
    return gone and error.code == "WS-STORAGE-004"


def read_verified(
    bundle: BundleFolder, verifier: Verifier, digest: str | None
) -> tuple[BundleManifest, dict[str, bytes]]:
    """Return a bundle's manifest and the content of all its files, verified before anything is parsed.

    The order: the manifest's signature, its digest, the exact set of files, the digest of each.

    :param digest: the bundle's digest; ``None`` where only the signature can tell which one it is.
    :returns: the manifest; the files by name, manifest and signature among them.
    :raises UnverifiedBundleError: if anything is not what was signed.
    :raises StorageError: if there is no bundle, or it cannot be read.
    """
    names = bundle.names()
    if missing := sorted({MANIFEST_FILE, SIGNATURE_FILE} - names):
        raise _wrong_files(f"{_listed(missing)} is missing")
    signed, signature = bundle.read(MANIFEST_FILE), bundle.read(SIGNATURE_FILE)
    if not verifier.verify(signed, signature):
        raise UnverifiedBundleError(
            "the bundle's manifest is not signed by a trusted key", code="WS-BUNDLE-002"
        )
    seen = hashlib.sha256(signed).hexdigest()
    if digest is not None and seen != digest:
        raise UnverifiedBundleError(
            f"this is bundle {seen[:12]}, asked for was {digest[:12]}", code="WS-BUNDLE-003"
        )
    manifest = _parse_manifest(signed)
    _require_exact_files(names - {MANIFEST_FILE, SIGNATURE_FILE}, set(manifest.files))
    files = {MANIFEST_FILE: signed, SIGNATURE_FILE: signature}
    for name, expected in sorted(manifest.files.items()):
        files[name] = bundle.read(name)
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise UnverifiedBundleError(
                f"{name} of bundle {seen[:12]} is not what was signed", code="WS-BUNDLE-005"
            )
    return manifest, files


def _parse_manifest(signed: bytes) -> BundleManifest:
    try:
        return BundleManifest.model_validate_json(signed)
    except ValueError as error:
        raise unreadable(MANIFEST_FILE, error) from None  # its text repeats the content


def _require_exact_files(there: set[str], listed: set[str]) -> None:
    faults = {
        "is unknown": listed - KNOWN_FILES,
        "is missing": (listed | {MODEL_FILE}) - there,
        "was added": there - listed,
    }
    for fault, names in faults.items():
        if names:
            raise _wrong_files(f"{_listed(sorted(names))} {fault}")


def _require_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise UnverifiedBundleError(
            f"{name} of the bundle has {size:,} bytes; the limit is {limit:,}",
            code="WS-BUNDLE-008",
            next_action="Train a smaller model; if this one was smaller, find out who changed the files.",
        )


def _wrong_files(fault: str) -> UnverifiedBundleError:
    return UnverifiedBundleError(
        f"the bundle's files are not those that were signed: {fault}", code="WS-BUNDLE-004"
    )


def unreadable(name: str, error: Exception) -> UnverifiedBundleError:
    """Return the error for a file that was verified and still cannot be read."""
    return UnverifiedBundleError(
        f"{name} of the bundle is signed, but cannot be read by this version ({type(error).__name__})",
        code="WS-BUNDLE-007",
        next_action="Use the version of Windsock that wrote it, or train the model again with this one.",
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
