from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from windsock.adapters import storage_backends
from windsock.adapters.storage import Storage
from windsock.exceptions import SettingsError, StorageError


@pytest.fixture(params=["folder", "memory"])
def storage(request, tmp_path):
    if request.param == "folder":
        return Storage(str(tmp_path / "root"))
    return Storage(f"memory://{uuid4().hex}")


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    (folder / "inner").mkdir(parents=True)
    (folder / "rows").write_bytes(b"rows")
    (folder / "inner" / "more").write_bytes(b"more")
    (folder / "manifest.json").write_bytes(b"{}")
    return folder


def leftovers(root: Path) -> list[str]:
    return [str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()]


class TestAddressesOfAnotherRoot:
    @pytest.mark.parametrize(
        "root", ["/old/root", "/proc/self/cwd/storage", "s3://bucket/place", "gs://b", ""]
    )
    def test_the_last_parts_tell_the_place(self, storage, root):
        for folder, rest in (("bundles", "churn/k1"), ("bundles", "bundles/bundles"), ("contracts", "a/b")):
            address = f"{root}/{folder}/{rest}"
            assert storage.here(address, folder=folder, depth=3) == f"{folder}/{rest}"

    @pytest.mark.parametrize(
        "address",
        [
            "/old/bundles/churn/../../keys",
            "/old/bundles/../keys",
            "/old/bundles/churn/k1/model.skops",
            "/old/evidence/churn/k1",
            "/old/bundles//k1",
            "s3://bundles/k1",
            "bundles/churn/k1",
            "~/bundles/churn",
        ],
    )
    def test_another_address_stays_what_it_is(self, storage, address):
        assert storage.here(address, folder="bundles", depth=3) == address

    def test_an_address_of_this_root_stays_what_it_is(self, storage):
        for path in ("bundles/churn/k1", "other/bundles/churn/k1"):
            assert storage.here(storage.uri(path), folder="bundles", depth=3) == storage.uri(path)


class TestFiles:
    def test_what_is_written_is_read(self, storage):
        assert storage.write_bytes("a/b.json", b"one")
        assert storage.read_bytes("a/b.json") == b"one"
        assert storage.read_bytes(storage.uri("a/b.json")) == b"one"
        assert storage.exists("a/b.json")
        assert storage.exists("a")
        assert not storage.exists("a/c.json")

    def test_a_second_write_replaces(self, storage):
        storage.write_bytes("a", b"one")
        storage.write_bytes("a", b"two")
        assert storage.read_bytes("a") == b"two"

    def test_the_first_stands_if_asked(self, storage):
        assert storage.write_bytes("a", b"one", keep_first=True)
        assert not storage.write_bytes("a", b"two", keep_first=True)
        assert storage.read_bytes("a") == b"one"

    def test_names_are_sorted_and_direct(self, storage):
        for path in ("x/b", "x/a", "x/inner/c", "y"):
            storage.write_bytes(path, b"")
        assert storage.names("x") == ("a", "b", "inner")
        assert storage.names("") == ("x", "y")
        assert storage.names("nothing") == ()

    def test_removing_takes_files_and_folders(self, storage):
        storage.write_bytes("x/b", b"")
        storage.write_bytes("x/inner/c", b"")
        storage.write_bytes("y", b"")
        storage.remove("x")
        storage.remove("y")
        storage.remove("never there")
        assert storage.names("") == ()

    def test_the_root_is_never_removed(self, storage):
        for path in ("", ".", storage.root):
            with pytest.raises(SettingsError, match="WS-STORAGE-005"):
                storage.remove(path)

    def test_a_missing_file_is_named(self, storage):
        with pytest.raises(StorageError, match=r"WS-STORAGE-004.*no/such.*not there"):
            storage.read_bytes("no/such")

    def test_nothing_is_made_before_it_is_needed(self, tmp_path):
        storage = Storage(str(tmp_path / "root"))
        assert not storage.exists("a")
        assert storage.names("a") == ()
        assert not (tmp_path / "root").exists()

    def test_many_writers_of_one_name_leave_one_whole_file(self, tmp_path):
        storage = Storage(str(tmp_path / "root"))
        won = []

        def write(number: int) -> None:
            if storage.write_bytes("x", bytes([number]) * 100_000, keep_first=True):
                won.append(number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert storage.read_bytes("x") == bytes(won) * 100_000


class TestTrees:
    def test_a_tree_comes_back(self, storage, tree, tmp_path):
        assert storage.put_tree(tree, "t/1", last="manifest.json")
        names = storage.fetch_tree("t/1", tmp_path / "back")
        assert names == ("inner/more", "manifest.json", "rows")
        assert (tmp_path / "back" / "inner" / "more").read_bytes() == b"more"

    def test_the_first_tree_stands(self, storage, tree):
        storage.put_tree(tree, "t/1", last="manifest.json")
        (tree / "rows").write_bytes(b"other")
        assert not storage.put_tree(tree, "t/1", last="manifest.json")
        assert storage.read_bytes("t/1/rows") == b"rows"

    def test_an_incomplete_tree_is_replaced(self, storage, tree):
        storage.write_bytes("t/1/rows", b"half")
        storage.write_bytes("t/1/stray", b"half")
        assert storage.put_tree(tree, "t/1", last="manifest.json")
        assert storage.read_bytes("t/1/rows") == b"rows"

    def test_the_last_file_must_be_there(self, storage, tree):
        with pytest.raises(ValueError, match=r"other\.json"):
            storage.put_tree(tree, "t/1", last="other.json")

    def test_fetching_what_is_not_there_says_so(self, storage, tmp_path):
        with pytest.raises(StorageError, match="WS-STORAGE-004"):
            storage.fetch_tree("t/2", tmp_path / "back")

    def test_objects_come_in_order_and_vanish_on_failure(self, tree, monkeypatch):
        storage = Storage(f"memory://{uuid4().hex}")
        from fsspec.implementations.memory import MemoryFileSystem

        put, seen = MemoryFileSystem.put_file, []

        def failing(self, local, key, **kwargs):
            seen.append(Path(local).name)
            if Path(local).name == "manifest.json":
                raise OSError(errno.EIO, "gone")
            put(self, local, key, **kwargs)

        monkeypatch.setattr(MemoryFileSystem, "put_file", failing)
        with pytest.raises(StorageError, match=r"WS-STORAGE-001.*OSError"):
            storage.put_tree(tree, "t/1", last="manifest.json")
        assert seen[-1] == "manifest.json"
        assert storage.names("t") == ()

    def test_two_writers_leave_one_whole_tree(self, tmp_path):
        storage = Storage(str(tmp_path / "root"))
        results = []

        def put(number: int) -> None:
            folder = tmp_path / f"tree{number}"
            folder.mkdir()
            for name in ("a", "b", "manifest.json"):
                (folder / name).write_bytes(bytes([number]) * 1000)
            results.append(storage.put_tree(folder, "t/1", last="manifest.json"))

        threads = [threading.Thread(target=put, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False] * 5 + [True]
        assert len({storage.read_bytes(f"t/1/{name}") for name in ("a", "b", "manifest.json")}) == 1


class TestPaths:
    @pytest.mark.parametrize(
        "path", ["../x", "a/../../x", "/etc/passwd", "~/x", "s3://other/x", "a\\..\\x", "a\0b"]
    )
    def test_paths_out_of_the_root_are_refused(self, storage, path):
        for call in (storage.uri, storage.read_bytes, storage.exists, storage.remove, storage.names):
            with pytest.raises(SettingsError, match="WS-STORAGE-005"):
                call(path)

    def test_a_neighbour_with_the_same_beginning_is_outside(self, storage):
        with pytest.raises(SettingsError, match="WS-STORAGE-005"):
            storage.uri(f"{storage.root}-other/x")

    def test_uris_are_absolute_and_stable(self, storage):
        uri = storage.uri("a//b/./c")
        assert uri == f"{storage.root}/a/b/c"
        assert storage.uri(uri) == uri

    def test_local_paths(self, tmp_path):
        assert Storage(str(tmp_path)).local_path("a") == tmp_path / "a"
        assert Storage(f"file://{tmp_path}").local_path("a") == tmp_path / "a"
        assert Storage("memory://x").local_path("a") is None

    def test_a_relative_root_becomes_absolute(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert Storage("here").uri("a") == str(tmp_path / "here" / "a")

    def test_credentials_in_the_url_are_refused_and_not_shown(self):
        with pytest.raises(SettingsError) as caught:
            Storage("s3://key:hunter2@bucket/x").write_bytes("a", b"")
        assert "hunter2" not in str(caught.value)

    def test_credentials_in_a_path_are_not_shown(self, storage):
        with pytest.raises(SettingsError) as caught:
            storage.read_bytes("s3://key:hunter2@bucket/x")
        assert "hunter2" not in str(caught.value)

    def test_an_unknown_scheme_is_a_setting_to_mend(self):
        with pytest.raises(SettingsError, match="WS-STORAGE-006"):
            Storage("nosuchscheme://bucket").exists("a")


class TestFaults:
    @pytest.mark.parametrize(
        ("number", "code", "word"),
        [
            (errno.ENOSPC, "WS-STORAGE-002", "full"),
            (errno.EDQUOT, "WS-STORAGE-002", "quota"),
            (errno.EACCES, "WS-STORAGE-003", "permission"),
            (errno.EROFS, "WS-STORAGE-003", "read-only"),
            (errno.EIO, "WS-STORAGE-001", "OSError"),
        ],
    )
    def test_faults_are_said_by_name_and_leave_nothing(self, tmp_path, monkeypatch, number, code, word):
        storage = Storage(str(tmp_path / "root"))
        storage.write_bytes("a", b"before")

        def failing(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(storage_backends.os, "fsync", failing)
        with pytest.raises(StorageError, match=f"{code}.*{word}"):
            storage.write_bytes("a", b"after")
        assert storage.read_bytes("a") == b"before"
        assert leftovers(tmp_path / "root") == ["a"]

    def test_a_tree_that_cannot_be_written_leaves_nothing(self, tmp_path, tree, monkeypatch):
        storage = Storage(str(tmp_path / "root"))
        copy = shutil.copyfileobj

        def failing(source, target, length):
            if Path(source.name).name == "rows":
                raise OSError(errno.ENOSPC, "no space")
            return copy(source, target, length)

        monkeypatch.setattr(storage_backends.shutil, "copyfileobj", failing)
        with pytest.raises(StorageError, match="WS-STORAGE-002"):
            storage.put_tree(tree, "t/1", last="manifest.json")
        assert leftovers(tmp_path / "root") == []
        assert not storage.exists("t/1")

    def test_too_little_space_is_seen_before_writing(self, tmp_path, tree, monkeypatch):
        storage = Storage(str(tmp_path / "root"))
        usage = shutil.disk_usage(tmp_path)._replace(free=1000)
        monkeypatch.setattr(storage_backends.shutil, "disk_usage", lambda place: usage)
        for write in (
            lambda: storage.write_bytes("a", b"x"),
            lambda: storage.put_tree(tree, "t", last="manifest.json"),
            lambda: storage.working_folder(10).__enter__(),
        ):
            with pytest.raises(StorageError, match=r"WS-STORAGE-002.*1,000 are free"):
                write()
        assert not (tmp_path / "root").exists()

    def test_a_file_where_a_folder_should_be(self, tmp_path):
        (tmp_path / "root").write_bytes(b"a file")
        with pytest.raises(StorageError):
            Storage(str(tmp_path / "root")).write_bytes("a", b"x")

    def test_a_full_disk_while_preparing_is_named_and_leaves_nothing(self, tmp_path):
        storage = Storage(str(tmp_path / "root"))

        def prepare() -> None:
            with storage.working_folder() as folder:
                (folder / "half").write_bytes(b"half")
                raise OSError(errno.ENOSPC, "no space")

        with pytest.raises(StorageError, match="WS-STORAGE-002"):
            prepare()
        assert leftovers(tmp_path / "root") == []

    def test_other_errors_pass_through_a_working_folder(self, storage):
        with pytest.raises(KeyError), storage.working_folder():
            raise KeyError("x")

    def test_what_a_killed_task_left_is_swept_a_day_later(self, tmp_path):
        storage = Storage(str(tmp_path / "root"))
        fresh, stale = (tmp_path / "root" / storage_backends.SCRATCH / name for name in ("fresh", "stale"))
        for folder in (fresh, stale):
            folder.mkdir(parents=True)
        os.utime(stale, (0, 0))
        storage.write_bytes("a", b"x")
        assert fresh.exists()
        assert not stale.exists()
        assert storage.names("") == ("a",)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount a small disk"
)
class TestSmallDisk:
    @pytest.fixture
    def disk(self, tmp_path):
        import subprocess

        place = tmp_path / "disk"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)], capture_output=True
        )
        if done.returncode:
            pytest.skip("this machine does not let us mount a small disk")
        yield place
        subprocess.run(["umount", str(place)], check=True)

    def test_a_disk_that_fills_up(self, disk, monkeypatch):
        monkeypatch.setattr(storage_backends, "RESERVE_BYTES", -(10**9))
        storage = Storage(str(disk))
        storage.write_bytes("small", b"x" * 1000)
        with pytest.raises(StorageError, match=r"WS-STORAGE-002.*disk is full"):
            storage.write_bytes("large", b"x" * 1_000_000)
        assert leftovers(disk) == ["small"]
        storage.write_bytes("small", b"y")
        assert storage.read_bytes("small") == b"y"
