from __future__ import annotations

import stat
from pathlib import Path

import pytest

from windsock.adapters.tls import TlsFiles
from windsock.cli.app import run
from windsock.cli.serve import port_of
from windsock.exceptions import SettingsError
from windsock.serving.__main__ import main as container_main


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


def test_what_is_missing_beside_a_signing_key_is_made_and_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    assert run(["keys", "init"]) == 0
    keys = tmp_path / "keys"
    secret = (keys / "signing.key").read_bytes()
    (keys / "signing.pub").unlink()
    (keys / "admin_token").unlink()
    capsys.readouterr()
    assert run(["keys", "init"]) == 0
    assert "made admin_token and signing.pub in" in capsys.readouterr().out
    assert (keys / "signing.key").read_bytes() == secret
    assert (mode(keys / "signing.pub"), mode(keys / "admin_token")) == (0o644, 0o600)


def test_the_log_key_is_made_and_then_rotated(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    assert run(["keys", "log"]) == 1
    assert "WS-SERVING-036" in capsys.readouterr().err
    run(["keys", "init"])
    key = tmp_path / "keys" / "log.key"
    assert run(["keys", "log"]) == 0
    (first,) = key.read_text().splitlines()
    assert run(["keys", "log"]) == 0
    shown = capsys.readouterr().out
    second, last = key.read_text().splitlines()
    assert last == first != second
    assert mode(key) == 0o600
    assert "it holds 2" in shown
    assert first not in shown
    assert second not in shown
    assert sorted(file.name for file in key.parent.iterdir()) == [
        "admin_token",
        "log.key",
        "signing.key",
        "signing.pub",
    ]


@pytest.fixture
def served(monkeypatch):
    calls = []

    def record(settings, **options):
        calls.append((settings.server_url, options))

    monkeypatch.setattr("windsock.serving.server.run", record)
    return calls


PLAIN = {"host": "127.0.0.1", "port": 9191, "workers": 1, "open_to_all": False, "tls": None}
PAIR = ["--tls-cert", "/c.pem", "--tls-key", "/k.pem"]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--port", "0", "--workers", "3"], {"port": 0, "workers": 3}),
        (["--host", "::1", "--port", "80", "--open"], {"host": "::1", "port": 80, "open_to_all": True}),
        (PAIR, {"tls": TlsFiles(cert=Path("/c.pem"), key=Path("/k.pem"))}),
        (
            [*PAIR, "--tls-client-ca", "/ca.pem"],
            {"tls": TlsFiles(cert=Path("/c.pem"), key=Path("/k.pem"), client_ca=Path("/ca.pem"))},
        ),
    ],
)
def test_serve_hands_over_what_was_asked(served, monkeypatch, arguments, options):
    monkeypatch.setenv("WINDSOCK_SERVER_URL", "http://127.0.0.1:9191")
    assert run(["serve", *arguments]) == 0
    assert served == [("http://127.0.0.1:9191", {**PLAIN, **options})]


ENVIRONMENT = {"WINDSOCK_SERVING_OPEN": "1", "WINDSOCK_TLS_CERT": "/c.pem", "WINDSOCK_TLS_KEY": "/k.pem"}


def test_serve_takes_the_same_from_the_environment(served, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert run(["serve"]) == 0
    ((_, options),) = served
    assert (options["open_to_all"], options["tls"].key) == (True, Path("/k.pem"))


def test_the_module_of_the_container_takes_the_same(monkeypatch):
    calls = []
    monkeypatch.setattr("windsock.serving.__main__.run", lambda _, **options: calls.append(options))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert container_main(["--host", "192.0.2.7"]) == 0
    monkeypatch.delenv("WINDSOCK_SERVING_OPEN")
    assert container_main(["--open"]) == 0
    monkeypatch.setenv("WINDSOCK_SERVING_OPEN", "0")
    assert container_main([]) == 0
    assert [call["open_to_all"] for call in calls] == [True, True, False]
    assert {call["tls"].cert for call in calls} == {Path("/c.pem")}


def test_a_switch_that_is_neither_on_nor_off_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("windsock.serving.__main__.run", lambda *_, **__: pytest.fail("it was started"))
    monkeypatch.setenv("WINDSOCK_SERVING_OPEN", "maybe")
    assert container_main([]) == 1
    assert "WINDSOCK_SERVING_OPEN is neither" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [PAIR[:2], PAIR[2:], ["--tls-client-ca", "/ca.pem"]])
def test_half_of_tls_is_none(served, capsys, arguments):
    assert run(["serve", *arguments]) == 1
    assert "error: WS-SERVING-031: TLS needs a certificate and its private key" in capsys.readouterr().err
    assert served == []


def test_the_port_of_an_address():
    assert port_of("http://127.0.0.1:9191") == 9191
    assert port_of("http://model-server") == 8181
    with pytest.raises(SettingsError, match="no valid port") as caught:
        port_of("http://127.0.0.1:http")
    assert caught.value.code == "WS-SETTINGS-006"
