"""Whether the gate said yes to a bundle, by its signed evidence pack; a server keeps a copy of it."""

from __future__ import annotations

import json
from pathlib import Path

from windsock.adapters.signing import Verifier
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError, UnverifiedBundleError
from windsock.records import Digest
from windsock.records.evidence_pack import fault_in_pack

FOLDER = "evidence"
NEXT = "Deploy a version that the gate said yes to; if its evidence is missing, restore it from a backup."


class EvidenceCopies:
    """Looks for a yes among the server's copies, then below the storage root.

    :param storage: the storage root.
    :param folder: the server's state folder.
    :param keys_dir: the keys whose signatures count, as for bundles.
    """

    def __init__(self, storage: Storage, folder: Path, keys_dir: Path) -> None:
        self._storage = storage
        self._copies = Storage(str(folder / FOLDER))
        self._verifier = Verifier(keys_dir)

    def require_yes(self, model: str, digest: Digest) -> None:
        """See that a signed pack says that the gate said yes to a bundle.

        :raises UnverifiedBundleError: if none does.
        :raises StorageError: if there is no copy, and the storage does not answer.
        """
        copy = f"{digest}.json"
        if not self._fault(_read(self._copies, copy), model, digest):
            return
        if not self._storage.exists(FOLDER):
            raise StorageError(
                f"below {self._storage.root} there is no evidence at all",
                next_action="Mount the storage root, or restore its folder `evidence` from a backup.",
            )
        faults = ["there is no pack of it"]
        for name in self._storage.names(f"{FOLDER}/{model}"):
            if not name.startswith(digest) or not name.endswith(".json"):
                continue
            pack = _read(self._storage, f"{FOLDER}/{model}/{name}")
            fault = self._fault(pack, model, digest)
            if pack is not None and not fault:
                self._copies.write_bytes(f"{copy}.sig", pack[1])
                self._copies.write_bytes(copy, pack[0])
                return
            faults.append(f"{name} {fault}")
        raise UnverifiedBundleError(
            f"no signed evidence says that bundle {digest[:12]} of {model} passed the gate: {faults[-1]}",
            code="WS-SERVING-066",
            next_action=NEXT,
        )

    def _fault(self, pack: tuple[bytes, bytes] | None, model: str, digest: Digest) -> str:
        """Return what speaks against a pack with its signature; empty if it carries the yes."""
        if pack is None:
            return "is not signed"
        if not self._verifier.verify(*pack):
            return "is not signed by a trusted key"
        about = {"model": model, "bundle": digest, "decision's bundle": digest}
        return fault_in_pack(json.loads(pack[0]), about)


def _read(storage: Storage, path: str) -> tuple[bytes, bytes] | None:
    """Return a document and its signature; ``None`` where one of them is missing."""
    if not storage.exists(path) or not storage.exists(f"{path}.sig"):
        return None
    return storage.read_bytes(path), storage.read_bytes(f"{path}.sig")
