"""Ports: what a retention removes from the storage root, and the notes that stay of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from windsock.records.retention import RemovalNote, StoredKind, StoredThing


class KeptThings(Protocol):
    """Bundles, snapshots and evidence packs under the storage root, seen by what removes them."""

    def things(self, kind: StoredKind, model: str, *, leave: Collection[str] = ()) -> tuple[StoredThing, ...]:
        """Return what is there of a model, without what cannot be read.

        What is not whole is given, without a time, where its removal was begun.

        :param leave: names that are not looked at.
        :raises StorageError: if the storage does not answer.
        """
        ...

    def bundle_name(self, uri: str) -> str:
        """Return a bundle's name in its model's folder; empty where the address is of another root."""
        ...

    def remove(self, note: RemovalNote) -> int:
        """Leave the note, then remove the thing that it names; return how many bytes it had.

        A reader finds it whole or not at all. What was half removed by a process that was killed is removed
        by the same call; what is gone already is fine.

        :raises StorageError: if it cannot be removed.
        """
        ...

    def size(self, thing: StoredThing) -> int:
        """Return how many bytes a thing has."""
        ...

    def note(self, kind: StoredKind, model: str, name: str) -> RemovalNote | None:
        """Return the note of a thing that was removed, or ``None`` where none was."""
        ...

    def old_logs(self, before: datetime, *, remove: bool) -> tuple[int, int]:
        """Find logs of a shipped stack that nobody has written to since a time.

        :param remove: whether they are removed.
        :returns: how many files, and how many bytes they have.
        """
        ...

    def last_removal(self) -> datetime | None:
        """Return when a retention last came to its end, or ``None``."""
        ...

    def removal_ended(self, at: datetime) -> None:
        """Keep that a retention came to its end."""
        ...


class NothingKept:
    """A storage in which a retention finds nothing."""

    def things(self, kind: StoredKind, model: str, *, leave: Collection[str] = ()) -> tuple[StoredThing, ...]:
        """See :meth:`KeptThings.things`: there is nothing."""
        return ()

    def bundle_name(self, uri: str) -> str:
        """See :meth:`KeptThings.bundle_name`: no address is of it."""
        return ""

    def remove(self, note: RemovalNote) -> int:
        """See :meth:`KeptThings.remove`: there is nothing to remove."""
        return 0

    def size(self, thing: StoredThing) -> int:
        """See :meth:`KeptThings.size`."""
        return 0

    def note(self, kind: StoredKind, model: str, name: str) -> RemovalNote | None:
        """See :meth:`KeptThings.note`: nothing was removed."""
        return None

    def old_logs(self, before: datetime, *, remove: bool) -> tuple[int, int]:
        """See :meth:`KeptThings.old_logs`: there are none."""
        return 0, 0

    def last_removal(self) -> datetime | None:
        """See :meth:`KeptThings.last_removal`: never."""
        return None

    def removal_ended(self, at: datetime) -> None:
        """See :meth:`KeptThings.removal_ended`: it is not kept."""


__all__ = ["KeptThings", "NothingKept"]
