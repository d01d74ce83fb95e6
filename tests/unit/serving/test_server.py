from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.serving import PLUGINS
from windsock.exceptions import SettingsError, StorageError
from windsock.serving.server import run
from windsock.serving.workers import WorkerNote, WorkerNotes, is_alive
from windsock.settings import Settings


def test_a_port_that_is_taken_is_named_with_the_way_out(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} on 127.0.0.1 is taken") as refused:
            run(settings, port=port)
    assert refused.value.code == "WS-SERVING-002"
    assert "--port" in refused.value.next_action
    assert not (settings.serving_dir / "server.json").exists()


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_that_is_not_ours(settings: Settings, host: str) -> None:
    with pytest.raises(SettingsError, match="cannot listen on"):
        run(settings, host=host, port=0)


@pytest.mark.parametrize("workers", [0, -1, 65])
def test_a_number_of_workers_that_makes_no_sense(settings: Settings, workers: int) -> None:
    with pytest.raises(SettingsError, match="workers"):
        run(settings, port=0, workers=workers)


def test_two_servers_do_not_share_a_state_folder(settings: Settings) -> None:
    settings.serving_dir.mkdir(parents=True)
    (settings.serving_dir / "server.json").write_text(
        json.dumps({"pid": 17, "address": "http://127.0.0.1:1"})
    )
    with (settings.serving_dir / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match="process 17 on http://127.0.0.1:1") as refused:
            run(settings, port=0)
    assert refused.value.code == "WS-SERVING-003"


def test_a_state_folder_that_cannot_be_made(settings: Settings) -> None:
    settings.serving_dir.write_text("a file stands there")
    with pytest.raises(StorageError, match="cannot be written"):
        run(settings, port=0)


def test_the_serving_path_knows_neither_airflow_nor_mlflow(
    modules_after: Callable[[str], frozenset[str]],
) -> None:
    unknown = {"airflow", "mlflow", "evidently", "great_expectations", "matplotlib", "pyarrow"}
    assert modules_after("serving") & unknown == set()


def test_what_serves_imports_with_what_its_image_holds(
    modules_after: Callable[[str], frozenset[str]],
) -> None:
    """Every module of it, above all without YAML; an import that fails fails the proof."""
    found = modules_after("serving image")
    assert {"windsock.serving.app", "windsock.serving.slot_app", "windsock.serving.protocols"} <= found


class TestNotes:
    def test_only_the_living_count(self, tmp_path: Path) -> None:
        notes = WorkerNotes(tmp_path)
        assert notes.living() == ()
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        from support.builders import NOON

        for pid in (os.getpid(), dead.pid):
            notes.write(WorkerNote(pid=pid, started=NOON, epochs={"churn": 2}))
        (tmp_path / "workers" / "1.json").write_text("{")
        assert [note.pid for note in notes.living()] == [os.getpid()]
        notes.remove(os.getpid())
        assert notes.living() == ()
        notes.clear()
        assert list((tmp_path / "workers").iterdir()) == []

    def test_a_zombie_is_dead(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", ""])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(child.pid)
        child.wait()
        assert not is_alive(child.pid)
        assert is_alive(1)


def test_the_module_tells_a_fault_in_one_line(settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        said = subprocess.run(
            [sys.executable, "-m", "windsock.serving", "--port", str(other.getsockname()[1])],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(PLUGINS), "WINDSOCK_HOME": str(tmp_path)},
        )
    assert said.returncode == 1
    assert said.stderr.startswith("WS-SERVING-002: port")
    assert "Traceback" not in said.stderr
