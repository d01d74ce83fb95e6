from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from windsock.cli import processes
from windsock.cli.app import run
from windsock.cli.supervisor import MOST_RESTARTS, Part, Supervisor, asked_restart
from windsock.locations import NOTE, process_start

HANGS = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(600)
    """


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return a home in which this process runs a stack with a program that does not end when it is asked."""
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    monkeypatch.setattr("windsock.cli.stack_parts.GRACE_SECONDS", 1.0)
    return tmp_path


@pytest.fixture
def supervisor(home):
    part = Part(
        name="mlflow",
        command=(sys.executable, "-c", textwrap.dedent(HANGS)),
        environment={**os.environ, "PYTHONUNBUFFERED": "1"},
        folder=Path.cwd(),
        ready=lambda: "ready" in (home / "logs" / "mlflow.log").read_text(),
    )
    one = Supervisor(logs=home / "logs", say=lambda line: None, handle_signals=False, grace=0.5)
    with one:
        one.start(part)
        one.wait_ready(timeout=60)
        pid = os.getpid()
        facts = {"stack_id": one.stack_id, "pid": pid, "begun": process_start(pid)}
        (home / NOTE).write_text(json.dumps(facts))
        (home / NOTE).chmod(0o600)
        yield one


def test_a_program_that_hangs_is_ended_and_comes_back(home, supervisor, capsys):
    before = processes.marked_processes(supervisor.stack_id, "mlflow")
    os.kill(before[0], signal.SIGSTOP)
    supervisor._running["mlflow"].restarts = MOST_RESTARTS
    stopped = threading.Event()

    def look_after() -> None:
        while not stopped.wait(0.05):
            supervisor.check()

    thread = threading.Thread(target=look_after)
    thread.start()
    try:
        assert run(["stack", "restart", "mlflow"]) == 0, "it does not count"
    finally:
        stopped.set()
        thread.join()
    after = processes.marked_processes(supervisor.stack_id, "mlflow")
    assert after
    assert not set(before) & set(after)
    assert f"mlflow: started again, process {after[0]}" in capsys.readouterr().out


def test_a_program_that_nobody_starts_again_is_named(home, supervisor, monkeypatch, capsys):
    monkeypatch.setattr("windsock.cli.stack_parts.BACK_SECONDS", 0.3)
    assert run(["stack", "restart", "mlflow"]) == 1
    assert "WS-WATCH-043: mlflow was not started again within 0.3 s" in capsys.readouterr().err
    assert not asked_restart(home / "logs", "mlflow").exists(), "a later end would not count"


@pytest.mark.parametrize("part", ["server", "airflow-triggerer"])
def test_a_program_that_this_stack_does_not_have(home, supervisor, part, capsys):
    begun = time.monotonic()
    assert run(["stack", "restart", part]) == 1
    assert time.monotonic() - begun < 10
    said = capsys.readouterr().err
    assert f"WS-WATCH-043: the stack that runs in {home} has no {part}; it has: mlflow" in said
    assert not asked_restart(home / "logs", part).exists()


def test_what_a_command_before_left_excuses_no_end(home):
    logs = home / "logs"
    logs.mkdir()
    asked_restart(logs, "server").touch()
    with Supervisor(logs=logs, say=lambda line: None, handle_signals=False):
        assert not asked_restart(logs, "server").exists()


def test_a_program_that_no_stack_has(home, supervisor, capsys):
    assert run(["stack", "restart", "postgres"]) == 1
    said = capsys.readouterr().err
    assert "'postgres' is no program of the stack; known: mlflow, server, airflow-api" in said


def test_where_no_stack_runs(home, capsys):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    facts = {"stack_id": "0" * 32, "pid": ended.pid, "begun": "1"}
    (home / NOTE).write_text(json.dumps(facts))
    (home / NOTE).chmod(0o600)
    begun = time.monotonic()
    assert run(["stack", "restart", "mlflow"]) == 1
    assert time.monotonic() - begun < 20
    said = capsys.readouterr().err
    assert f"WS-WATCH-043: no stack of `windsock up` runs in {home}" in said
    assert "Start it by `windsock up`" in said
