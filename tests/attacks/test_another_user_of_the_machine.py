"""A user of the same machine tries to read what an installation keeps; only root can play two users."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from support.serving import make_bundle, make_settings, store_bundle
from windsock import private_files
from windsock.adapters.database import writing
from windsock.adapters.storage import Storage
from windsock.cli.stack_home import make_private
from windsock.serving.client_file import ClientRegistry
from windsock.serving.files import replace_file

SETPRIV = shutil.which("setpriv")
OTHER = pwd.getpwnam("nobody")
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or SETPRIV is None, reason="needs root and setpriv")


def as_other(*command: str, groups: str = "--clear-groups", **environment: str) -> str:
    """Return what a command says that another user runs."""
    switched = [str(SETPRIV), f"--reuid={OTHER.pw_uid}", f"--regid={OTHER.pw_gid}", groups, *command]
    done = subprocess.run(
        switched, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environment}
    )
    return done.stdout + done.stderr


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder in which everybody may look around; pytest's own are closed to other users."""
    folder = Path(mkdtemp(prefix="windsock-attack-", dir="/tmp"))
    folder.chmod(0o755)
    before = os.umask(0o000)
    yield folder
    os.umask(before)
    shutil.rmtree(folder)


def fill(home: Path) -> None:
    """Make an installation with something of each kind in it."""
    settings = make_settings(home)
    store_bundle(settings, make_bundle())
    with writing(f"sqlite:///{home / 'control.db'}"):
        pass
    storage = Storage(str(home / "storage"))
    for path in ("snapshots/churn/a/rows.parquet", "evidence/churn/a.json", "predictions/churn/1.parquet"):
        storage.write_bytes(path, b"planted")
    replace_file(home / "serving" / "routes.json", "planted")
    ClientRegistry(home / "keys" / "clients.json").add("shop")


def files_read(root: Path, groups: str = "--clear-groups") -> list[str]:
    found = as_other("find", str(root), "-type", "f", "-readable", groups=groups)
    return sorted(line.removeprefix(f"{root}/") for line in found.splitlines() if line.startswith(f"{root}/"))


def test_nothing_of_a_new_installation_is_read(reachable: Path) -> None:
    home = reachable / "home"
    fill(home)
    assert files_read(home) == []
    home.chmod(0o755)  # even where its owner has opened the home
    for folder in ("storage", "serving"):
        assert files_read(home / folder) == []
    assert files_read(home) == []


def test_nothing_is_written_removed_or_replaced(reachable: Path) -> None:
    home = reachable / "home"
    fill(home)
    home.chmod(0o755)
    for command in (
        ("sh", "-c", f"echo x > {home}/control.db"),
        ("sh", "-c", f"echo x > {home}/storage/evidence/churn/b.json"),
        ("rm", "-f", f"{home}/control.db", f"{home}/serving/routes.json"),
        ("ln", "-s", "/etc/passwd", f"{home}/storage/link"),
        ("mv", f"{home}/storage", f"{home}/gone"),
        ("chmod", "777", f"{home}/control.db"),
    ):
        said = as_other(*command).lower()
        assert "denied" in said or "not permitted" in said, command
    assert (home / "control.db").read_bytes()[:6] == b"SQLite"
    assert (home / "serving" / "routes.json").read_text() == "planted"


def test_an_old_installation_is_closed_when_it_starts(reachable: Path) -> None:
    home = reachable / "home"
    fill(home)
    for entry in home.rglob("*"):
        if "keys" not in entry.parts:
            entry.chmod(0o777 if entry.is_dir() else 0o666)
    home.chmod(0o777)
    assert "storage/evidence/churn/a.json" in files_read(home)
    planted = reachable / "elsewhere"
    planted.touch(mode=0o644)
    os.symlink(planted, home / "storage" / "trap")
    make_private(home)
    assert files_read(home) == []
    assert planted.stat().st_mode & 0o777 == 0o644


def test_the_named_group_reads_and_writes_nothing(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    team = next(one for one in grp.getgrall() if one.gr_gid not in {0, OTHER.pw_gid})
    monkeypatch.setenv(private_files.GROUP_VARIABLE, team.gr_name)
    home = reachable / "home"
    fill(home)
    assert files_read(home) == []
    read = files_read(home, groups=f"--groups={team.gr_gid}")
    assert "storage/evidence/churn/a.json" in read
    assert not [name for name in read if name.startswith("keys/")]
    said = as_other(
        "sh", "-c", f"echo x > {home}/storage/evidence/churn/a.json", groups=f"--groups={team.gr_gid}"
    )
    assert "denied" in said.lower()


def test_a_group_that_is_not_ones_own_is_refused_before_anything_is_written(reachable: Path) -> None:
    folder = reachable / "others"
    folder.mkdir(mode=0o777)
    code = "from windsock.settings import Settings; Settings.from_environment()"
    said = as_other(
        *(sys.executable, "-c", code),
        PYTHONPATH=str(Path(private_files.__file__).parents[1]),
        WINDSOCK_FILES_GROUP="root",
        WINDSOCK_HOME=str(folder),
    )
    if "Permission denied" in said and "WINDSOCK" not in said:
        pytest.skip("another user cannot start this environment's Python")
    assert "WS-SETTINGS-036" in said
    assert "no member" in said
    assert list(folder.iterdir()) == []
