from __future__ import annotations

import pytest

from windsock.exceptions import SettingsError
from windsock.serving.client_file import ClientFileError, ClientRegistry
from windsock.serving.open_server import is_loopback, who_is_answered
from windsock.serving.server import run
from windsock.settings import Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - it is not listened on


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::1%lo"])
def test_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", [EVERYWHERE, "::", "192.168.1.4", "fe80::1%eth0", "host", ""])
def test_not_loopback(address: str) -> None:
    assert not is_loopback(address)


def test_without_clients_this_machine_is_answered(settings: Settings) -> None:
    keys, said = who_is_answered(settings, "127.0.0.1", open_to_all=False)
    assert not keys
    assert "every program of this machine" in said


def test_without_clients_others_are_answered_only_where_that_is_said(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="everybody who reaches") as refused:
        who_is_answered(settings, EVERYWHERE, open_to_all=False)
    assert refused.value.code == "WS-SERVING-030"
    for way_out in ("windsock clients add", "--open", "WINDSOCK_SERVING_OPEN=1"):
        assert way_out in refused.value.next_action
    keys, said = who_is_answered(settings, EVERYWHERE, open_to_all=True)
    assert not keys
    assert said.startswith("OPEN")


def test_with_clients_keys_are_asked_for_everywhere(settings: Settings) -> None:
    registry = ClientRegistry(settings.clients_file)
    registry.add("shop")
    for address in ("127.0.0.1", EVERYWHERE):
        for open_to_all in (False, True):
            assert who_is_answered(settings, address, open_to_all=open_to_all) == (
                True,
                "1 client set up: a key is asked for",
            )
    registry.remove("shop")  # the last one goes, and the server is not opened by it
    assert who_is_answered(settings, EVERYWHERE, open_to_all=True).keys


def test_a_broken_file_is_no_open_server(settings: Settings) -> None:
    settings.clients_file.write_text("{")
    settings.clients_file.chmod(0o600)
    with pytest.raises(ClientFileError):
        who_is_answered(settings, "127.0.0.1", open_to_all=True)


def test_the_server_does_not_start(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="no client is set up"):
        run(settings, host=EVERYWHERE, port=0)
    assert not (settings.serving_dir / "server.json").exists()
