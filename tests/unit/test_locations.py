from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from windsock.locations import NOTE, StackNote, locate, process_start, project_above, when_down
from windsock.settings import Settings

ADDRESSES = {
    "WINDSOCK_SERVER_URL": "http://127.0.0.1:9181",
    "WINDSOCK_ADMIN_URL": "http://127.0.0.1:9182",
    "WINDSOCK_TRACKING_URI": "http://127.0.0.1:9500",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    for name in ("dags", "include/models", "deep/down"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def leave_note(home: Path, *, pid: int | None = None, mode: int = 0o600, **facts) -> None:
    home.mkdir(exist_ok=True)
    pid = pid or os.getpid()
    content = {"stack_id": "one", "pid": pid, "begun": process_start(pid), "variables": ADDRESSES, **facts}
    (home / NOTE).write_text(json.dumps(content))
    (home / NOTE).chmod(mode)


def settings(environment=None, **options) -> Settings:
    return Settings.from_environment(environment or {}, **options)


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


# --- the home


def test_the_home_is_found_from_any_folder_below_the_project(project, monkeypatch):
    for folder in (project, project / "deep", project / "include" / "models", project / "deep" / "down"):
        monkeypatch.chdir(folder)
        found = locate({})
        assert (found.home, found.project) == (project / ".windsock", project)
        assert settings().models_dir == project / "include" / "models"


def test_an_option_counts_before_a_variable_before_airflows_home_before_the_project(project, tmp_path):
    env = {"WINDSOCK_HOME": "/from/variable", "AIRFLOW_HOME": "/from/airflow"}
    assert locate(env, home=tmp_path).home == tmp_path
    assert locate(env).home == Path("/from/variable")
    del env["WINDSOCK_HOME"]
    assert locate(env).home == Path("/from/airflow/windsock")
    assert locate({"WINDSOCK_HOME": "", "AIRFLOW_HOME": ""}).home == project / ".windsock"
    assert [locate(env).home_from, locate({}).home_from] == ["AIRFLOW_HOME", "the project folder"]


def test_outside_of_every_project_it_is_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = locate({})
    assert (found.home, found.home_from) == (tmp_path / ".windsock", "the working folder")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders away")
def test_a_project_of_somebody_else_above_is_not_taken(project, monkeypatch):
    os.chown(project, 12345, -1)
    os.chown(project / "deep", 0, -1)
    assert project_above(project / "deep") is None
    assert project_above(project) == project


# --- the note of a stack


def test_what_up_knows_the_others_find(project):
    models = str(project / "elsewhere")
    leave_note(project / ".windsock", variables={**ADDRESSES, "WINDSOCK_MODELS_DIR": models})
    found = settings()
    assert found.server_url == "http://127.0.0.1:9181"
    assert found.admin_address == "http://127.0.0.1:9182"
    assert found.tracking_uri == "http://127.0.0.1:9500"
    assert str(found.models_dir) == models
    assert found.models_from == "the stack that runs there"


def test_a_variable_counts_before_the_note(project):
    leave_note(project / ".windsock")
    found = settings({"WINDSOCK_SERVER_URL": "http://other:1", "WINDSOCK_TRACKING_URI": "sqlite:///x"})
    assert (found.server_url, found.tracking_uri) == ("http://other:1", "sqlite:///x")
    assert found.admin_url is None  # the stack's private listener is another server's


@pytest.mark.parametrize(
    "change",
    [
        {"ended_at": "2026-01-01 00:00:00"},
        {"pid": dead_process()},
        {"begun": "1"},
        {"pid": "x"},
        {"variables": "x"},
        {"mode": 0o622},
    ],
)
def test_the_note_of_a_stack_that_does_not_run_or_of_anybody_decides_nothing(project, change):
    leave_note(project / ".windsock", **{"mode": 0o600, **change})
    assert settings().server_url == "http://127.0.0.1:8181"
    assert when_down(project / ".windsock", "server", "start it") == "start it"


def test_only_addresses_of_this_machine_are_followed(project):
    for address in ("http://evil.example:9181", "http://127.0.0.1.evil.example", "http://127.0.0.1@evil:80"):
        leave_note(project / ".windsock", variables={"WINDSOCK_SERVER_URL": address})
        assert settings().server_url == "http://127.0.0.1:8181"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_a_note_of_somebody_who_may_not_read_the_token_is_not_believed(project):
    home = project / ".windsock"
    leave_note(home)
    os.chown(home / NOTE, 12345, -1)
    assert StackNote.read(home) is None
    (home / "keys").mkdir()
    os.chown(home / "keys", 12345, -1)
    assert StackNote.read(home) is not None


def test_files_that_are_edited_are_not_the_copies_of_a_demo(project):
    leave_note(
        project / ".windsock",
        command="demo",
        variables={**ADDRESSES, "WINDSOCK_MODELS_DIR": str(project / "staged")},
    )
    assert settings().models_dir == project / "staged"
    assert settings(editing=True).models_dir == project / "include" / "models"


def test_the_project_of_a_named_home_is_the_one_its_stack_ran_with(project, tmp_path, monkeypatch):
    home = tmp_path / "home"
    leave_note(home, project=str(project), ended_at="2026-01-01 00:00:00")
    (tmp_path / "aside").mkdir()
    monkeypatch.chdir(tmp_path / "aside")
    assert settings(home=home).models_dir == project / "include" / "models"


def test_a_database_whose_password_is_written_nowhere_is_asked_for(project):
    leave_note(project / ".windsock", hidden=["WINDSOCK_DATABASE_URL"])
    assert settings().lacking == ("WINDSOCK_DATABASE_URL",)
    assert settings({"WINDSOCK_DATABASE_URL": "postgresql://u:p@h/d"}).lacking == ()


def test_while_a_stack_runs_next_names_what_is_down_and_its_log(project):
    home = project / ".windsock"
    leave_note(home)
    said = when_down(home, "server", "windsock up", address="http://127.0.0.1:9182")
    assert f"{home}/logs/server.log" in said
    assert "windsock up" not in said
    assert "other addresses" in when_down(home, "server", "x", address="http://127.0.0.1:8181")
