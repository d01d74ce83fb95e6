"""Whom a server answers: known clients; without any, everybody, but only where that is meant."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

from windsock.exceptions import SettingsError
from windsock.serving.client_file import ClientFile
from windsock.settings import Settings


class Answered(NamedTuple):
    """Whom a server answers: whether a key is asked for, and a sentence for people."""

    keys: bool
    said: str


def who_is_answered(settings: Settings, address: str, *, open_to_all: bool) -> Answered:
    """Return whom the server answers; it is shown at the start.

    :param address: the numeric address that the server listens on.
    :param open_to_all: whether everybody may be answered at an address that other machines can reach.
    :raises SettingsError: if everybody would be answered there and that was not asked for, or the clients'
        file cannot be used.
    """
    clients = ClientFile(settings.clients_file).read()
    if clients is not None:
        count = len(clients.clients)
        return Answered(True, f"{count} client{'' if count == 1 else 's'} set up: a key is asked for")
    if is_loopback(address):
        return Answered(False, f"no client is set up: every program of this machine is answered at {address}")
    if open_to_all:
        return Answered(False, f"OPEN: no client is set up, and everybody who reaches {address} is answered")
    raise SettingsError(
        f"no client is set up, and everybody who reaches {address} would be answered",
        code="WS-SERVING-030",
        next_action="Run `windsock clients add NAME`, or listen on 127.0.0.1; or say --open "
        "(WINDSOCK_SERVING_OPEN=1).",
    )


def is_loopback(address: str) -> bool:
    """Return whether only programs of this machine reach an address."""
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
