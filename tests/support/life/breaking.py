"""How the systems of an installation are broken: programs, files, rows, the clock, the disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from support.life.installation import Life
from support.shifted import CLOCK_FOLDER, SHIFT
from support.tried import Tried, retrain_here
from windsock.adapters.ledger_table import SqlLedger
from windsock.cli import processes
from windsock.ports import utc_now
from windsock.records import champion_of

LONG_AGO = timedelta(minutes=30)
"""Longer than server and registry have to follow a change of traffic."""
GIB = 2**30
SPARE_GIB, TAKEN_GIB = 6, 8
AHEAD = timedelta(minutes=6)
ROUTES = ("routes.json", "routes.kept.json")


# --- models


def make_version(life: Life, name: str) -> str:
    """Train and serve a version in this process, by a ledger that is dated half an hour ago."""
    model = Tried(life.live, name)
    model.versions = len({row.version for row in life.ports.ledger.rows(name)})
    model.grow()
    ledger = SqlLedger.of(model.settings, now=lambda: utc_now() - LONG_AGO)
    return retrain_here(replace(model.ports, ledger=ledger), model.spec, f"made-{utc_now():%H%M%S%f}")


def bundle_of(life: Life, name: str) -> Path:
    """Return the folder of the champion's bundle."""
    champion = champion_of(life.ports.ledger.rows(name))
    assert champion is not None
    return Path(champion.bundle_uri)


# --- programs


def pids(life: Life, part: str) -> list[int]:
    """Return the processes of one of the stack's programs."""
    return processes.marked_processes(life.live.stack_id, part)


def hang(part: str) -> Callable[[Life], None]:
    """Let a program hang: nothing of it runs any more, and nothing of it ends."""
    return lambda life: processes.signal_all(pids(life, part), signal.SIGSTOP)


def kill(part: str) -> Callable[[Life], None]:
    """Kill a program with all of its processes."""
    return lambda life: processes.signal_all(pids(life, part), signal.SIGKILL)


def answers(url: str) -> bool:
    """Say whether an address answers well."""
    try:
        return httpx.get(url, timeout=3.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def kill_workers_in_a_loop(life: Life) -> None:
    """Kill each process of the server but the one that starts them, as soon as it is there."""
    stopped = threading.Event()
    parent = json.loads((life.home / "serving" / "server.json").read_text())["pid"]

    def loop() -> None:
        while not stopped.wait(0.1):
            processes.signal_all([pid for pid in pids(life, "server") if pid != parent], signal.SIGKILL)

    thread = threading.Thread(target=loop, name="killer", daemon=True)
    thread.start()

    def stop() -> None:
        stopped.set()
        thread.join()

    life.notes["killer"] = stop


# --- files


def minimum_free_mb(folder: Path) -> int:
    """Return a limit of free space that is kept now, and no longer once the disk is a little fuller."""
    return (shutil.disk_usage(folder).free - SPARE_GIB * GIB) // 2**20


def fill_disk(life: Life) -> None:
    """Take space on the disk of the home."""
    with (life.home / "logs" / "old-dump.bin").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, TAKEN_GIB * GIB)


def free_disk(life: Life, _: str) -> str:
    """Give it back."""
    (life.home / "logs" / "old-dump.bin").unlink()
    return "removed the file that took the space"


def damage(name: str) -> Callable[[Life], None]:
    """Change a byte of the champion's model, after a backup of its folder."""

    def break_(life: Life) -> None:
        folder = bundle_of(life, name)
        shutil.copytree(folder, life.home.parent / f"backup-{name}")
        file = folder / "model.skops"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    return break_


def from_backup(name: str) -> Callable[[Life, str], str]:
    """Bring the folder back."""

    def cure(life: Life, _: str) -> str:
        folder = bundle_of(life, name)
        shutil.rmtree(folder)
        shutil.copytree(life.home.parent / f"backup-{name}", folder)
        return "brought the folder back from the backup"

    return cure


def take_away(path: str, instead: str = "nothing") -> Callable[[Life], None]:
    """Move something of the home aside.

    :param instead: what is there then: ``nothing``, a ``file`` or a ``folder``.
    """

    def break_(life: Life) -> None:
        there = life.home / path
        if there.exists():
            there.rename(there.with_name(f"{there.name}.aside"))
        if instead == "file":
            there.write_text("in the way")
        elif instead == "folder":
            there.mkdir()

    return break_


def bring_back(path: str) -> Callable[[Life, str], str]:
    """Move it back."""

    def cure(life: Life, _: str) -> str:
        there = life.home / path
        aside = there.with_name(f"{there.name}.aside")
        if there.is_dir():
            there.rmdir()
        else:
            there.unlink(missing_ok=True)
        if aside.exists():
            aside.rename(there)
        return f"brought {path} back"

    return cure


# --- the server's plans


def without_plan(tables: dict[str, Any], name: str) -> None:
    """Take a model's plan out of a file of plans."""
    for part in ("models", "seals", "champions", "challengers"):
        tables[part].pop(name, None)


def plan_of(life: Life, name: str) -> dict[str, Any]:
    """Return what the file of plans holds of a model, with its seal."""
    content = json.loads((life.home / "serving" / ROUTES[0]).read_text())
    return {part: content[part][name] for part in content if name in content[part]}


def lose_plan(life: Life, name: str, *, old: dict[str, Any] | None = None) -> None:
    """Take a model's plan out of both files of the server; it is not told.

    :param old: an earlier plan that is put in its place, as a restored backup would.
    """
    for file in (life.home / "serving" / one for one in ROUTES):
        content = json.loads(file.read_text())
        without_plan(content, name)
        for part, value in (old or {}).items():
            content[part][name] = value
        file.write_text(json.dumps(content))


def start_server_again(life: Life) -> None:
    """Restart the server and wait until it answers."""
    life.run("windsock stack restart server")
    assert life.await_(lambda: answers(f"{life.settings.admin_address}/health"), seconds=life.bound)


# --- rows


def forge(name: str) -> Callable[[Life], None]:
    """Change a row of a ledger in the database, past its triggers."""

    def break_(life: Life) -> None:
        with closing(sqlite3.connect(life.home / "control.db", timeout=60)) as database, database:
            trigger = "SELECT sql FROM sqlite_master WHERE name = 'ledger_no_update'"
            (made,) = database.execute(trigger).fetchone()
            chosen = "model = ? AND action = 'commit'"
            (actor,) = database.execute(f"SELECT actor FROM ledger WHERE {chosen}", [name]).fetchone()  # noqa: S608
            database.execute("DROP TRIGGER ledger_no_update")
            database.execute(f"UPDATE ledger SET actor = 'nobody' WHERE {chosen}", [name])  # noqa: S608
            database.execute(made)
            life.notes[f"actor of {name}"] = actor

    return break_


def put_alias(life: Life, name: str, version: str) -> None:
    """Let MLflow's alias name a version, past the ledger."""
    body = {"name": name, "alias": "champion", "version": version}
    url = f"{life.live.stack.mlflow_url}/api/2.0/mlflow/registered-models/alias"
    httpx.post(url, json=body, timeout=30, trust_env=False).raise_for_status()


@contextmanager
def clock_ahead(life: Life, span: timedelta) -> Iterator[None]:
    """Let commands run by a clock that is ahead."""
    before = dict(life.variables)
    path = os.pathsep.join([str(CLOCK_FOLDER), str(life.live.stack.project / "plugins")])
    life.variables |= {SHIFT: str(span.total_seconds()), "PYTHONPATH": path}
    try:
        yield
    finally:
        life.variables.clear()
        life.variables.update(before)


def roll_back_ahead(name: str) -> Callable[[Life], None]:
    """Roll a model back on a machine whose clock is ahead."""

    def break_(life: Life) -> None:
        with clock_ahead(life, AHEAD):
            life.run(f"windsock rollback {name} --reason 'by a clock that is ahead'")

    return break_


def wait_for_the_clock(name: str) -> Callable[[Life, str], str]:
    """Wait until now is later than what was written."""

    def cure(life: Life, _: str) -> str:
        last = life.ports.ledger.rows(name)[-1].at
        time.sleep(max(0.0, (last - utc_now()).total_seconds()))
        return "set the clock right (the next command had the right time) and waited for what was written"

    return cure
