from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from windsock.cli import processes
from windsock.cli.supervisor import (
    MOST_RESTARTS,
    STEADY_SECONDS,
    Part,
    PartFailedError,
    StopSignalError,
    Supervisor,
)

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) > 1:
    subprocess.Popen([sys.executable, __file__], start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""


def part(name: str, code: str, ready=lambda: True, *arguments: str) -> Part:
    return Part(
        name=name,
        command=(sys.executable, "-c", textwrap.dedent(code), *arguments),
        environment={**os.environ, "PYTHONUNBUFFERED": "1"},
        folder=Path.cwd(),
        ready=ready,
    )


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path, said):
    return Supervisor(logs=tmp_path / "logs", say=said.append, handle_signals=False, grace=0.5)


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_a_part_is_waited_for_and_ended(supervisor):
    with supervisor:
        log = supervisor.log_file("a")
        supervisor.start(
            part(
                "a", "import time; print('up', flush=True); time.sleep(600)", lambda: "up" in log.read_text()
            )
        )
        supervisor.wait_ready(timeout=20)
        assert len(processes.marked_processes(supervisor.stack_id)) == 1
    assert processes.marked_processes(supervisor.stack_id) == []


@pytest.mark.parametrize("alone", [False, True], ids=["of its group", "in a session of its own"])
def test_each_process_is_asked_to_end_once(supervisor, tmp_path, alone):
    """Airflow's scheduler takes a second time for haste, and leaves its workers waiting for ever."""
    counts = f"""
        import os, signal, subprocess, sys, time
        if {alone} and len(sys.argv) == 1:
            subprocess.Popen([sys.executable, "-c", {{code}}, "child"], start_new_session=True)
            time.sleep(600)
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
        print("up", flush=True)
        while not asked:
            time.sleep(0.01)
        time.sleep(0.3)
        open({str(tmp_path / "asked")!r}, "w").write(str(len(asked)))
        """
    code = textwrap.dedent(counts)
    code = code.replace("{code}", repr(code.replace("{code}", "''")))
    supervisor.grace = 10.0
    with supervisor:
        log = supervisor.log_file("a")
        supervisor.start(part("a", code, lambda: "up" in log.read_text()))
        supervisor.wait_ready(timeout=20)
    assert (tmp_path / "asked").read_text() == "1"


def test_children_in_sessions_of_their_own_that_ignore_sigterm_are_killed(supervisor, tmp_path):
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    with supervisor:
        command = (sys.executable, str(script), "parent")
        supervisor.start(
            Part(name="s", command=command, environment=dict(os.environ), folder=tmp_path, ready=lambda: True)
        )
        wait_for(lambda: supervisor.tail("s").count("ready") == 2)
        assert len(processes.marked_processes(supervisor.stack_id)) == 2
    assert processes.marked_processes(supervisor.stack_id) == []


def test_the_log_of_the_start_before_is_kept_and_the_tail_has_no_colours(supervisor):
    with supervisor:
        supervisor.logs.mkdir(exist_ok=True)
        supervisor.log_file("job").write_text("the start before\n")
        supervisor.run(part("job", r"print('\x1b[31mred\x1b[0m')"), timeout=20)
    assert supervisor.tail("job") == ["red"]
    assert (supervisor.logs / "job.log.1").read_text() == "the start before\n"
    assert supervisor.tail("never started") == []


def test_a_job_that_fails_says_why(supervisor, said):
    ended = "job ended with exit code 3: ValueError: the reason"
    with supervisor, pytest.raises(PartFailedError, match=ended) as caught:
        supervisor.run(part("job", "import sys; print('ValueError: the reason'); sys.exit(3)"), timeout=20)
    assert said == []
    assert str(supervisor.log_file("job")) in caught.value.next_action


def test_a_job_that_takes_too_long_is_ended(supervisor):
    with supervisor:
        with pytest.raises(PartFailedError, match="did not end within"):
            supervisor.run(part("job", "import time; time.sleep(600)"), timeout=0.2)
        wait_for(lambda: not processes.marked_processes(supervisor.stack_id))


def test_a_program_that_is_not_there_is_named(supervisor, tmp_path):
    missing = Part(
        name="gone", command=("/no/such/program",), environment={}, folder=tmp_path, ready=lambda: True
    )
    with supervisor, pytest.raises(PartFailedError, match="gone cannot be started: /no/such/program"):
        supervisor.start(missing)


def test_a_part_that_ends_before_it_answers_is_not_restarted(supervisor, said):
    with supervisor:
        supervisor.start(part("a", "print('no licence')", lambda: False))
        with pytest.raises(PartFailedError, match="a ended with exit code 0 before it answered"):
            supervisor.wait_ready(timeout=20)
    assert said == [], "nothing of a part's log is printed"


def test_a_part_that_does_not_answer_in_time_is_named(supervisor):
    with supervisor:
        supervisor.start(part("slow", "import time; time.sleep(600)", lambda: False))
        with pytest.raises(PartFailedError, match="slow did not answer within"):
            supervisor.wait_ready(timeout=0.3)


def test_a_part_that_dies_is_restarted_three_times_and_its_last_error_is_named(supervisor, said):
    with supervisor:
        supervisor.start(
            part(
                "a",
                "import time; print('KeyError: 4\\n at', flush=True); time.sleep(0.2); raise SystemExit(7)",
            )
        )
        supervisor.wait_ready(timeout=20)
        with pytest.raises(PartFailedError, match=f"exit code 7 after {MOST_RESTARTS} restarts"):
            supervisor.watch()
    restarts = [line for line in said if "; restart" in line]
    assert restarts == [f"a ended with exit code 7; restart {n} of 3: KeyError: 4" for n in (1, 2, 3)]


def test_a_part_that_was_well_for_long_has_its_restarts_anew(supervisor, said):
    with supervisor:
        supervisor.start(part("a", "import time; time.sleep(600)"))
        running = supervisor._running["a"]
        running.came_up, running.restarts = True, MOST_RESTARTS
        running.begun -= STEADY_SECONDS
        running.process.kill()
        wait_for(lambda: running.process.poll() is not None)
        supervisor.check()
        assert said == ["a ended with exit code -9; restart 1 of 3"]
        running.restarts = MOST_RESTARTS
        running.process.kill()
        wait_for(lambda: running.process.poll() is not None)
        with pytest.raises(PartFailedError, match="after 3 restarts"):
            supervisor.check()


def test_a_restart_ends_what_the_dead_part_left(supervisor):
    leaves_a_child = """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        raise SystemExit(1)
        """
    with supervisor:
        supervisor.start(part("a", leaves_a_child))
        running = supervisor._running["a"]
        running.came_up = True
        wait_for(lambda: running.process.poll() is not None)
        first = processes.marked_processes(supervisor.stack_id)
        assert len(first) == 1
        supervisor.check()
        assert not set(first) & set(processes.marked_processes(supervisor.stack_id))


def test_pause_notices_a_dead_part(supervisor):
    with supervisor:
        supervisor.start(part("a", "raise SystemExit(1)", lambda: False))
        with pytest.raises(PartFailedError):
            supervisor.pause(20)


def test_pause_ends_by_itself(supervisor):
    with supervisor:
        supervisor.start(part("a", "import time; time.sleep(600)"))
        supervisor.wait_ready(timeout=20)
        begun = time.monotonic()
        supervisor.pause(0.05)
        assert time.monotonic() - begun >= 0.05
        assert supervisor.names == ("a",)
        assert len(processes.marked_processes(supervisor.stack_id)) == 1


SUPERVISED = """
import os, signal, sys
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
sys.path.insert(0, sys.argv[1])
from windsock.cli.supervisor import Part, StopSignalError, Supervisor

def part(name, code, ready):
    return Part(name=name, command=(sys.executable, "-c", code), environment=dict(os.environ),
                folder=Path.cwd(), ready=ready)

supervisor = Supervisor(logs=Path(sys.argv[2]), say=print, grace=float(sys.argv[4]))
print(supervisor.stack_id, flush=True)
try:
    with supervisor:
        child = ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
                 "print('up', flush=True); time.sleep(600)")
        supervisor.start(part("a", child, lambda: "up" in supervisor.tail("a")))
        if sys.argv[3] == "starting":
            supervisor.start(part("b", child, lambda: False))
        if sys.argv[3] == "job":
            print("running", flush=True)
            supervisor.run(part("job", child, lambda: True), timeout=600)
        else:
            if sys.argv[3] == "starting":
                print("running", flush=True)
            supervisor.wait_ready(timeout=600)
            print("running", flush=True)
            supervisor.watch()
except StopSignalError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def supervised(tmp_path, project):
    """Start a supervisor in a process of its own; it has children when this returns."""
    started: list[subprocess.Popen[str]] = []

    def start(phase: str, grace: float = 0.5) -> tuple[subprocess.Popen[str], str]:
        arguments = [str(project / "plugins"), str(tmp_path / "logs"), phase, str(grace)]
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISED, *arguments], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout
        stack_id = process.stdout.readline().strip()
        assert process.stdout.readline().strip() == "running"
        wait_for(lambda: processes.marked_processes(stack_id))
        return process, stack_id

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
@pytest.mark.parametrize("phase", ["starting", "job", "running"])
def test_a_signal_ends_everything_in_every_phase(supervised, number, phase):
    process, stack_id = supervised(phase)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in out
    assert processes.marked_processes(stack_id) == []


def test_a_supervisor_that_is_killed_leaves_nothing_either(supervised):
    process, stack_id = supervised("running")
    process.kill()
    wait_for(lambda: not processes.marked_processes(stack_id))


def test_a_second_signal_ends_the_waiting(supervised):
    process, stack_id = supervised("running", grace=600)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert processes.marked_processes(stack_id) == []


def test_the_handlers_from_before_come_back(tmp_path, said):
    before = signal.getsignal(signal.SIGTERM)
    with Supervisor(logs=tmp_path, say=said.append) as supervisor:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StopSignalError) as caught:
            supervisor.watch()
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_under_nohup_a_hang_up_stays_ignored(tmp_path, said):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Supervisor(logs=tmp_path, say=said.append) as supervisor:
            os.kill(os.getpid(), signal.SIGHUP)
            supervisor.pause(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)
