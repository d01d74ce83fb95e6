"""``FakeKept``: what lies in the storage root, as the retention sees it, in memory."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from windsock.records.retention import RemovalNote, StoredKind, StoredThing


class FakeKept:
    """Keeps things in a dict; each has a hundred bytes."""

    def __init__(self, *things: StoredThing) -> None:
        self.stored = {(one.kind, one.model, one.name): one for one in things}
        self.notes: dict[tuple[str, str, str], RemovalNote] = {}
        self.last: datetime | None = None
        self.logs: list[datetime] = []

    def things(self, kind: StoredKind, model: str, *, leave: Collection[str] = ()) -> tuple[StoredThing, ...]:
        return tuple(
            one
            for one in self.stored.values()
            if (one.kind, one.model) == (kind, model) and one.name not in leave
        )

    def bundle_name(self, uri: str) -> str:
        parts = uri.split("/")
        return parts[-1] if parts[:3] == ["memory:", "", "bundles"] else ""

    def remove(self, note: RemovalNote) -> int:
        key = (note.kind, note.model, note.name)
        self.notes[key] = note
        return 100 if self.stored.pop(key, None) else 0

    def size(self, thing: StoredThing) -> int:
        return 100

    def note(self, kind: StoredKind, model: str, name: str) -> RemovalNote | None:
        return self.notes.get((kind, model, name))

    def old_logs(self, before: datetime, *, remove: bool) -> tuple[int, int]:
        found = [when for when in self.logs if when < before]
        if remove:
            self.logs = [when for when in self.logs if when >= before]
        return len(found), 100 * len(found)

    def last_removal(self) -> datetime | None:
        return self.last

    def removal_ended(self, at: datetime) -> None:
        self.last = at
