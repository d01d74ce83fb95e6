"""How far each rollout's decisions had come, signed and kept under the storage root.

By its mark a rollout notices that looks are missing: taken away, or lost with an older backup.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from pydantic import ValidationError

from windsock.adapters.signing import Signer, Verifier
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import RolloutMark
from windsock.spec import MODEL_NAME, canonical_json

log = logging.getLogger(__name__)

FOLDER = "rollout_marks"
PURPOSE = "windsock.rollout_mark"
EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class RolloutMarks:
    """Reads and writes the marks; a storage that does not answer stops nothing, and is told.

    :param storage: the storage root.
    :param keys_dir: the installation's keys.
    """

    def __init__(self, storage: Storage, keys_dir: Path) -> None:
        self._storage = storage
        self._signer = Signer(keys_dir)
        self._verifier = Verifier(keys_dir, own=True)

    def find(self, model: str, experiment: str) -> RolloutMark | None:
        """Return a rollout's mark; ``None`` where there is none, or none that the installation signed."""
        path = _path(model, experiment)
        mark: RolloutMark | None = None
        signed = False
        try:
            if path is None or not self._storage.exists(path):
                return None
            content = json.loads(self._storage.read_bytes(path))
            mark = RolloutMark.model_validate(content["mark"])
            signed = self._verifier.verify(_signed_bytes(mark), bytes.fromhex(content["signature"]))
        except StorageError as error:
            log.warning("%s: %s: the mark of rollout %s cannot be read", error.code, model, experiment)
            return None
        except (ValidationError, ValueError, KeyError, TypeError, RecursionError):
            signed = False
        if mark is None or not signed or (mark.model, mark.experiment) != (model, experiment):
            log.warning("WS-LEDGER-003: the mark %s is not signed by this installation; it is not used", path)
            return None
        return mark

    def put(self, mark: RolloutMark) -> None:
        """Write a mark; what an earlier one knows of more decisions goes on."""
        path, known = _path(mark.model, mark.experiment), self.find(mark.model, mark.experiment)
        if path is None:
            return
        if known is not None:
            planned = tuple(sorted({*known.planned, *mark.planned}))
            mark = mark.replace(number=max(known.number, mark.number), planned=planned)
        if mark == known:
            return
        signature = self._signer.sign(_signed_bytes(mark)).hex()
        content = canonical_json({"mark": mark.model_dump(mode="json"), "signature": signature})
        try:
            self._storage.write_bytes(path, content.encode())
        except StorageError as error:
            log.warning(
                "%s: %s: the mark of rollout %s cannot be written: %s; a loss of decision %d would not "
                "be noticed until the next one",
                error.code,
                mark.model,
                mark.experiment,
                error.message,
                mark.number,
            )


def _path(model: str, experiment: str) -> str | None:
    if not MODEL_NAME.fullmatch(model) or not EXPERIMENT.fullmatch(experiment):
        return None
    return f"{FOLDER}/{model}/{experiment}.json"


def _signed_bytes(mark: RolloutMark) -> bytes:
    parts = [PURPOSE, 1, mark.model, mark.experiment, mark.number, list(mark.planned)]
    return canonical_json(parts).encode()
