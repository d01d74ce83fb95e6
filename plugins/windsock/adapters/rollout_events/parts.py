"""``PartFiles``: a step's counted rows, in ``rollouts/MODEL/EXPERIMENT/STEP/`` below the storage root.

A file is written once, under a name of its own, and never changed. It holds once the row in the control
database names it; what no row names is removed a while later.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from windsock.adapters.rollout_events.engine import parquet_source
from windsock.adapters.rollout_events.intake_sql import COLUMNS
from windsock.adapters.rollout_events.records import Kept, Part, PartKind
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError

log = logging.getLogger(__name__)

FOLDER = "rollouts"
SUFFIX = ".parquet"
STAMP = "%Y%m%dT%H%M%S"
ORPHAN = timedelta(hours=1)
"""A file that no row names is removed when it is older: until then a row may be about to name it."""
AT_ONCE = 8
"""So many files of a level become one of the next."""
LARGEST_BYTES = 64 * 1024 * 1024
"""Files that come to more than this together stay as they are."""
FILE_BYTES = 32 * 1024 * 1024
GROUP_ROWS = 65_536
KINDS: tuple[PartKind, ...] = ("exposures", "outcomes", "before", "past")


class DamagedPartsError(ValueError):
    """A kept file is not there, or not what was written."""


class PartFiles:
    """Writes, reads and removes the files of one step.

    :param work: folder for files on their way.
    """

    def __init__(self, storage: Storage, model: str, experiment: str, step: int, work: Path) -> None:
        self.storage = storage
        self.folder = f"{FOLDER}/{model}/{experiment}/{step}"
        self.work = work
        self._here: dict[str, Path] = {}

    def view(self, connection: Any, parts: Sequence[Part], *, verify: bool = False) -> frozenset[PartKind]:
        """Let a connection read files as ``kept_KIND``; return the kinds that there are.

        :param verify: hold them against their digests; else against their sizes.
        :raises DamagedPartsError: if one is not there, or not what was written.
        """
        for kind in KINDS:
            connection.execute(f"DROP VIEW IF EXISTS kept_{kind}")
            files = [self._find(part, verify=verify) for part in parts if part.kind == kind]
            if files:
                _view(connection, kind, parquet_source(files))
        return frozenset(part.kind for part in parts)

    def write(
        self, connection: Any, kind: PartKind, source: str, now: datetime, *, level: int = 0
    ) -> tuple[Part, ...]:
        """Write rows to new files, mostly one; none of them is much larger than :data:`FILE_BYTES`.

        :param source: a table, or what stands for one in a query.
        """
        made = self.work / uuid4().hex
        target = str(made).replace("'", "''")
        connection.execute(
            f"COPY (SELECT * FROM {source}) TO '{target}' "  # noqa: S608 - no word of it comes from elsewhere
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS}, FILE_SIZE_BYTES {FILE_BYTES})"
        )
        return tuple(self._put(file, kind, now, level) for file in sorted(made.iterdir()))

    def _put(self, made: Path, kind: PartKind, now: datetime, level: int) -> Part:
        name = f"{kind}-{now.astimezone(UTC).strftime(STAMP)}-{uuid4().hex[:12]}{SUFFIX}"
        content = made.read_bytes()
        made.unlink()
        self.storage.write_bytes(f"{self.folder}/{name}", content)
        digest = hashlib.sha256(content).hexdigest()
        return Part(kind=kind, name=name, size=len(content), digest=digest, level=level)

    def merge(self, connection: Any, parts: Sequence[Part], now: datetime) -> tuple[Part, ...]:
        """Return files in which many small ones of a level have become one, so that there are never many."""
        found = list(parts)
        for kind in KINDS:
            for level in range(max((part.level for part in found), default=0) + 1):
                alike = [part for part in found if part.kind == kind and part.level == level]
                if len(alike) < AT_ONCE or sum(part.size for part in alike) > LARGEST_BYTES:
                    continue
                source = parquet_source([self._find(part, verify=True) for part in alike])
                merged = self.write(connection, kind, source, now, level=level + 1)
                found = [*(part for part in found if part not in alike), *merged]
        return tuple(found)

    def remove(self, parts: Sequence[Part]) -> None:
        """Remove files that no row names; what cannot be removed now goes later."""
        for part in parts:
            self._remove(part.name)

    def sweep(self, kept: Kept, now: datetime) -> None:
        """Remove old files that the row does not name: of calls that were killed, and merged ones."""
        named = {part.name for part in kept.parts}
        oldest = (now.astimezone(UTC) - ORPHAN).strftime(STAMP)
        for name in self.storage.names(self.folder):
            _, _, rest = name.partition("-")
            if name not in named and rest[: len(oldest)] < oldest:
                self._remove(name)

    def _remove(self, name: str) -> None:
        try:
            self.storage.remove(f"{self.folder}/{name}")
        except StorageError as error:
            log.warning("WS-ROLLOUT-043: a file of counts could not be removed: %s", error.code)

    def _find(self, part: Part, *, verify: bool) -> Path:
        """Return a file on this machine."""
        if part.name in self._here:
            return self._here[part.name]
        path = f"{self.folder}/{part.name}"
        local = self.storage.local_path(path)
        try:
            if local is None or verify:
                content = self.storage.read_bytes(path)
                if hashlib.sha256(content).hexdigest() != part.digest:
                    raise DamagedPartsError(part.name)
                if local is None:
                    local = self.work / part.name
                    local.write_bytes(content)
            elif local.stat().st_size != part.size:
                raise DamagedPartsError(part.name)
        except (StorageError, FileNotFoundError) as error:
            if isinstance(error, StorageError) and error.code != "WS-STORAGE-004":
                raise
            raise DamagedPartsError(part.name) from None
        if verify or not self.storage.is_local:
            self._here[part.name] = local
        return local


def _view(connection: Any, kind: PartKind, source: str) -> None:
    """Let files be read as ``kept_KIND``; what those of before do not have is null."""
    there = {row[0] for row in connection.execute(f"DESCRIBE FROM {source}").fetchall()}
    columns = (
        name if name in there else f"NULL::{column} AS {name}" for name, column in COLUMNS[kind].items()
    )
    connection.execute(f"CREATE VIEW kept_{kind} AS SELECT {', '.join(columns)} FROM {source}")  # noqa: S608
