from __future__ import annotations

import errno
import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

from support.builders import NOON, digest
from windsock.adapters import storage_backends
from windsock.adapters.snapshot_store import ParquetSnapshotStore
from windsock.adapters.storage import Storage
from windsock.exceptions import SettingsError, StorageError, UnverifiedSnapshotError
from windsock.records import ColumnKind, ColumnSchema, DataSnapshot, row_digests, rows_digest, snapshot_digest

KINDS = {
    "amount": ColumnKind.NUMBER,
    "count": ColumnKind.INTEGER,
    "visits": ColumnKind.INTEGER,
    "paid": ColumnKind.BOOLEAN,
    "asked": ColumnKind.BOOLEAN,
    "colour": ColumnKind.CATEGORY,
    "at": ColumnKind.DATETIME,
}


def make_frame(rows: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "amount": [1.5, np.nan, np.inf] * (rows // 3),
            "count": [1, 2, 2**60] * (rows // 3),
            "visits": [1.0, np.nan, 3.0] * (rows // 3),
            "paid": [True, False, True] * (rows // 3),
            "asked": pd.array([True, None, False] * (rows // 3), dtype="boolean"),
            "colour": pd.Series(["blue", None, ""] * (rows // 3), dtype=object),
            "at": pd.to_datetime(
                ["2026-05-01T12:00:00.000001Z", None, "2026-05-02"] * (rows // 3), utc=True, format="mixed"
            ).astype("datetime64[us, UTC]"),
        }
    )


COLUMNS = tuple(ColumnSchema(name=name, kind=kind) for name, kind in KINDS.items())


def content_of(frame: pd.DataFrame) -> str:
    return snapshot_digest(COLUMNS, rows_digest(row_digests(frame)))


def make_record(frame: pd.DataFrame, **fields) -> DataSnapshot:
    made = {
        "model": "churn",
        "digest": content_of(frame),
        "uri": "",
        "rows": len(frame),
        "columns": COLUMNS,
        "source": "file: churn.csv",
        "taken_at": NOON,
    }
    return DataSnapshot(**{**made, **fields})


@pytest.fixture(params=["folder", "memory"])
def storage(request, tmp_path):
    return Storage(str(tmp_path / "root") if request.param == "folder" else f"memory://{uuid4().hex}")


@pytest.fixture
def store(storage):
    return ParquetSnapshotStore(storage)


def test_rows_come_back_as_they_were(store):
    frame = make_frame()
    stored = store.put(make_record(frame), frame)
    assert stored.uri == store.storage.uri(f"snapshots/churn/{content_of(make_frame())}")
    assert store.find("churn", content_of(make_frame())) == stored
    back = store.load(stored)
    pd.testing.assert_frame_equal(back, frame)
    assert (row_digests(back) == row_digests(frame)).all()


def test_a_column_without_any_value(store):
    frame = make_frame().assign(colour=pd.Series([None] * 3, dtype=object), amount=np.nan)
    pd.testing.assert_frame_equal(store.load(store.put(make_record(frame), frame)), frame)


def test_the_first_record_of_a_content_stands(store):
    frame = make_frame()
    first = store.put(make_record(frame), frame)
    second = store.put(
        make_record(frame, source="sql: other", taken_at=NOON + timedelta(days=1)), frame.iloc[::-1]
    )
    assert second == first
    pd.testing.assert_frame_equal(store.load(second), frame)


def test_nothing_stored_is_none(store):
    assert store.find("churn", content_of(make_frame())) is None
    assert store.latest("churn") is None


def test_the_latest_is_the_one_taken_last(store):
    frame = make_frame()
    for letter, days in (("1", 0), ("2", 2), ("3", 1)):
        store.put(make_record(frame, digest=digest(letter), taken_at=NOON + timedelta(days=days)), frame)
    latest = store.latest("churn")
    assert latest is not None
    assert latest.digest == digest("2")
    assert store.latest("other") is None


@pytest.mark.parametrize(
    ("model", "name"), [("../x", "1"), ("churn", "../x"), ("churn", "1" * 63), ("Churn", "1")]
)
def test_odd_names_are_refused(store, model, name):
    with pytest.raises(SettingsError, match="WS-STORAGE-005"):
        store.find(model, name * 64 if len(name) == 1 else name)


class TestCrash:
    def test_without_its_manifest_there_is_no_snapshot_and_the_next_put_completes_it(self, store):
        frame = make_frame()
        folder = f"snapshots/churn/{content_of(make_frame())}"
        store.storage.write_bytes(f"{folder}/rows.parquet", b"half")
        assert store.find("churn", content_of(make_frame())) is None
        with pytest.raises(StorageError, match="WS-STORAGE-004"):
            store.load(make_record(frame))
        stored = store.put(make_record(frame), frame)
        pd.testing.assert_frame_equal(store.load(stored), frame)

    def test_killed_before_the_pointer_was_written(self, store):
        frame = make_frame()
        store.put(make_record(frame), frame)
        store.storage.remove("snapshots/churn/latest.json")
        store.put(make_record(frame), frame)
        assert store.latest("churn") is not None

    @pytest.mark.parametrize("call", range(1, 7))
    def test_a_full_disk_leaves_nothing(self, tmp_path, monkeypatch, call):
        store = ParquetSnapshotStore(Storage(str(tmp_path / "root")))
        frame = make_frame()
        seen = []

        def failing(descriptor: int) -> None:
            seen.append(descriptor)
            if len(seen) == call:
                raise OSError(errno.ENOSPC, "no space")

        monkeypatch.setattr(storage_backends.os, "fsync", failing)
        with pytest.raises(StorageError, match="WS-STORAGE-002"):
            store.put(make_record(frame), frame)
        complete = store.find("churn", content_of(make_frame())) is not None
        assert complete or [file for file in (tmp_path / "root").rglob("*") if file.is_file()] == []
        monkeypatch.undo()
        pd.testing.assert_frame_equal(store.load(store.put(make_record(frame), frame)), frame)
        assert store.latest("churn") is not None

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
    def test_a_disk_that_is_really_full(self, tmp_path, monkeypatch):
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True
        ).returncode:
            pytest.skip("this machine does not let us mount a small disk")
        try:
            monkeypatch.setattr(storage_backends, "RESERVE_BYTES", -(10**9))
            store = ParquetSnapshotStore(Storage(str(disk)))
            frame = make_frame(90_000)
            frame["amount"] = np.random.default_rng(1).normal(size=len(frame))
            with pytest.raises(StorageError, match=r"WS-STORAGE-002.*full"):
                store.put(make_record(frame), frame)
            assert [file for file in disk.rglob("*") if file.is_file()] == []
            small = make_frame()
            pd.testing.assert_frame_equal(store.load(store.put(make_record(small), small)), small)
        finally:
            subprocess.run(["umount", str(disk)], check=True)


class TestTampering:
    def test_rows_that_were_replaced_together_with_their_manifest(self, store, stored):
        frame = make_frame().assign(count=[7, 8, 9])
        forged = store.put(make_record(frame), frame)
        theirs = f"snapshots/churn/{forged.digest}"
        manifest = json.loads(store.storage.read_bytes(f"{theirs}/manifest.json"))
        manifest["snapshot"]["digest"] = stored.digest
        store.storage.write_bytes(f"{self.folder(store)}/manifest.json", json.dumps(manifest).encode())
        rows = store.storage.read_bytes(f"{theirs}/rows.parquet")
        store.storage.write_bytes(f"{self.folder(store)}/rows.parquet", rows)
        with pytest.raises(UnverifiedSnapshotError, match=r"WS-STORAGE-007.*digest stands for"):
            store.load(stored)

    @pytest.fixture
    def stored(self, store):
        frame = make_frame()
        return store.put(make_record(frame), frame)

    def folder(self, store) -> str:
        return f"snapshots/churn/{content_of(make_frame())}"

    def test_other_rows_are_not_loaded(self, store, stored):
        path = f"{self.folder(store)}/rows.parquet"
        content = bytearray(store.storage.read_bytes(path))
        content[len(content) // 2] ^= 1
        store.storage.write_bytes(path, bytes(content))
        with pytest.raises(UnverifiedSnapshotError, match=r"WS-STORAGE-007.*SHA-256"):
            store.load(stored)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"snapshot": {}, "files": {}}', b"\xff"])
    def test_a_manifest_that_is_none(self, store, stored, content):
        store.storage.write_bytes(f"{self.folder(store)}/manifest.json", content)
        with pytest.raises(UnverifiedSnapshotError, match="WS-STORAGE-007"):
            store.find("churn", content_of(make_frame()))

    def test_the_manifest_of_another_snapshot(self, store, stored):
        path = f"{self.folder(store)}/manifest.json"
        manifest = json.loads(store.storage.read_bytes(path))
        manifest["snapshot"]["digest"] = digest("2")
        store.storage.write_bytes(path, json.dumps(manifest).encode())
        with pytest.raises(UnverifiedSnapshotError, match="another snapshot"):
            store.load(stored)

    def test_rows_that_are_gone(self, store, stored):
        store.storage.remove(f"{self.folder(store)}/rows.parquet")
        with pytest.raises(StorageError, match="WS-STORAGE-004"):
            store.load(stored)


def test_the_file_is_plain_parquet(tmp_path):
    store = ParquetSnapshotStore(Storage(str(tmp_path)))
    frame = make_frame()
    stored = store.put(make_record(frame), frame)
    read = pd.read_parquet(Path(stored.uri) / "rows.parquet")
    assert list(read.columns) == list(frame.columns)
    assert len(read) == len(frame)
