"""``StoredThings``: what a retention removes from the storage root, and the notes that stay of it.

A note lies at ``removed/KIND/MODEL/NAME.json`` and is written before the thing is touched. A folder goes in
one move; on an object store its manifest goes first, and readers take a folder without one for not there. So
a process that is killed leaves either the whole thing, or something that no reader sees and whose note is
there: the next retention removes the rest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from windsock.adapters.bundle_files import bundle_place
from windsock.adapters.old_logs import old_logs
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records.bundle import MANIFEST_FILE
from windsock.records.retention import RemovalNote, StoredKind, StoredThing
from windsock.spec import MODEL_NAME, canonical_json

FOLDER = "removed"
LAST_FILE = f"{FOLDER}/last.json"
NAMES = {
    "bundles": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"),
    "snapshots": re.compile(r"[0-9a-f]{64}"),
    "evidence": re.compile(r"[0-9a-f]{64}-[0-9a-f]{12}\.json"),
}
"""What the things of each kind are called; a folder of theirs holds other files, too."""


class StoredThings:
    """Sees and removes bundles, snapshots and evidence packs.

    What is read here only says how old a thing is and what it is of. Nothing is believed by it.

    :param storage: the storage root.
    :param logs: folders of the logs of programs and of tasks; ``None``: there are none.
    """

    def __init__(self, storage: Storage, logs: tuple[Path, Path] | None = None) -> None:
        self.storage = storage
        self.logs = logs

    def things(self, kind: StoredKind, model: str, *, leave: Collection[str] = ()) -> tuple[StoredThing, ...]:
        """Return what is there of a model, without what cannot be read.

        A thing that is not whole is given without a time where a note says that its removal was begun.

        :param leave: names that are not looked at.
        :raises StorageError: if the storage does not answer.
        """
        if not MODEL_NAME.fullmatch(model):
            return ()
        names = [name for name in self.storage.names(f"{kind}/{model}") if NAMES[kind].fullmatch(name)]
        seen = (self._thing(kind, model, name) for name in names if name not in leave)
        return tuple(thing for thing in seen if thing is not None)

    def bundle_name(self, uri: str) -> str:
        """Return a bundle's name in its model's folder; empty where the address is of another root."""
        parts = bundle_place(self.storage, uri).removeprefix(f"{self.storage.root.rstrip('/')}/").split("/")
        return parts[2] if len(parts) == 3 and parts[0] == "bundles" else ""

    def remove(self, note: RemovalNote) -> int:
        """Leave the note, then remove the thing that it names; return how many bytes it had.

        :raises StorageError: if it cannot be removed.
        """
        path = f"{note.kind}/{note.model}/{note.name}"
        size = self.storage.size(path)
        self.storage.write_bytes(_note_path(note.kind, note.model, note.name), _json(note))
        if note.kind == "evidence":
            self.storage.remove(f"{path}.sig")
        elif not self.storage.is_local:
            self.storage.remove(f"{path}/{MANIFEST_FILE}")
        self.storage.remove(path)
        return size

    def size(self, thing: StoredThing) -> int:
        """Return how many bytes a thing has."""
        return self.storage.size(f"{thing.kind}/{thing.model}/{thing.name}")

    def note(self, kind: StoredKind, model: str, name: str) -> RemovalNote | None:
        """Return the note of a thing that was removed, or ``None`` where none was, or none can be read."""
        path = _note_path(kind, model, name)
        try:
            if not self.storage.exists(path):
                return None
            note = RemovalNote.model_validate_json(self.storage.read_bytes(path))
        except (StorageError, ValueError):
            return None
        return note if (note.kind, note.model, note.name) == (kind, model, name) else None

    def old_logs(self, before: datetime, *, remove: bool) -> tuple[int, int]:
        """Return how many logs nobody has written to since a time, and their bytes; remove them if asked."""
        return old_logs(*self.logs, before, remove=remove) if self.logs else (0, 0)

    def last_removal(self) -> datetime | None:
        """Return when a retention last came to its end, or ``None``."""
        if not self.storage.exists(LAST_FILE):
            return None
        try:
            return datetime.fromisoformat(json.loads(self.storage.read_bytes(LAST_FILE))["at"])
        except (ValueError, KeyError, TypeError):
            return None

    def removal_ended(self, at: datetime) -> None:
        """Keep that a retention came to its end."""
        self.storage.write_bytes(LAST_FILE, canonical_json({"at": at.isoformat()}).encode())

    def _thing(self, kind: StoredKind, model: str, name: str) -> StoredThing | None:
        thing = StoredThing(kind=kind, model=model, name=name)
        path = f"{kind}/{model}/{name}"
        if kind != "evidence":
            path = f"{path}/{MANIFEST_FILE}"
            if not self.storage.exists(path):
                return thing if self.note(kind, model, name) else None
        try:
            return thing.replace(**_facts(kind, self.storage.read_bytes(path)))
        except (ValueError, KeyError, TypeError):
            return None


def _facts(kind: StoredKind, stored: bytes) -> dict[str, Any]:
    content = json.loads(stored)
    if kind == "bundles":
        digest = hashlib.sha256(stored).hexdigest()
        return {"made_at": content["created_at"], "snapshot": content["snapshot_digest"], "digest": digest}
    if kind == "snapshots":
        return {"made_at": content["snapshot"]["taken_at"], "digest": content["snapshot"]["digest"]}
    return {"made_at": content["decision"]["decided_at"], "digest": content["inputs"]["bundle"]}


def _note_path(kind: StoredKind, model: str, name: str) -> str:
    return f"{FOLDER}/{kind}/{model}/{name}.json"


def _json(note: RemovalNote) -> bytes:
    return canonical_json(note.model_dump(mode="json")).encode()


__all__ = ["StoredThings"]
