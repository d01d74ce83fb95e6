from __future__ import annotations

import os
import subprocess
import sys

import pytest

from windsock import __version__
from windsock.cli import app as cli
from windsock.exceptions import (
    DataRefusedError,
    SettingsError,
    SpecError,
    StorageError,
    TransportError,
    WindsockError,
)

COMMANDS = [
    "validate",
    "init",
    "schema",
    "models",
    "ledger",
    "rollback",
    "step",
    "serve",
    "demo",
    "up",
    "keys",
    "clients",
    "data",
    "rollout",
]


def windsock(project, *arguments, **environment):
    variables = {**os.environ, "PYTHONPATH": str(project / "plugins"), "NO_COLOR": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "windsock.cli", *arguments],
        capture_output=True,
        text=True,
        env=variables,
        timeout=60,
    )


def test_help_lists_every_command_and_the_exit_codes(capsys):
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [command for command in COMMANDS if command not in shown] == []
    assert "3 a system did not" in shown


@pytest.mark.parametrize("command", [[name] for name in COMMANDS] + [["keys", "init"]])
def test_every_command_explains_itself(capsys, command):
    assert cli.run([*command, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_version(capsys):
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"windsock {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["step"], ["schema", "--nonsense"], ["serve", "--port", "x"], ["serve", "--workers", "0"]],
)
def test_wrong_usage_ends_with_2(capsys, arguments):
    assert cli.run(arguments) == 2
    assert "Usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpecError("bad"), 1),
        (SettingsError("bad"), 1),
        (DataRefusedError("bad"), 1),
        (WindsockError("bad"), 1),
        (TransportError("away"), 3),
        (StorageError("full"), 3),
    ],
)
def test_an_error_is_its_message_code_and_next_action_without_a_trace(capsys, monkeypatch, error, code):
    def fail():
        raise error

    monkeypatch.setattr("windsock.cli.specs.model_schema", fail)
    assert cli.run(["schema"]) == code
    shown = capsys.readouterr()
    assert shown.err == f"error: {error.code}: {error.message}\nnext: {error.next_by_hand}\n"
    assert shown.out == ""
    assert cli.run(["--debug", "schema"]) == code
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_trace(monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr("windsock.cli.specs.model_schema", fail)
    with pytest.raises(ZeroDivisionError):
        cli.run(["schema"])


def test_ctrl_c_is_no_trace(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("windsock.cli.specs.model_schema", interrupt)
    assert cli.run(["schema"]) not in (0, 3)
    assert "Traceback" not in capsys.readouterr().err


def test_as_a_module(project, tmp_path):
    done = windsock(project, "validate", str(tmp_path / "no.yaml"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: WS-SPEC-005: ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_trace(project):
    variables = {**os.environ, "PYTHONPATH": str(project / "plugins")}
    command = [sys.executable, "-m", "windsock.cli", "schema"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
    ) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


HEAVY = {
    "airflow",
    "alembic",
    "docker",
    "evidently",
    "great_expectations",
    "matplotlib",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "skops",
    "sklearn",
    "sqlalchemy",
    "uvicorn",
}


@pytest.mark.parametrize("name", ["command line", "a command"])
def test_the_command_line_is_light_and_knows_no_airflow(modules_after, name):
    assert modules_after(name) & HEAVY == set()


def test_help_is_for_users(capsys):
    def commands(group, path=()):
        yield path
        for name, inner in getattr(group, "commands", {}).items():
            yield from commands(inner, (*path, name))

    for path in commands(cli._commands()):
        assert cli.run([*path, "--help"]) == 0
        assert not any(word in capsys.readouterr().out for word in (":raises", ":param", ":returns")), path
