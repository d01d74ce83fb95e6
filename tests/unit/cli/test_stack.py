from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from windsock.cli import processes, stack_home
from windsock.cli.app import run
from windsock.cli.stack import Stack, answers, running_stack
from windsock.cli.stack_home import own_home, passwords
from windsock.cli.stack_ports import HOST, StackPorts, free_port, is_free
from windsock.exceptions import SettingsError
from windsock.settings import Settings


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def stack(tmp_path):
    (tmp_path / "project" / "dags").mkdir(parents=True)
    ports = StackPorts(airflow=18080, mlflow=15000, server=18181)
    return Stack(
        project=tmp_path / "project", home=tmp_path / "home", ports=ports, inherited={"PATH": "/bin"}
    )


# --- ports


def test_the_usual_ports():
    assert StackPorts.from_environment({}) == StackPorts(airflow=8080, mlflow=5000, server=8181)


def test_an_option_wins_over_the_environment_over_the_usual_port():
    env = {"WINDSOCK_AIRFLOW_PORT": "8081", "WINDSOCK_MLFLOW_PORT": "5001", "WINDSOCK_SERVER_PORT": ""}
    assert StackPorts.from_environment(env, airflow=9000, mlflow=None) == StackPorts(
        airflow=9000, mlflow=5001, server=8181
    )


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "8080.0"])
def test_what_is_no_port_is_refused_with_the_variable_named(value):
    with pytest.raises(SettingsError, match="WINDSOCK_MLFLOW_PORT"):
        StackPorts.from_environment({"WINDSOCK_MLFLOW_PORT": value})


def test_a_taken_port_is_named_with_what_to_set(listener):
    ports = StackPorts(airflow=free_port(), mlflow=listener, server=free_port())
    with pytest.raises(
        SettingsError, match=f"port {listener} of 127.0.0.1 is taken; mlflow needs it"
    ) as caught:
        ports.require_free()
    assert caught.value.code == "WS-SETTINGS-020"
    assert "WINDSOCK_MLFLOW_PORT=PORT" in caught.value.next_action


def test_a_port_taken_on_every_interface_is_taken_here_too():
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_two_programs_cannot_share_a_port():
    with pytest.raises(SettingsError, match="airflow 8080, mlflow 8080"):
        StackPorts(mlflow=8080).require_free()


def test_only_the_taken_ports_move(listener):
    ports = StackPorts(airflow=free_port(), mlflow=listener, server=free_port())
    moved = ports.moved()
    assert (moved.airflow, moved.server) == (ports.airflow, ports.server)
    assert moved.mlflow != listener
    moved.require_free()


# --- the home


def test_passwords_are_made_once_and_are_private(tmp_path):
    file = tmp_path / "airflow" / "passwords"
    made = passwords(file, ["admin", "reviewer"])
    assert len(set(made.values())) == 2
    assert all(len(password) >= 16 for password in made.values())
    assert file.stat().st_mode & 0o777 == 0o600
    assert passwords(file, ["admin", "reviewer"]) == made
    more = passwords(file, ["admin", "auditor"])
    assert more["admin"] == made["admin"]
    assert set(json.loads(file.read_text())) == {"admin", "reviewer", "auditor"}


def test_a_home_has_one_stack_at_a_time(tmp_path):
    with own_home(tmp_path, "one"):
        with pytest.raises(SettingsError, match=f"runs in .* already .process {os.getpid()}") as caught:
            own_home(tmp_path, "two").__enter__()
        assert caught.value.code == "WS-SETTINGS-021"
    with own_home(tmp_path, "three"):
        pass
    assert json.loads((tmp_path / "stack.json").read_text())["ended_at"]


def test_what_an_earlier_stack_left_is_ended_first(tmp_path):
    stack_home.write_private(tmp_path / "stack.json", json.dumps({"stack_id": "left-over-7", "pid": 1}))
    environment = {**os.environ, processes.MARKER: "left-over-7"}
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment)
    with own_home(tmp_path, "new"):
        assert left.wait(timeout=10) == -15
        assert json.loads((tmp_path / "stack.json").read_text())["stack_id"] == "new"


@pytest.mark.parametrize("note", ["", "[]", '{"pid": 1}', "\x00"])
def test_a_damaged_note_is_no_hindrance(tmp_path, note):
    (tmp_path / "stack.json").write_text(note)
    with own_home(tmp_path, "new"):
        pass


# --- the stack


def test_every_program_listens_on_loopback_only(stack):
    parts = {part.name: part for part in [stack.server_part(), stack.mlflow_part(), *stack.airflow_parts()]}
    for name in ("server", "mlflow", "airflow-api"):
        command = parts[name].command
        assert command[command.index("--host") + 1] == HOST
    for name in ("airflow-scheduler", "airflow-triggerer"):  # their log servers listen on every interface
        assert "--skip-serve-logs" in parts[name].command
    environment = stack.environment()
    assert environment["AIRFLOW__API__HOST"] == HOST
    assert environment["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "False"


def test_how_often_files_are_parsed_is_the_environments_to_say(stack):
    name = "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"
    assert stack.environment()[name] == "10"
    assert replace(stack, inherited={name: "60"}).environment()[name] == "60"


READING = {
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "360",
}


def test_reading_the_dags_of_many_models_has_time(stack):
    shipped = stack.environment()
    assert {name: shipped[name] for name in READING} == READING
    own = dict.fromkeys(READING, "900")
    said = replace(stack, inherited=own).environment()
    assert {name: said[name] for name in READING} == own


def test_airflow_is_told_where_everything_is(stack):
    environment = stack.environment()
    assert environment["AIRFLOW_HOME"] == str(stack.home / "airflow")
    assert environment["AIRFLOW__CORE__DAGS_FOLDER"] == str(stack.project / "dags")
    assert environment["AIRFLOW__CORE__PLUGINS_FOLDER"] == str(stack.project / "plugins")
    assert environment["AIRFLOW__API__PORT"] == "18080"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:18080"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18080/execution/"
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "admin:admin,reviewer:op,reviewer2:op"
    assert environment["WINDSOCK_HOME"] == str(stack.home)
    assert environment["WINDSOCK_MODELS_DIR"] == str(stack.project / "include" / "models")
    models = stack.project / "include" / "models"
    assert environment["WINDSOCK_SOURCE_ROOTS"] == f"{stack.project}{os.pathsep}{models}"
    assert environment["WINDSOCK_TRACKING_URI"] == "http://127.0.0.1:15000"
    assert environment["WINDSOCK_SERVER_URL"] == "http://127.0.0.1:18181"


def test_sources_of_models_elsewhere_are_looked_up_there_too(stack):
    elsewhere = replace(stack, models_dir=Path("/team/include/models"))
    roots = elsewhere.environment()["WINDSOCK_SOURCE_ROOTS"].split(os.pathsep)
    assert roots == [str(stack.project), "/team", "/team/include/models"]
    named = replace(stack, source_roots=(Path("/data"),))
    assert named.environment()["WINDSOCK_SOURCE_ROOTS"] == "/data"
    set_outside = replace(stack, inherited={"WINDSOCK_SOURCE_ROOTS": "/mnt"})
    assert set_outside.environment()["WINDSOCK_SOURCE_ROOTS"] == "/mnt"


def test_nothing_calls_home_and_loopback_needs_no_proxy(stack):
    environment = stack.environment()
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert HOST in environment["NO_PROXY"]


def test_every_option_of_airflow_is_one_that_airflow_knows(stack):
    from airflow.configuration import conf

    for name in stack.environment():
        if name.startswith("AIRFLOW__"):
            _, section, option = name.split("__")
            assert option.lower() in conf.configuration_description[section.lower()]["options"], name


def test_the_mlflow_server_keeps_its_things_in_the_home(stack):
    command = stack.mlflow_part().command
    assert command[command.index("--backend-store-uri") + 1] == f"sqlite:///{stack.home}/mlflow.db"
    assert command[command.index("--artifacts-destination") + 1] == f"{stack.home}/mlartifacts"
    assert command[command.index("--workers") + 1] == "1"
    assert command[command.index("--allowed-hosts") + 1] == "127.0.0.1:15000,localhost:15000"


def test_a_folder_that_is_no_project_is_refused(tmp_path):
    stack = Stack(project=tmp_path, home=tmp_path / "home", ports=StackPorts())
    with pytest.raises(SettingsError, match="has no folder `dags`"):
        stack.prepare()
    assert not stack.home.exists()


def test_what_a_stack_makes_is_private_and_the_umask_is_given_back(stack, monkeypatch):
    made: list[tuple[str, int]] = []

    def started(self, supervisor):
        (self.home / "made.db").touch()
        made.extend((entry.name, entry.stat().st_mode & 0o777) for entry in self.home.iterdir())

    monkeypatch.setattr(Stack, "start", started)
    before = os.umask(0o022)
    try:
        with running_stack(
            replace(stack, ports=StackPorts(airflow=free_port(), mlflow=free_port(), server=free_port())),
            say=lambda line: None,
            handle_signals=False,
        ):
            pass
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert dict(made) == {
        "airflow": 0o700,
        "logs": 0o700,
        "made.db": 0o600,
        "stack.json": 0o600,
        "stack.lock": 0o600,
    }


def test_a_taken_port_is_noticed_before_anything_starts(stack, listener):
    ports = StackPorts(airflow=free_port(), mlflow=free_port(), server=listener)
    taken = Stack(project=stack.project, home=stack.home, ports=ports)
    said: list[str] = []
    with pytest.raises(SettingsError, match=f"port {listener}"), running_stack(taken, say=said.append):
        raise AssertionError("the stack must not start")
    assert list(taken.logs.iterdir()) == []


def test_a_dead_address_does_not_answer():
    assert not answers(f"http://{HOST}:{free_port()}/health")


def test_the_project_has_a_settings_file(project):
    assert (project / "airflow_settings.yaml").is_file()
    assert Stack(project=Path(project), home=Path("/none"), ports=StackPorts()).settings_file.is_file()


# --- what others find


def test_a_stack_says_what_it_is_and_writes_no_password_down(stack):
    inherited = {
        "PATH": "/bin",
        "WINDSOCK_DATABASE_URL": "postgresql://windsock:secret@db/control",
        "WINDSOCK_STORAGE_URL": "s3://bucket/root",
    }
    facts = replace(stack, inherited=inherited).facts()
    assert facts["hidden"] == ["WINDSOCK_DATABASE_URL"]
    assert facts["variables"]["WINDSOCK_STORAGE_URL"] == "s3://bucket/root"
    assert facts["variables"]["WINDSOCK_ADMIN_URL"] == "http://127.0.0.1:18182"
    assert "secret" not in json.dumps(facts)


def test_the_note_of_a_running_stack_is_found_and_that_of_an_ended_one_is_not(stack, monkeypatch):
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)
    stack.home.mkdir()
    with own_home(stack.home, "one", stack.facts()):
        assert (stack.home / "stack.json").stat().st_mode & 0o777 == 0o600
        found = Settings.from_environment({}, home=stack.home)
        assert (found.server_url, found.admin_url) == ("http://127.0.0.1:18181", "http://127.0.0.1:18182")
        assert found.models_dir == stack.project / "include" / "models"
    assert Settings.from_environment({}, home=stack.home).server_url == "http://127.0.0.1:8181"


def test_a_stack_that_failed_is_marked_as_ended_too(stack):
    stack.home.mkdir()
    with pytest.raises(ZeroDivisionError), own_home(stack.home, "one", stack.facts()):
        raise ZeroDivisionError
    assert json.loads((stack.home / "stack.json").read_text())["ended_at"]


def test_what_the_user_leaves_out_of_the_proxy_stays(stack):
    environment = replace(stack, inherited={"NO_PROXY": "corp.example"}).environment()
    assert environment["NO_PROXY"] == environment["no_proxy"] == "corp.example,127.0.0.1,localhost,::1"


def test_a_home_that_cannot_be_written_is_one_error(stack, capsys):
    (stack.project / "file").write_text("")
    home = stack.project / "file" / "home"
    assert run(["up", "--project", str(stack.project), "--home", str(home)]) == 3
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: WS-SETTINGS-025: nothing can be written to {home}: ")
    assert len(shown.splitlines()) == 2


def test_up_obeys_the_variable_and_finds_its_project_from_below(stack, monkeypatch, capsys):
    (stack.project / "include" / "models").mkdir(parents=True)
    monkeypatch.chdir(stack.project / "include" / "models")
    monkeypatch.setenv("WINDSOCK_HOME", str(stack.home))
    seen = []

    def stop(made, **options):
        seen.append(made)
        raise KeyboardInterrupt

    monkeypatch.setattr("windsock.cli.up.running_stack", stop)
    assert run(["up"]) == 130
    assert (seen[0].home, seen[0].project) == (stack.home, stack.project)
    assert "Stopped; no process is left." in capsys.readouterr().out
