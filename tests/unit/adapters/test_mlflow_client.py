from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3
import time
import traceback
from pathlib import Path
from threading import Thread

import pytest
from filelock import FileLock

from support.imports import MLFLOW_MODULES
from support.mlflow_contract import migrated_database
from windsock.adapters import mlflow_client
from windsock.adapters.installation import Installation
from windsock.adapters.mlflow_client import MlflowService, ping, web_address, without_login
from windsock.adapters.mlflow_registry import MlflowRegistry
from windsock.adapters.mlflow_tracking import MlflowTracker
from windsock.exceptions import SettingsError, StorageError, TrackingUnavailableError
from windsock.locations import process_start

PLUGINS = Path(__file__).parents[3] / "plugins"


@pytest.fixture
def closed_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@pytest.fixture
def deaf_port():
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def answering(status: str, body: str) -> int:
    """Start a server that gives every request one answer; return its port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    answer = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    answer += f"Connection: close\r\n\r\n{body}"

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer.encode())

    Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.fixture
def short_wait(monkeypatch):
    """Wait a tenth of the shipped time; two tries of that end within the fifteen seconds."""
    assert 2 * mlflow_client.PROBE_SECONDS == 10
    monkeypatch.setattr(mlflow_client, "PROBE_SECONDS", 0.5)


def assert_unavailable(action, seconds: float) -> TrackingUnavailableError:
    import mlflow  # noqa: F401 - its import is no part of the wait

    begun = time.monotonic()
    with pytest.raises(TrackingUnavailableError) as caught:
        action()
    assert time.monotonic() - begun < seconds
    assert "did not answer within" in caught.value.message
    return caught.value


CALLS = {
    "alias": lambda uri, home: MlflowRegistry(uri, home, Installation(home / "keys")).alias(
        "churn", "champion"
    ),
    "set_alias": lambda uri, home: MlflowRegistry(uri, home, Installation(home / "keys")).set_alias(
        "churn", "champion", "1"
    ),
    "register": lambda uri, home: MlflowRegistry(uri, home, Installation(home / "keys")).register(
        model="c", key="k", run_id="r", tags={}, used={}
    ),
    "add": lambda uri, home: MlflowTracker(uri, home).add_to_run("r", metrics={}, tags={}, files={}),
    "ping": ping,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_not_there_is_said_soon(call, closed_port, tmp_path):
    error = assert_unavailable(lambda: CALLS[call](f"http://127.0.0.1:{closed_port}", tmp_path), 15)
    assert f"http://127.0.0.1:{closed_port}" in error.message
    assert error.code == "WS-TRACKING-001"


@pytest.mark.slow
def test_a_server_that_never_answers_is_said_within_fifteen_seconds(deaf_port, short_wait, tmp_path):
    assert_unavailable(lambda: CALLS["alias"](f"http://127.0.0.1:{deaf_port}", tmp_path), 15)


def test_a_name_that_leads_nowhere_is_said_soon(tmp_path):
    assert_unavailable(lambda: CALLS["alias"]("http://mlflow.invalid:5000", tmp_path), 15)


def test_no_password_is_shown_anywhere(closed_port, tmp_path, caplog):
    uri = f"http://me:topsecret@127.0.0.1:{closed_port}"
    error = assert_unavailable(lambda: CALLS["alias"](uri, tmp_path), 15)
    assert "topsecret" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert "topsecret" not in caplog.text


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql+psycopg2://mlf:S@cret/x@host",
        "postgresql://mlf:S@cret@host:5432/db",
        "postgresql://mlf:S:cret@host:S3cret/db",
        "http://me:S/cret@host:5000",
        "http://me:S@cret/x@host:5000",
        "http://host:S3cret",
        "http://[S3cret",
        "S3cret",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_text(uri, tmp_path):
    service = MlflowService(uri, tmp_path)
    with pytest.raises(SettingsError, match="WS-TRACKING-007") as caught, service.reach("look"):
        pass
    shown = "".join(traceback.format_exception(caught.value))
    for part in ("cret", "S3"):
        assert part not in shown


def test_a_password_with_a_slash_is_read_and_hidden(closed_port, tmp_path):
    uri = f"postgresql+psycopg2://mlf:S/cret%40x@127.0.0.1:{closed_port}/db?sslpassword=hush"
    error = assert_unavailable(lambda: CALLS["alias"](uri, tmp_path), 15)
    assert f"postgresql+psycopg2://127.0.0.1:{closed_port}/db " in str(error)
    assert "cret" not in str(error)
    assert "hush" not in str(error)


def test_a_database_server_that_is_not_there_is_said_soon(closed_port, tmp_path):
    uri = f"postgresql://me:topsecret@127.0.0.1:{closed_port}/mlflow"
    error = assert_unavailable(lambda: CALLS["alias"](uri, tmp_path), 15)
    assert "topsecret" not in str(error)


def test_a_server_in_trouble_is_worth_a_retry(tmp_path):
    uri = f"http://127.0.0.1:{answering('503 Service Unavailable', '{}')}"
    assert_unavailable(lambda: CALLS["alias"](uri, tmp_path), 15)


def test_a_server_that_refuses_is_not_one_that_is_away(tmp_path):
    body = '{"error_code": "PERMISSION_DENIED", "message": "not yours"}'
    uri = f"http://127.0.0.1:{answering('403 Forbidden', body)}"
    with pytest.raises(SettingsError) as caught:
        CALLS["set_alias"](uri, tmp_path)
    assert caught.value.code == "WS-TRACKING-003"
    assert "PERMISSION_DENIED" in caught.value.message
    assert "not yours" in caught.value.message


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 200])
def test_a_broken_database_is_said_soon(content, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(content)
    assert_unavailable(lambda: CALLS["alias"](f"sqlite:///{tmp_path}/mlflow.db", tmp_path), 15)


def test_a_folder_that_cannot_be_made_is_said_soon(tmp_path):
    (tmp_path / "file").write_text("")
    assert_unavailable(lambda: CALLS["alias"](f"sqlite:///{tmp_path}/file/mlflow.db", tmp_path), 15)


@pytest.mark.slow
def test_a_database_that_another_holds_is_said_in_bounded_time(short_wait, tmp_path):
    file = tmp_path / "mlflow.db"
    file.write_bytes(migrated_database().read_bytes())
    registry = MlflowRegistry(f"sqlite:///{file}", tmp_path, Installation(tmp_path / "keys"))
    assert registry.alias("churn", "champion") is None
    holder = sqlite3.connect(file)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert_unavailable(lambda: registry.alias("churn", "champion"), 15)
    finally:
        holder.close()
    assert registry.alias("churn", "champion") is None


def test_first_contact_waits_for_another_process_and_not_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_client, "LOCK_SECONDS", 0.3)
    with FileLock(tmp_path / "mlflow.db.lock"):
        assert_unavailable(lambda: CALLS["alias"](f"sqlite:///{tmp_path}/mlflow.db", tmp_path), 15)


def test_a_full_disk_is_a_fault_of_the_storage(tmp_path):
    service = MlflowService(f"sqlite:///{migrated_database()}", tmp_path)
    with pytest.raises(StorageError) as caught, service.reach("record a run"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.code == "WS-STORAGE-002"


def test_faults_of_our_own_are_not_hidden(tmp_path):
    service = MlflowService(f"sqlite:///{migrated_database()}", tmp_path)
    with pytest.raises(ZeroDivisionError), service.reach("record a run"):
        raise ZeroDivisionError


def test_a_ping_tells_people_what_answered():
    assert "experiments" in ping(f"sqlite:///{migrated_database()}")


def test_limits_of_the_environment_stand(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "33")
    with MlflowService(f"sqlite:///{migrated_database()}", tmp_path).reach("look"):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "33"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host:5000/x", "http://host:5000/x"),
        ("http://me:pw@host:5000", "http://host:5000"),
        (
            "failed: url https://me:p%40w@host/a and http://you:z@other",
            "failed: url https://host/a and http://other",
        ),
        ("postgresql+psycopg2://u:p@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        ("postgresql+psycopg2://mlf:S@cret/x@host", "postgresql+psycopg2://host"),
        ("http://me:to/ps@cret@host:5000/a", "http://host:5000/a"),
    ],
)
def test_logins_are_taken_out(text, shown):
    assert without_login(text) == shown


def test_web_addresses():
    assert web_address("sqlite:///x.db", None) is None
    assert web_address("http://a:b@host/ml/?x=1#/y", None) == "http://host/ml"


@pytest.mark.parametrize("module", MLFLOW_MODULES)
def test_the_modules_import_nothing_heavy(modules_after, module):
    heavy = {"mlflow", "pandas", "numpy", "sklearn", "sqlalchemy", "requests"}
    assert modules_after(module) & heavy == set()


def leave_note(home: Path, address: str) -> None:
    pid = os.getpid()
    note = {"stack_id": "one", "pid": pid, "begun": process_start(pid)}
    (home / "stack.json").write_text(json.dumps({**note, "variables": {"WINDSOCK_TRACKING_URI": address}}))
    (home / "stack.json").chmod(0o600)


def test_next_names_the_log_while_the_stack_runs_and_never_a_command_that_runs_already(tmp_path, closed_port):
    address = f"http://127.0.0.1:{closed_port}"
    service = MlflowService(address, tmp_path)
    with pytest.raises(TrackingUnavailableError) as away, service.reach("look"):
        pass
    assert "windsock up" in away.value.next_action
    leave_note(tmp_path, address)
    with pytest.raises(TrackingUnavailableError) as down, service.reach("look"):
        pass
    assert str(tmp_path / "logs" / "mlflow.log") in down.value.next_action
    assert "windsock up" not in down.value.next_action


def test_an_error_through_a_proxy_names_the_proxy_without_its_login(tmp_path, monkeypatch, closed_port):
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{closed_port}")
    with (
        pytest.raises(TrackingUnavailableError) as refused,
        MlflowService("http://mlflow.invalid:5000", tmp_path).reach("look"),
    ):
        pass
    assert "through the proxy 127.0.0.1:" in refused.value.message
    assert "secret" not in str(refused.value)
    assert "NO_PROXY" in refused.value.next_action
