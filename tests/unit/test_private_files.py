"""Whatever the umask is: what an installation writes is its owner's, or its owner's and one group's."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from windsock import private_files
from windsock.adapters.database import open_database, writing
from windsock.adapters.signing import create_keys
from windsock.adapters.storage import Storage
from windsock.cli.stack_home import make_private
from windsock.exceptions import SettingsError
from windsock.private_files import give, make_file, make_folder, opener, rights, tighten
from windsock.serving.files import locked, replace_file
from windsock.settings import Settings

OWN_GROUP = grp.getgrgid(os.getegid()).gr_name


@pytest.fixture(params=[0o022, 0o000, 0o077, 0o027, 0o277], ids=lambda umask: f"umask {umask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(private_files.GROUP_VARIABLE, OWN_GROUP)
    return OWN_GROUP


def mode(entry: Path) -> str:
    return f"{stat.S_IMODE(entry.stat().st_mode):04o}"


def open_to_others(root: Path) -> list[str]:
    """Return what `find ROOT -perm /077` lists."""
    return [
        f"{mode(entry)} {entry.relative_to(root)}"
        for entry in sorted(root.rglob("*"))
        if stat.S_IMODE(entry.lstat().st_mode) & 0o077 and not entry.is_symlink()
    ]


def write_all(root: Path) -> None:
    """Write by each of the writers that a process of Windsock has."""
    storage = Storage(str(root / "store"))
    storage.write_bytes("bundles/churn/a/manifest.json", b"{}")
    with storage.working_folder() as work:
        (work / "rows.parquet").write_bytes(b"rows")
        (work / "inner").mkdir()
        (work / "inner" / "manifest.json").write_bytes(b"{}")
        storage.put_tree(work, "snapshots/churn/b", last="inner/manifest.json")
    storage.fetch_tree("snapshots/churn/b", root / "serving" / "copy")
    replace_file(root / "serving" / "routes.json", "{}")
    with locked(root / "serving" / "lock"):
        pass
    make_file(root / "serving" / "log.sealed")
    with open(root / "serving" / "lines", "ab", opener=opener) as stream:
        stream.write(b"line\n")


class TestRights:
    def test_the_owner_alone_has_any(self, tmp_path: Path, umask: int) -> None:
        write_all(tmp_path)
        assert open_to_others(tmp_path) == []
        assert mode(tmp_path / "store") == "0700"
        assert mode(tmp_path / "store" / "bundles" / "churn" / "a" / "manifest.json") == "0600"
        assert mode(tmp_path / "serving" / "routes.json") == "0600"

    def test_a_named_group_may_read(self, tmp_path: Path, group: str, umask: int) -> None:
        write_all(tmp_path)
        found = set(open_to_others(tmp_path))
        assert "2750 store/snapshots/churn/b/inner" in found
        assert "0640 store/snapshots/churn/b/inner/manifest.json" in found
        assert "0640 serving/copy/rows.parquet" in found
        assert "0640 serving/routes.json" in found
        assert {entry.partition(" ")[0] for entry in found} == {"2750", "0640"}
        assert {entry.stat().st_gid for entry in tmp_path.rglob("*")} == {os.getegid()}

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to a group it is no member of")
    def test_the_files_belong_to_the_named_group(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = next(one for one in grp.getgrall() if one.gr_gid != os.getegid())
        monkeypatch.setenv(private_files.GROUP_VARIABLE, other.gr_name)
        write_all(tmp_path)
        shared = [entry for entry in tmp_path.rglob("*") if stat.S_IMODE(entry.stat().st_mode) & 0o070]
        assert shared
        assert {entry.stat().st_gid for entry in shared} == {other.gr_gid}

    @pytest.mark.parametrize("name", ["nobody_has_this_group", "x" * 5000, "a\nb", "0", "root wheel"])
    def test_a_group_that_is_not_there_is_refused(self, name: str) -> None:
        with pytest.raises(SettingsError, match="WINDSOCK_FILES_GROUP") as refused:
            Settings.from_environment({private_files.GROUP_VARIABLE: name})
        assert refused.value.code == "WS-SETTINGS-036"
        assert len(str(refused.value)) < 400

    def test_a_group_of_which_the_process_is_no_member_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private_files._rights_of.cache_clear()
        other = next(one for one in grp.getgrall() if one.gr_gid not in {os.getegid(), *os.getgroups()})
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        with pytest.raises(SettingsError, match="no member"):
            rights({private_files.GROUP_VARIABLE: other.gr_name})
        private_files._rights_of.cache_clear()

    @pytest.mark.parametrize("name", ["", "  "])
    def test_no_name_is_no_group(self, name: str) -> None:
        assert rights({private_files.GROUP_VARIABLE: name}) == private_files.Rights()


class TestMaking:
    def test_a_folder_that_is_there_keeps_its_rights(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        make_folder(tmp_path / "a" / "b")
        make_folder(tmp_path / "a" / "b")
        assert (mode(tmp_path), mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == ("0755", "0700", "0700")

    def test_a_file_in_the_way_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        with pytest.raises(OSError, match="a"):
            make_folder(tmp_path / "a" / "b")

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "target").touch(mode=0o644)
        (tmp_path / "link").symlink_to("target")
        with pytest.raises(OSError, match="link"):
            give(tmp_path / "link")
        assert mode(tmp_path / "target") == "0644"

    def test_a_file_that_is_there_is_opened_as_it_is(self, tmp_path: Path) -> None:
        file = tmp_path / "a"
        file.write_text("one")
        file.chmod(0o644)
        with open(file, "a", opener=opener) as stream:
            stream.write("two")
        with open(file, opener=opener) as stream:
            assert stream.read() == "onetwo"
        with pytest.raises(FileExistsError):
            opener(str(file), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        with pytest.raises(FileNotFoundError):
            opener(str(tmp_path / "b"), os.O_RDONLY)
        assert mode(file) == "0644"

    def test_keys_are_their_owners_alone_also_where_a_group_is_named(
        self, tmp_path: Path, group: str, umask: int
    ) -> None:
        keys = create_keys(tmp_path / "home" / "keys")
        assert mode(keys) == "0700"
        assert open_to_others(keys) == ["0644 signing.pub"]  # public, and mounted into containers by itself


class TestDatabase:
    def test_its_files_are_private_while_it_is_in_use(self, tmp_path: Path, umask: int) -> None:
        url = f"sqlite:///{tmp_path / 'home' / 'control.db'}"
        with writing(url):
            names = {entry.name for entry in (tmp_path / "home").iterdir()}
            assert {"control.db", "control.db-wal", "control.db-shm"} <= names
            assert open_to_others(tmp_path) == []

    def test_one_that_others_could_read_is_private_after_opening(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'control.db'}"
        open_database(url).dispose()
        for entry in tmp_path.iterdir():
            entry.chmod(0o666)
        (tmp_path / "not_ours").touch()
        (tmp_path / "not_ours").chmod(0o644)
        private_files_before = open_to_others(tmp_path)
        assert "0666 control.db" in private_files_before
        from windsock.adapters import database

        database._opened.cache_clear()
        with writing(url):
            assert open_to_others(tmp_path) == ["0644 not_ours"]


class TestTightening:
    def test_rights_are_taken_and_never_given(self, tmp_path: Path, group: str) -> None:
        modes = {"a": 0o644, "b": 0o600, "c": 0o755, "d": 0o777, "e": 0o400}
        for name, one in modes.items():
            (tmp_path / name).touch()
            (tmp_path / name).chmod(one)
        assert tighten(tmp_path) == 3 + (mode(tmp_path) != "0700")
        assert {name: mode(tmp_path / name) for name in modes} == {
            "a": "0640",
            "b": "0600",
            "c": "0740",
            "d": "0740",
            "e": "0400",
        }

    def test_links_are_not_followed_and_what_is_left_out_stays(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir(mode=0o755)
        (outside / "file").touch(mode=0o644)
        home = tmp_path / "home"
        (home / "keys").mkdir(parents=True)
        (home / "keys" / "signing.pub").touch(mode=0o644)
        (home / "link").symlink_to(outside)
        (home / "file-link").symlink_to(outside / "file")
        for entry in (home, home / "keys"):
            entry.chmod(0o755)
        assert tighten(home, leave=(home / "keys",)) == 1
        assert open_to_others(home) == ["0755 keys", "0644 keys/signing.pub"]
        assert open_to_others(outside) == ["0644 file"]
        assert mode(home) == "0700"

    def test_what_is_not_there_is_fine(self, tmp_path: Path) -> None:
        assert tighten(tmp_path / "nothing") == 0

    def test_storage_of_an_earlier_version_is_made_private_once(self, tmp_path: Path) -> None:
        root = tmp_path / "store"
        old = root / "predictions" / "churn" / "hour.parquet"
        old.parent.mkdir(parents=True)
        old.touch()
        (root / ".scratch").mkdir()
        (root / "not_ours").touch()
        for entry in (root, *root.rglob("*")):
            entry.chmod(0o755 if entry.is_dir() else 0o644)
        Storage(str(root)).write_bytes("bundles/churn/a", b"")
        assert open_to_others(root) == ["0644 not_ours"]
        assert mode(root) == "0755"  # it holds other things too, so it may be another's
        assert Storage(str(root)).names("") == ("bundles", "not_ours", "predictions")
        old.chmod(0o644)  # somebody wants it so
        Storage(str(root)).write_bytes("bundles/churn/b", b"")
        assert open_to_others(root) == ["0644 not_ours", "0644 predictions/churn/hour.parquet"]

    def test_a_stacks_home_is_made_private_when_it_starts(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        for name in ("control.db", "mlflow.db-wal", "airflow/logs/task.log", "stack.lock", "storage/a/b"):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).touch(mode=0o644)
        create_keys(home / "keys")
        for entry in (home, *(one for one in home.rglob("*") if one.is_dir() and one.name != "keys")):
            entry.chmod(0o755)
        make_private(home)
        assert open_to_others(home) == ["0644 keys/signing.pub"]
        assert mode(home) == "0700"

    def test_a_home_that_holds_other_things_keeps_its_own_rights(self, tmp_path: Path) -> None:
        (tmp_path / "storage").mkdir(mode=0o755)
        (tmp_path / "thesis.tex").touch(mode=0o644)
        tmp_path.chmod(0o755)
        make_private(tmp_path)
        assert open_to_others(tmp_path) == ["0644 thesis.tex"]
        assert mode(tmp_path) == "0755"
