from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing

import pytest

from support.builders import NOON
from support.fakes import fake_ports
from windsock.cli import alerts as command
from windsock.cli.airflow_database import lacking_airflow
from windsock.cli.app import run
from windsock.records import INSTALLATION, Alert
from windsock.settings import Settings


@pytest.fixture
def ports(tmp_path, monkeypatch):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text("model: {name: churn, owner: ann}\n")
    (models.parent / "windsock.yaml").write_text("alert_channels: {ops: {kind: slack}}\n")
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    made = fake_ports()
    monkeypatch.setattr(command, "open_standing_ports", lambda settings: made)
    return made


def put(ports, **fields):
    made = {"model": "churn", "key": "drift", "severity": "medium", "title": "churn: drift", "text": "t"}
    ports.monitor.put_alert(Alert(**{**made, "owner": "o", "first_at": NOON, "last_at": NOON, **fields}))


def test_none(ports, capsys):
    assert run(["alerts", "--check"]) == 0
    assert capsys.readouterr().out == "no alert fires\n"


def test_the_gravest_comes_first_with_whom_it_reached(ports, capsys):
    put(ports, times=2, sent_at=NOON)
    put(ports, key="a", title="old", state="resolved")
    put(
        ports,
        model=INSTALLATION,
        key="watch:disk",
        severity="high",
        title="a disk is nearly full",
        code="WS-WATCH-028",
        next_action="free space",
        pending=True,
        refusal="slack: away",
    )
    assert run(["alerts"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[HIGH] WS-WATCH-028 a disk is nearly full"
    assert lines[2].endswith("not taken by its channel yet: slack: away")
    assert lines[3] == "    NEXT: free space"
    assert lines[4] == "[MEDIUM] churn: drift"
    assert "told 2 times to the log" in lines[6]
    assert len(lines) == 7
    assert run(["alerts", "--check"]) == 1
    capsys.readouterr()
    assert run(["alerts", "--model", "churn", "--check"]) == 0, "medium is not grave"
    capsys.readouterr()
    assert run(["alerts", "--json", "--all"]) == 0
    assert [one["key"] for one in json.loads(capsys.readouterr().out)] == ["watch:disk", "drift", "a"]


@pytest.fixture
def answers(monkeypatch):
    asked = []

    def answer(*lines, code=0, stderr=""):
        def run_(command, **options):
            asked.append((command, options["env"]))
            return subprocess.CompletedProcess(command, code, "\n".join(map(json.dumps, lines)), stderr)

        monkeypatch.setattr(command.subprocess, "run", run_)
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://db/airflow")
        return asked

    return answer


TAKEN = {"channel": "ops", "kind": "slack", "connection": "slack_default", "taken": True, "why": ""}
REFUSED = {**TAKEN, "taken": False, "why": "slack, connection slack_default: no such connection"}
LOG = {"channel": "(default)", "kind": "log", "connection": "windsock_alerts", "taken": True, "why": "none"}


def test_every_channel_takes_the_test(ports, answers, capsys):
    asked = answers(TAKEN, LOG)
    assert run(["alerts", "test"]) == 0
    out = capsys.readouterr().out
    assert "ops: taken (slack, connection slack_default)" in out
    assert "(default): WS-ALERTS-001: none" in out
    assert asked[0][0][-1] == "windsock.hooks.alert_test"


def test_a_channel_that_refuses_says_why_and_ends_with_1(ports, answers, capsys):
    asked = answers(REFUSED)
    assert run(["alerts", "test", "--channel", "ops", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [REFUSED]
    assert asked[0][0][-1] == "ops"


def test_an_unknown_channel(ports, answers, capsys):
    assert run(["alerts", "test", "--channel", "nobody"]) == 1
    assert "WS-ALERTS-005: unknown alert channel 'nobody'; known: ops, (default)" in capsys.readouterr().err


def test_connections_that_cannot_be_read(ports, answers, capsys):
    answers(code=1, stderr="Trace\nModuleNotFoundError: No module named 'airflow'")
    assert run(["alerts", "test"]) == 3
    assert "WS-ALERTS-006" in capsys.readouterr().err


def test_nothing_in_time_is_told_on_stderr_with_what_to_do(ports, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://db/airflow")
    monkeypatch.setattr(command, "TEST_SECONDS", 0.01)
    assert run(["alerts", "test", "--json"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(
        "error: WS-ALERTS-006: no answer of Airflow and the channels within 0.01 s\nnext: "
    )


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A user without any Airflow."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return tmp_path / "user" / "airflow"


def test_where_no_airflow_is_none_is_made(ports, nowhere, capsys):
    assert run(["alerts", "test"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "WS-ALERTS-006" in told.err
    assert str(nowhere / "airflow.db") in told.err
    assert not nowhere.exists()


def tables(file, *names):
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as opened:
        for name in names:
            opened.execute(f"CREATE TABLE {name} (id INTEGER)")
    return file


def test_an_airflow_is_there_where_its_database_has_tables(nowhere, tmp_path):
    assert "is not there" in lacking_airflow({})
    nowhere.mkdir(parents=True)
    (nowhere / "airflow.cfg").write_text("[core]\nfernet_key = 100%\n[database]\n# sql_alchemy_conn = x\n")
    assert "is not there" in lacking_airflow({}), "a first import left a file of settings"
    (nowhere / "airflow.db").touch()
    assert "has no tables" in lacking_airflow({})
    tables(nowhere / "airflow.db", "connection")
    assert lacking_airflow({}) == ""
    assert "is not there" in lacking_airflow({"AIRFLOW_HOME": str(tmp_path / "typo")})
    other = tables(tmp_path / "other" / "a.db", "dag")
    assert "has no tables" in lacking_airflow({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{other}"})
    (tmp_path / "other" / "text.db").write_text("no database, but a text that is long enough " * 9)
    assert "cannot be read" in lacking_airflow(
        {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/other/text.db"}
    )


def test_what_only_airflow_can_tell_is_left_to_it(nowhere):
    assert lacking_airflow({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://db/airflow"}) == ""
    assert lacking_airflow({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "cat secret"}) == ""
    nowhere.mkdir(parents=True)
    (nowhere / "airflow.cfg").write_text("[database]\nsql_alchemy_conn = mysql://db/airflow\n")
    assert lacking_airflow({}) == ""
    (nowhere / "airflow.cfg").write_text("[database]\nsql_alchemy_conn_secret = path\n")
    assert lacking_airflow({}) == ""


def test_the_airflow_of_a_stack_is_found_in_its_home(ports, tmp_path):
    own = tmp_path / "home" / "airflow"
    own.mkdir(parents=True)
    (own / "airflow.db").touch()
    settings = Settings.from_environment()
    env = command.airflow_environment(settings, {})
    assert env["AIRFLOW_HOME"] == str(own)
    assert env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{own / 'airflow.db'}"
    assert command.airflow_environment(settings, {"AIRFLOW_HOME": "/other"})["AIRFLOW_HOME"] == "/other"
