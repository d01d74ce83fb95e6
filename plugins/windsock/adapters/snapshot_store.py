"""``ParquetSnapshotStore``: ``snapshots/MODEL/DIGEST/`` with the rows and, last, the manifest."""

from __future__ import annotations

import hashlib
import io
import json
import re
from typing import TYPE_CHECKING, Any

from windsock.adapters.kept_things import StoredThings
from windsock.adapters.storage import Storage
from windsock.exceptions import RemovedSnapshotError, SettingsError, UnverifiedSnapshotError
from windsock.records import ColumnKind, DataSnapshot, content_digest, row_digests
from windsock.spec import MODEL_NAME, canonical_json

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

ROWS_FILE = "rows.parquet"
MANIFEST_FILE = "manifest.json"
LATEST_FILE = "latest.json"
DIGEST = re.compile(r"[0-9a-f]{64}")
CHUNK = 1024 * 1024


class ParquetSnapshotStore:
    """Keeps snapshots by content as zstd Parquet.

    The manifest holds the record and the SHA-256 of the rows' file; a folder without one is no snapshot, and
    the next ``put`` of that content replaces it.

    :param storage: the storage root.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def find(self, model: str, digest: str) -> DataSnapshot | None:
        """Return the stored snapshot of this content, or ``None``."""
        folder = self._folder(model, digest)
        if not self.storage.exists(f"{folder}/{MANIFEST_FILE}"):
            return None
        return self._manifest(folder)[0]

    def latest(self, model: str) -> DataSnapshot | None:
        """Return the snapshot that was stored last, or ``None``."""
        pointer = f"{self._model_folder(model)}/{LATEST_FILE}"
        if not self.storage.exists(pointer):
            return None
        digest = str(_parsed(self.storage.read_bytes(pointer), self.storage.uri(pointer)).get("digest"))
        return self.find(model, digest)

    def put(self, snapshot: DataSnapshot, frame: pd.DataFrame) -> DataSnapshot:
        """Write the rows and, last, the manifest; the first record of a content stands.

        :raises StorageError: if it cannot be written; nothing half-written is left.
        """
        folder = self._folder(snapshot.model, snapshot.digest)
        if (found := self.find(snapshot.model, snapshot.digest)) is not None:
            self._point_at(found)
            return found
        kept = snapshot.replace(uri=self.storage.uri(folder))
        size = int(frame.memory_usage(index=False, deep=False).sum())
        with self.storage.working_folder(size) as place:
            _write_rows(frame, kept, place / ROWS_FILE)
            manifest = {
                "snapshot": kept.model_dump(mode="json"),
                "files": {ROWS_FILE: _file_digest(place / ROWS_FILE)},
            }
            (place / MANIFEST_FILE).write_text(canonical_json(manifest), encoding="utf-8")
            written = self.storage.put_tree(place, folder, last=MANIFEST_FILE)
        stored = kept if written else self._manifest(folder)[0]
        self._point_at(stored)
        return stored

    def load(self, snapshot: DataSnapshot) -> pd.DataFrame:
        """Read the rows back, after their file and their content were checked.

        :raises StorageError: if they cannot be read.
        :raises RemovedSnapshotError: if the retention has removed them.
        :raises UnverifiedSnapshotError: if they are not what was written.
        """
        folder = self._folder(snapshot.model, snapshot.digest)
        self._require_not_removed(folder, snapshot)
        stored, files = self._manifest(folder)
        content = self.storage.read_bytes(f"{folder}/{ROWS_FILE}")
        place = self.storage.uri(f"{folder}/{ROWS_FILE}")
        if hashlib.sha256(content).hexdigest() != files.get(ROWS_FILE):
            raise _broken(place, "its SHA-256 is not the manifest's")
        frame = _read_rows(content, stored, place)
        if len(frame) != stored.rows or list(frame.columns) != [column.name for column in stored.columns]:
            raise _broken(place, "its rows or columns are not the manifest's")
        marked = stored.recent_rows, stored.onset_rows
        if (snapshot.recent_rows, snapshot.onset_rows) != marked:
            raise _broken(place, "other rows of it are recent by its record than by the manifest")
        if content_digest(stored.columns, row_digests(frame), *marked) != snapshot.digest:
            raise _broken(place, "its content is not what the snapshot's digest stands for")
        return frame

    def _require_not_removed(self, folder: str, snapshot: DataSnapshot) -> None:
        if self.storage.exists(f"{folder}/{MANIFEST_FILE}"):
            return
        note = StoredThings(self.storage).note("snapshots", snapshot.model, snapshot.digest)
        if note is not None:
            raise RemovedSnapshotError(
                f"snapshot {snapshot.digest[:12]} of {snapshot.model} is gone: {note.told}"
            )

    def _point_at(self, snapshot: DataSnapshot) -> None:
        last = self.latest(snapshot.model)
        if last is None or last.taken_at < snapshot.taken_at:
            pointer = canonical_json({"digest": snapshot.digest}).encode()
            self.storage.write_bytes(f"{self._model_folder(snapshot.model)}/{LATEST_FILE}", pointer)

    def _manifest(self, folder: str) -> tuple[DataSnapshot, dict[str, str]]:
        path = f"{folder}/{MANIFEST_FILE}"
        place = self.storage.uri(path)
        content = _parsed(self.storage.read_bytes(path), place)
        try:
            record, files = DataSnapshot.model_validate(content["snapshot"]), dict(content["files"])
        except (KeyError, TypeError, ValueError) as error:
            raise _broken(place, f"it is no manifest of a snapshot ({type(error).__name__})") from None
        if self._folder(record.model, record.digest) != folder:
            raise _broken(place, "it is the manifest of another snapshot")
        return record.replace(uri=self.storage.uri(folder)), files

    @staticmethod
    def _model_folder(model: str) -> str:
        if not MODEL_NAME.fullmatch(model):
            raise _odd(f"{model[:60]!r} is no model name")
        return f"snapshots/{model}"

    def _folder(self, model: str, digest: str) -> str:
        if not DIGEST.fullmatch(digest):
            raise _odd(f"{digest[:80]!r} is no digest")
        return f"{self._model_folder(model)}/{digest}"


def _parsed(content: bytes, place: str) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError:
        raise _broken(place, "it is no JSON") from None
    if not isinstance(parsed, dict):
        raise _broken(place, "it is no JSON object")
    return parsed


def _broken(place: str, why: str) -> UnverifiedSnapshotError:
    return UnverifiedSnapshotError(f"{place} is not what was written: {why}")


def _odd(what: str) -> SettingsError:
    return SettingsError(
        what, code="WS-STORAGE-005", next_action="Hand over the snapshot's record as it was written."
    )


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_rows(frame: pd.DataFrame, snapshot: DataSnapshot, file: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [(column.name, _arrow_type(column.kind, frame[column.name])) for column in snapshot.columns]
    )
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    parquet.write_table(table, file, compression="zstd")


def _arrow_type(kind: ColumnKind, values: pd.Series[Any]) -> Any:
    import pyarrow as pa

    if kind is ColumnKind.INTEGER:
        return pa.int64() if values.dtype.kind == "i" else pa.float64()
    return {
        ColumnKind.NUMBER: pa.float64(),
        ColumnKind.BOOLEAN: pa.bool_(),
        ColumnKind.CATEGORY: pa.string(),
        ColumnKind.DATETIME: pa.timestamp("us", tz="UTC"),
    }[kind]


def _read_rows(content: bytes, snapshot: DataSnapshot, place: str) -> pd.DataFrame:
    """Return the rows with the types they were written with, whatever pandas makes of Parquet by itself."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(io.BytesIO(content)).read()
        columns = {
            column.name: _values(table.column(column.name), column.kind) for column in snapshot.columns
        }
    except (pa.ArrowException, KeyError) as error:
        raise _broken(place, f"it cannot be read as Parquet ({type(error).__name__})") from None
    return pd.DataFrame(columns, columns=[column.name for column in snapshot.columns])


def _values(column: Any, kind: ColumnKind) -> Any:
    import numpy as np
    import pandas as pd

    if kind is ColumnKind.CATEGORY:
        texts = np.empty(len(column), dtype=object)
        texts[:] = column.to_pylist()
        return pd.Series(texts, dtype=object)
    if kind is ColumnKind.BOOLEAN and column.null_count:
        return pd.array(column.to_pylist(), dtype="boolean")
    if kind is ColumnKind.DATETIME:
        moments = column.to_numpy().astype("datetime64[us]")
        return pd.Series(moments).dt.tz_localize("UTC")
    return column.to_numpy()
