from __future__ import annotations

import json
from pathlib import Path

import pytest

from windsock.exceptions import SettingsError
from windsock.hooks.mlflow_server import MlflowHook, with_login
from windsock.hooks.windsock import WindsockHook, sqlalchemy_url


@pytest.fixture
def connection(monkeypatch):
    """Set a connection by its JSON."""

    def put(conn_id: str, text: str) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)

    return put


def test_without_connections_the_environment_holds(monkeypatch, tmp_path):
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    monkeypatch.setenv("WINDSOCK_SERVER_URL", "http://127.0.0.1:9/")
    settings = WindsockHook().settings()
    assert settings.server_url == "http://127.0.0.1:9"
    assert settings.home == tmp_path
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_windsock_connection_wins(connection, monkeypatch):
    monkeypatch.setenv("WINDSOCK_SERVER_URL", "http://127.0.0.1:9")
    connection(
        "windsock_default",
        '{"conn_type": "windsock", "host": "127.0.0.1", "port": 8282, "password": "t0ken",'
        ' "extra": {"database_url": "postgresql://db/windsock", "models_dir": "/srv/models"}}',
    )
    settings = WindsockHook().settings()
    assert settings.server_url == "http://127.0.0.1:8282"
    assert settings.read_admin_token() == "t0ken"
    assert settings.database_url == "postgresql://db/windsock"
    assert settings.models_dir == Path("/srv/models")


@pytest.mark.parametrize(
    ("content", "uri"),
    [
        ('{"conn_type": "mlflow", "host": "http://127.0.0.1:5000"}', "http://127.0.0.1:5000"),
        ('{"conn_type": "mlflow", "host": "mlflow.company.com", "port": 80}', "http://mlflow.company.com:80"),
        ('{"conn_type": "mlflow", "host": "sqlite:////var/mlflow.db"}', "sqlite:////var/mlflow.db"),
        (
            '{"conn_type": "mlflow", "host": "https://mlflow.com", "login": "bo", "password": "p@ss"}',
            "https://bo:p%40ss@mlflow.com",
        ),
        ('{"conn_type": "mlflow"}', None),
    ],
)
def test_tracking_uri_of_an_mlflow_connection(connection, content, uri):
    connection("mlflow_default", content)
    assert MlflowHook().tracking_uri() == uri


def test_mlflow_connection_wins_over_the_environment(connection, monkeypatch):
    monkeypatch.setenv("WINDSOCK_TRACKING_URI", "sqlite:///other.db")
    connection("mlflow_default", '{"conn_type": "mlflow", "host": "http://127.0.0.1:5000"}')
    assert WindsockHook().settings().tracking_uri == "http://127.0.0.1:5000"


def test_login_is_left_out_where_there_is_none():
    assert with_login("http://a", None, "secret") == "http://a"


def test_database_connection_becomes_a_sqlalchemy_url(connection):
    connection("warehouse", "postgres://bo:secret@127.0.0.1:5432/shop")
    assert sqlalchemy_url("warehouse").startswith("postgresql")
    assert sqlalchemy_url("warehouse").endswith("@127.0.0.1:5432/shop")


def test_missing_database_connection_tells_how_to_make_it():
    with pytest.raises(SettingsError, match="AIRFLOW_CONN_NOWHERE"):
        sqlalchemy_url("nowhere")


def test_ports_are_built_without_contacting_anything(monkeypatch, tmp_path):
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    monkeypatch.setenv("WINDSOCK_TRACKING_URI", "http://127.0.0.1:1")
    assert WindsockHook().ports().ledger is not None
    assert list(tmp_path.iterdir()) == []


def test_button_of_the_connections_page_tells_what_failed(connection):
    connection("mlflow_default", '{"conn_type": "mlflow", "host": "http://127.0.0.1:1"}')
    connection("windsock_default", '{"conn_type": "windsock", "host": "http://127.0.0.1:1"}')
    assert MlflowHook().test_connection()[0] is False
    good, text = WindsockHook().test_connection()
    assert good is False
    assert "windsock serve" in text


def _put_extra(connection, extra: object) -> None:
    connection("windsock_default", json.dumps({"conn_type": "windsock", "extra": extra}))


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"database_url": ["postgresql://db"]}, "a list of 1 at database_url"),
        ({"home": {"path": "/srv"}}, "a block of 1 key at home"),
        ({"models_dir": 5}, "number (not shown) at models_dir"),
        ({"storage_url": True}, "true/false value true at storage_url"),
        ({"storage_url": 0}, "number (not shown) at storage_url"),
        ({"database_url": "postgresql://bo:s3cret@db/a\nb"}, "text (not shown) at database_url"),
        ({"home": "a\x00b"}, "at home"),
        ({"home": "/srv/" + "x" * 5000}, "at home"),
        ({"admin_token": "s3cret"}, "the key admin_token"),
        ({"server_ca": "/etc/ca.pem"}, "the key server_ca"),
        ({"storage_ulr": "/srv"}, "the key storage_ulr"),
        ({"x" * 100: "s3cret"}, "the key of 100 characters"),
        ("[1]", "a list of 1"),
        ("{'home': 's3cret'}", "is no JSON"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_an_extra_may_not_say_is_refused_by_its_key(connection, extra, named):
    _put_extra(connection, extra)
    with pytest.raises(SettingsError) as refused:
        WindsockHook().settings()
    text = str(refused.value)
    assert named in text
    assert "windsock_default" in text
    assert "s3cret" not in text


def test_empty_fields_of_the_connections_form_say_nothing(connection, monkeypatch, tmp_path):
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    _put_extra(connection, {"home": "", "database_url": None})
    assert WindsockHook().settings().home == tmp_path


def test_folders_of_an_extra_are_made_absolute(connection, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    _put_extra(connection, {"home": "my home", "models_dir": "models"})
    settings = WindsockHook().settings()
    assert settings.home == tmp_path / "my home"
    assert settings.models_dir == tmp_path / "models"
