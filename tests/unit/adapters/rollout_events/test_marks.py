"""A file that is written anew has another mark; counted hours are trusted by it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from windsock.adapters.storage import Storage


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_marks_change_with_what_is_written(tmp_path, kind):
    storage = Storage(str(tmp_path / "root") if kind == "folder" else f"memory://{uuid4().hex}")
    assert storage.marks("hours") == {}
    storage.write_bytes("hours/one", b"1")
    storage.write_bytes("hours/two", b"2")
    first = storage.marks("hours")
    assert set(first) == {"one", "two"}
    assert storage.marks("hours") == first
    storage.write_bytes("hours/one", b"3")
    second = storage.marks("hours")
    assert second["one"] != first["one"]
    assert second["two"] == first["two"]
