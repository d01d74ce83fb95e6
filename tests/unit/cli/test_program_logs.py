from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from windsock.cli.log_writer import RotatingLog, numbered
from windsock.cli.program_logs import ProgramLogs

LINES = 4_000
WRITER = f"""
import os, sys
for number in range({LINES}):
    os.write(1, b"%06d %s\\n" % (number, b"x" * 40))
"""
"""Writes some 190 kB line by line, as fast as the pipe takes them."""


def lines_of(file: Path) -> list[bytes]:
    """Return all lines of a program's log, those of full files first, in the order in which they came."""
    files = [numbered(file, number) for number in range(9, -1, -1)]
    return b"".join(one.read_bytes() for one in files if one.exists()).splitlines()


def run_writer(logs: ProgramLogs, name: str = "a", code: str = WRITER) -> subprocess.Popen[bytes]:
    with logs.output(name) as pipe:
        return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=subprocess.STDOUT)


def numbers_of(lines: list[bytes]) -> list[int]:
    return [int(line[:6]) for line in lines]


def test_a_log_is_bounded_and_loses_no_line_while_a_program_holds_it(tmp_path):
    logs = ProgramLogs(tmp_path, most=50_000, keep=9)
    assert run_writer(logs).wait() == 0
    logs.close()
    assert numbers_of(lines_of(logs.file("a"))) == list(range(LINES))
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 4
    assert max(sizes) <= 50_000 + 48


def test_only_so_many_full_logs_are_kept(tmp_path):
    logs = ProgramLogs(tmp_path, most=10_000, keep=2)
    assert run_writer(logs).wait() == 0
    logs.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    kept = numbers_of(lines_of(logs.file("a")))
    assert kept == list(range(kept[0], LINES))


def test_a_log_writer_that_is_killed_is_started_again_and_nothing_is_lost(tmp_path):
    logs = ProgramLogs(tmp_path)
    code = "import os\nfor number in range(200):\n    os.write(1, b'%06d\\n' % number); input()"
    with logs.output("a") as pipe:
        program = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=pipe)
    assert program.stdin is not None
    program.stdin.write(b"\n" * 100)
    program.stdin.flush()
    deadline = time.monotonic() + 20
    while len(logs.file("a").read_bytes()) < 101 * 7 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert logs._process is not None
    logs._process.send_signal(signal.SIGKILL)
    logs._process.wait()
    program.stdin.write(b"\n" * 100)
    program.stdin.close()
    assert program.wait() == 0
    logs.watch()
    logs.close()
    assert numbers_of(lines_of(logs.file("a"))) == list(range(200))


def test_what_programs_wrote_is_in_the_files_after_a_flush(tmp_path):
    logs = ProgramLogs(tmp_path)
    programs = {name: run_writer(logs, name, f"print('{name} is done')") for name in ("a", "b")}
    assert {program.wait() for program in programs.values()} == {0}
    logs.flush()
    assert [logs.file(name).read_text() for name in programs] == ["a is done\n", "b is done\n"]
    logs.close()


def test_the_log_writer_goes_on_without_the_supervisor(tmp_path):
    """It ends with the last program: what a killed supervisor's programs say on their way out is kept."""
    logs = ProgramLogs(tmp_path)
    with logs.output("a") as pipe:
        code = "import sys; sys.stdin.read(); print('the last word')"
        program = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=pipe)
    writer = logs._process
    logs._close_control()
    for _, reading in logs._pipes:
        os.close(reading)
    assert program.stdin is not None
    program.stdin.close()
    assert program.wait() == 0
    assert writer is not None
    assert writer.wait(timeout=20) == 0
    assert logs.file("a").read_text() == "the last word\n"


class TestRotatingLog:
    def test_a_line_is_never_split(self, tmp_path):
        log = RotatingLog(tmp_path / "a.log", most=10, keep=5)
        for chunk in (b"one ", b"line that is long\nnext\n", b"third\nfour", b"th\n"):
            log.write(chunk)
        texts = [numbered(log.file, number).read_text() for number in (2, 1)]
        assert texts == ["one line that is long\n", "next\nthird\n"]
        assert log.file.read_text() == "fourth\n"

    def test_one_line_without_an_end_is_bounded_too(self, tmp_path):
        log = RotatingLog(tmp_path / "a.log", most=10, keep=2)
        for _ in range(10):
            log.write(b"endless")
        assert max(file.stat().st_size for file in tmp_path.iterdir()) <= 27
        assert len(list(tmp_path.iterdir())) == 3

    def test_what_the_disk_does_not_take_is_counted_and_said(self, tmp_path):
        folder = tmp_path / "logs"
        log = RotatingLog(folder / "a.log")
        log.write(b"lost\n")
        folder.mkdir()
        log.write(b"kept\n")
        assert (folder / "a.log").read_text() == (
            "[5 bytes of this log are lost: they could not be written]\nkept\n"
        )
