from __future__ import annotations

import stat

import pytest

from windsock.cli.app import run
from windsock.cli.serve import port_of
from windsock.exceptions import SettingsError


def mode(file):
    return stat.S_IMODE(file.stat().st_mode)


def test_keys_are_made_once_and_never_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    assert run(["keys", "init"]) == 0
    keys = tmp_path / "keys"
    assert (mode(keys), mode(keys / "signing.key"), mode(keys / "admin_token")) == (0o700, 0o600, 0o600)
    before = {file.name: file.read_bytes() for file in keys.iterdir()}
    shown = capsys.readouterr().out
    assert str(keys) in shown
    assert before["admin_token"].decode().strip() not in shown
    assert run(["keys", "init"]) == 1
    assert "error: WS-SETTINGS-" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in keys.iterdir()} == before


@pytest.fixture
def served(monkeypatch):
    calls = []

    def record(settings, **options):
        calls.append((settings.server_url, options))

    monkeypatch.setattr("windsock.serving.server.run", record)
    return calls


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {"host": "127.0.0.1", "port": 9191, "workers": 1}),
        (["--port", "0", "--workers", "3"], {"host": "127.0.0.1", "port": 0, "workers": 3}),
        (["--host", "::1", "--port", "80"], {"host": "::1", "port": 80, "workers": 1}),
    ],
)
def test_serve_hands_over_what_was_asked(served, monkeypatch, arguments, options):
    monkeypatch.setenv("WINDSOCK_SERVER_URL", "http://127.0.0.1:9191")
    assert run(["serve", *arguments]) == 0
    assert served == [("http://127.0.0.1:9191", options)]


def test_the_port_of_an_address():
    assert port_of("http://127.0.0.1:9191") == 9191
    assert port_of("http://model-server") == 8181
    with pytest.raises(SettingsError, match="no valid port") as caught:
        port_of("http://127.0.0.1:http")
    assert caught.value.code == "WS-SETTINGS-006"
