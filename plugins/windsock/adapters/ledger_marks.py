"""How far each ledger had come, signed and kept under the storage root, outside the control database.

By its marks a ledger notices that rows at its end are missing: taken away, or lost with an older backup.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pydantic import ValidationError

from windsock.adapters.signing import Signer, Verifier
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import LedgerMark
from windsock.spec import MODEL_NAME, canonical_json

log = logging.getLogger(__name__)

FOLDER = "ledger"
PURPOSE = "windsock.ledger_mark"


class LedgerMarks:
    """Reads and writes the marks; a storage that does not answer stops nothing, and is told.

    :param storage: the storage root.
    :param keys_dir: the installation's keys.
    """

    def __init__(self, storage: Storage, keys_dir: Path) -> None:
        self._storage = storage
        self._signer = Signer(keys_dir)
        self._verifier = Verifier(keys_dir, own=True)

    def find(self, model: str) -> LedgerMark | None:
        """Return the mark of a model; ``None`` where there is none, or none that the installation signed."""
        path = _path(model)
        mark: LedgerMark | None = None
        signed = False
        try:
            if not MODEL_NAME.fullmatch(model) or not self._storage.exists(path):
                return None
            content = json.loads(self._storage.read_bytes(path))
            mark = LedgerMark.model_validate(content["mark"])
            signed = self._verifier.verify(_signed_bytes(mark), bytes.fromhex(content["signature"]))
        except StorageError as error:
            log.warning(
                "%s: the mark of the ledger of %s cannot be read: %s", error.code, model, error.message
            )
            return None
        except (ValidationError, ValueError, KeyError, TypeError, RecursionError):
            signed = False
        if mark is None or not signed or mark.model != model:
            log.warning("WS-LEDGER-003: the mark %s is not signed by this installation; it is not used", path)
            return None
        return mark

    def exists(self, model: str) -> bool:
        """Return whether a model has a mark, whoever signed it; a storage that is away has none."""
        try:
            return bool(MODEL_NAME.fullmatch(model)) and self._storage.exists(_path(model))
        except StorageError:
            return False

    def put(self, mark: LedgerMark) -> None:
        """Write a mark, unless one that is further stands."""
        standing = self.find(mark.model)
        if standing is not None and standing.seq >= mark.seq:
            return
        signature = self._signer.sign(_signed_bytes(mark)).hex()
        content = canonical_json({"mark": mark.model_dump(mode="json"), "signature": signature})
        try:
            self._storage.write_bytes(_path(mark.model), content.encode())
        except StorageError as error:
            log.warning(
                "%s: the mark of the ledger of %s cannot be written: %s; rows lost after row %d would not be "
                "noticed until the next row",
                error.code,
                mark.model,
                error.message,
                standing.seq if standing else 0,
            )

    def models(self) -> tuple[str, ...]:
        """Return the models that have a mark."""
        try:
            names = self._storage.names(FOLDER)
        except StorageError as error:
            log.warning("%s: the marks of the ledger cannot be read: %s", error.code, error.message)
            return ()
        return tuple(name.removesuffix(".json") for name in names if name.endswith(".json"))


def _path(model: str) -> str:
    return f"{FOLDER}/{model}.json"


def _signed_bytes(mark: LedgerMark) -> bytes:
    return canonical_json([PURPOSE, 1, mark.model, mark.seq, mark.hash, mark.epoch]).encode()
