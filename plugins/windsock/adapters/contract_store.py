"""``FileContractStore``: data contracts and statistics below the storage root; people's contracts as YAML."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from windsock.adapters.storage import Storage
from windsock.exceptions import (
    DataRefusedError,
    SettingsError,
    SpecError,
    StorageError,
    UnverifiedSnapshotError,
)
from windsock.records import DataContract, Digest, Record, SnapshotStatistics
from windsock.records.contract_file import contract_by_people
from windsock.spec import MODEL_NAME, canonical_json
from windsock.spec.columns import ContractFile
from windsock.spec.faults import Fault, faults_error
from windsock.spec.translation import Translator
from windsock.spec.yaml_reader import read_yaml

DIGEST = re.compile(r"[0-9a-f]{64}")
MOST_BYTES, MOST_VALUES = 4 * 1024 * 1024, 100_000
NO_FILE = (errno.EINVAL, errno.EFBIG, errno.ELOOP)
"""What a folder, a pipe, a file of gigabytes or a link to itself in a document's place come to."""
FOLDERS = {DataContract: "contract", SnapshotStatistics: "statistics"}

Document = TypeVar("Document", bound=Record)


class FileContractStore:
    """Keeps documents as ``contracts/MODEL/contract/DIGEST.json`` and ``.../statistics/DIGEST.json``.

    A document is verified each time it is read: its digest is in a signed row of the ledger.

    :param contracts_dir: folder of the contracts that people wrote, ``NAME.yaml`` each.
    :param storage: the storage root.
    """

    def __init__(self, contracts_dir: Path, storage: Storage) -> None:
        self.contracts_dir = contracts_dir
        self.storage = storage

    def written_by_people(self, model: str) -> DataContract | None:
        """Return the contract that people keep for this model, or ``None``.

        :raises DataRefusedError: if the file is no contract; with every fault, by line and key.
        """
        file = self.contracts_dir / f"{model}.yaml"
        if not MODEL_NAME.fullmatch(model):
            return None
        if not file.exists():
            if file.is_symlink():
                raise DataRefusedError(
                    f"{file} is a link to a file that is not there",
                    code="WS-DATA-075",
                    next_action="Put the file there that it leads to, or remove the link.",
                )
            return None
        try:
            written = read_contract_file(file)
            if written is None:
                return None
            if written.model != model:
                fault = Fault(
                    file=str(file),
                    line=1,
                    key="model",
                    problem=f"this is the contract of {written.model!r}",
                    cure=f"write model: {model}, or rename the file",
                )
                raise faults_error([fault])
        except SpecError as error:
            raise DataRefusedError(
                f"the data contract cannot be used: {error.message}",
                code="WS-DATA-070",
                next_action=(
                    f"Fix the lines named in {file}; `windsock data contract {model}` prints a contract that "
                    "can be used, once the file is moved away."
                ),
            ) from None
        return contract_by_people(written)

    def put(self, document: DataContract | SnapshotStatistics) -> tuple[str, Digest]:
        """Write a document by its content; return where it lies, and its digest.

        :raises StorageError: if it cannot be written; nothing half-written is left.
        """
        content = canonical_json(document.model_dump(mode="json")).encode()
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(document.model, FOLDERS[type(document)], digest)
        self.storage.write_bytes(path, content)
        return self.storage.uri(path), digest

    def contract(self, uri: str, digest: Digest) -> DataContract:
        """Read a contract back.

        :raises StorageError: if the storage does not answer.
        :raises UnverifiedSnapshotError: if it is not there, or not what the digest stands for.
        """
        return self._read(uri, digest, DataContract)

    def statistics(self, uri: str, digest: Digest) -> SnapshotStatistics:
        """Read a snapshot's statistics back; it raises as :meth:`contract` does."""
        return self._read(uri, digest, SnapshotStatistics)

    def _read(self, uri: str, digest: Digest, kind: type[Document]) -> Document:
        try:
            content = self.storage.read_bytes(self.storage.here(uri, folder="contracts", depth=4))
        except StorageError as error:
            if not self._is_lost(error):
                raise
            raise _broken(uri, "it is not there, or is no file", code="WS-DATA-074") from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise _broken(uri, "its content is not what its digest stands for")
        try:
            return kind.model_validate(json.loads(content))
        except (ValueError, ValidationError):
            raise _broken(uri, f"it is no {FOLDERS[kind]}") from None

    def _is_lost(self, error: StorageError) -> bool:
        """Return whether a document is not there though its storage is; else the storage does not answer."""
        found = error.__cause__
        gone = isinstance(found, FileNotFoundError | NotADirectoryError | IsADirectoryError) or (
            isinstance(found, OSError) and found.errno in NO_FILE
        )
        return gone and self.storage.exists(self.storage.root)

    @staticmethod
    def _path(model: str, folder: str, digest: str) -> str:
        if not MODEL_NAME.fullmatch(model) or not DIGEST.fullmatch(digest):
            raise SettingsError(
                f"{model[:60]!r} is no model name",
                code="WS-STORAGE-005",
                next_action="Hand over the record as it was written.",
            )
        return f"contracts/{model}/{folder}/{digest}.json"


def read_contract_file(file: Path) -> ContractFile | None:
    """Read one contract file; an empty one decides nothing, such as one that a shell is about to fill.

    :raises SpecError: one error with every fault of the file.
    """
    document = read_yaml(file, most_bytes=MOST_BYTES, most_values=MOST_VALUES)
    content = document.value
    if content is None:
        return None
    if not isinstance(content, dict):
        raise faults_error(
            [
                Fault(
                    file=str(file),
                    line=document.line(()),
                    key="",
                    problem="the file is no block of keys",
                    allowed="the keys model and columns",
                    cure="write a contract as `windsock data contract` prints it, or remove the file",
                )
            ]
        )
    translator = Translator(model=ContractFile, content=content, document=document, file=str(file), moved={})
    try:
        return ContractFile.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise faults_error(translator.faults(error)) from None


def _broken(place: str, why: str, *, code: str = "WS-DATA-073") -> UnverifiedSnapshotError:
    return UnverifiedSnapshotError(
        f"{place} is not what was written: {why}",
        code=code,
        next_action=(
            "Find out who changed or removed it, and bring it back from a backup; until then the newest "
            "document that is whole counts, and a person is asked."
        ),
    )
