from __future__ import annotations

import os
import subprocess
import sys
import time
from uuid import uuid4

import pytest

from windsock.cli import processes


@pytest.fixture
def sleeper():
    started = []

    def start(stack_id: str, part: str = "a") -> subprocess.Popen[bytes]:
        marked = {**os.environ, processes.MARKER: stack_id, processes.PART_MARKER: part}
        code = "import time; print('awake', flush=True); time.sleep(600)"
        process = subprocess.Popen([sys.executable, "-c", code], env=marked, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline()  # while it begins, the system shows it without an environment
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_only_the_processes_of_that_stack_and_part_are_found(sleeper):
    mine, other = uuid4().hex, uuid4().hex
    first, second, foreign = sleeper(mine, "a"), sleeper(mine, "b"), sleeper(other, "a")
    assert sorted(processes.marked_processes(mine)) == sorted([first.pid, second.pid])
    assert processes.marked_processes(mine, "b") == [second.pid]
    assert processes.marked_processes(other) == [foreign.pid]
    assert processes.marked_processes(mine[:-1]) == []


def test_stopping_one_part_leaves_the_others(sleeper):
    stack_id = uuid4().hex
    first, second = sleeper(stack_id, "a"), sleeper(stack_id, "b")
    assert processes.stop_marked(stack_id, "a", grace=5, reap=first.poll) == []
    assert first.wait(timeout=5) == -15
    assert second.poll() is None


def test_a_process_never_finds_itself(monkeypatch, tmp_path):
    environ = f"{processes.MARKER}=x\0".encode()
    for pid in (os.getpid(), 999_999_999):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "environ").write_bytes(environ)
    (tmp_path / "self").mkdir()
    assert processes.marked_processes("x", proc=tmp_path) == [999_999_999]


def test_without_a_process_file_system_nothing_is_found(tmp_path):
    assert processes.marked_processes("x", proc=tmp_path / "none") == []


def test_signals_to_the_dead_are_no_error():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    processes.signal_all([process.pid], processes.signal.SIGTERM)


def test_stopping_nothing_takes_no_time():
    begun = time.monotonic()
    assert processes.stop_marked(uuid4().hex, grace=60) == []
    assert time.monotonic() - begun < 30  # the grace is not waited for


def test_the_watchdog_needs_the_standard_library_only():
    command = [sys.executable, "-I", "-S", processes.__file__, uuid4().hex, "1"]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, timeout=30, check=False).returncode == 0
