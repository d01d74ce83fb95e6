"""Files that hold more than memory does are refused before it runs out."""

from __future__ import annotations

import gzip
import zipfile

import pyarrow as pa
import pytest

from windsock.adapters import csv_encoding, csv_source, free_memory
from windsock.adapters.sources import SourceReaders
from windsock.exceptions import DataRefusedError
from windsock.spec import FileSource

TEXT = b"a,b\n" + b"1,2\n" * 300_000


def refused(folder, name: str) -> DataRefusedError:
    with pytest.raises(DataRefusedError) as caught:
        SourceReaders((folder,), str).read(FileSource(path=name))
    return caught.value


@pytest.mark.parametrize("ending", ["gz", "zip", "zst"])
def test_a_packed_file_that_is_larger_than_memory(tmp_path, monkeypatch, ending):
    file = tmp_path / f"x.csv.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("x.csv", TEXT)
    elif ending == "gz":
        file.write_bytes(gzip.compress(TEXT))
    else:
        with pa.CompressedOutputStream(str(file), "zstd") as stream:
            stream.write(TEXT)
    monkeypatch.setattr(csv_encoding, "free_memory", lambda: 4 * 1024 * 1024)
    error = refused(tmp_path, file.name)
    assert error.code == "WS-DATA-032"
    assert "more than 1 MiB of text; 4 MiB of memory are free" in str(error)
    monkeypatch.setattr(csv_encoding, "free_memory", lambda: 16 * 1024 * 1024)
    assert len(SourceReaders((tmp_path,), str).read(FileSource(path=file.name)).frame) == 300_000


@pytest.mark.parametrize("error", [MemoryError, pa.ArrowMemoryError])
def test_memory_that_runs_out(tmp_path, monkeypatch, error):
    def runs_out(*_, **__):
        raise error

    (tmp_path / "x.csv").write_bytes(TEXT[:100])
    monkeypatch.setattr(csv_source, "_parsed", runs_out)
    assert refused(tmp_path, "x.csv").code == "WS-DATA-036"


def test_a_zip_of_a_mac(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        for name in ("data/x.csv", "__MACOSX/data/._x.csv", "data/.DS_Store", "._x.csv"):
            packed.writestr(name, b"a,b\n1,2\n" if name == "data/x.csv" else b"\0\5\26\7")
    assert len(SourceReaders((tmp_path,), str).read(FileSource(path="x.zip")).frame) == 1


@pytest.mark.parametrize(
    ("machine", "most", "used", "free"),
    [
        ("MemTotal: 9 kB\nMemAvailable:   8 kB\n", "max", "5", 8 * 1024),
        ("MemAvailable: 8 kB\n", "5000", "1000", 4_000),
        ("MemAvailable: 8 kB\n", "5000", "6000", 0),
        ("", "", "", free_memory.UNKNOWN),
    ],
)
def test_free_memory(tmp_path, monkeypatch, machine, most, used, free):
    for name, text in (("meminfo", machine), ("memory.max", most), ("memory.current", used)):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(free_memory, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(free_memory, "CONTAINER", tmp_path)
    monkeypatch.setattr(free_memory, "OWN", tmp_path / "none")
    assert free_memory.free_memory() == free
