from __future__ import annotations

import errno
import io
import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from windsock.cli.app import run
from windsock.cli.console import say
from windsock.cli.output import CheckedOutput, checked_output, end_output, plain, print_json
from windsock.records import Status


class Failing(io.StringIO):
    """A stream on a full disk, or whose reader is gone."""

    def __init__(self, number: int, *, at: str = "write") -> None:
        super().__init__()
        self.number, self.at = number, at

    def write(self, text):
        if self.at == "write":
            raise OSError(self.number, os.strerror(self.number))
        return super().write(text)

    def flush(self):
        if self.at == "flush":
            raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("at", ["write", "flush"])
@pytest.mark.parametrize(
    ("number", "code", "expected"),
    [
        (errno.ENOSPC, 0, 3),
        (errno.ENOSPC, 1, 1),
        (errno.EIO, 0, 3),
        (errno.EPIPE, 0, 141),
        (errno.EPIPE, 1, 1),
    ],
)
def test_what_could_not_be_written_is_an_error_unless_its_reader_went_away(
    monkeypatch, capsys, at, number, code, expected
):
    monkeypatch.setattr("sys.stdout", Failing(number, at=at))
    with checked_output() as output:
        say("a line")
        say("another")
    assert end_output(output, code) == expected
    told = capsys.readouterr().err
    assert ("WS-SETTINGS-023" in told) == (number != errno.EPIPE)
    if told:
        assert f"the command itself ended with {code}" in told


def test_a_closed_stdout_is_one_that_cannot_be_written(capsys):
    output = CheckedOutput(None)
    assert end_output(output, 0) == 0  # nothing was to be written
    output.write("x")
    assert end_output(output, 0) == 3


@pytest.mark.parametrize("command", [["schema"], ["--help"], ["validate", "--help"]])
def test_every_command_ends_with_an_error_where_its_output_is_lost(monkeypatch, capsys, command):
    monkeypatch.setattr("sys.stdout", Failing(errno.ENOSPC))
    assert run(command) == 3
    assert "WS-SETTINGS-023" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_a_process_with_a_message_and_no_trace(project):
    environment = {**os.environ, "PYTHONPATH": str(project / "plugins")}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "windsock.cli", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
    assert done.returncode == 3
    assert done.stderr.splitlines()[0].startswith("error: WS-SETTINGS-023: ")
    assert "Exception ignored" not in done.stderr


def test_json_has_its_own_types_only(capsys):
    print_json(
        {
            "at": datetime(2026, 1, 1, tzinfo=UTC),
            "path": Path("/x"),
            "no number": [math.inf, math.nan, 1.5],
            "status": Status.PASS,
            "text": "\x1b[31mü",
        }
    )
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert "\x1b" not in shown
    assert json.loads(shown) == {
        "at": "2026-01-01T00:00:00+00:00",
        "path": "/x",
        "no number": [None, None, 1.5],
        "status": "pass",
        "text": "\x1b[31mü",
    }
    assert plain((1, True, None)) == [1, True, None]
