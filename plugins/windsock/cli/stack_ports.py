"""``StackPorts``: where the stack's programs listen, and whether they can."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from windsock.exceptions import SettingsError

HOST = "127.0.0.1"
LAST_PORT = 65_535


@dataclass(frozen=True, kw_only=True)
class StackPorts:
    """Where the three programs listen, all on 127.0.0.1.

    :param private: the server's private listener, for health and admin; default: the port next to it.
    """

    airflow: int = 8080
    mlflow: int = 5000
    server: int = 8181
    private: int = 0

    def __post_init__(self) -> None:
        if not self.private:
            object.__setattr__(self, "private", self.server + (1 if self.server < LAST_PORT else -1))

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        airflow: int | None = None,
        mlflow: int | None = None,
        server: int | None = None,
        private: int | None = None,
    ) -> Self:
        """Return the given ports, else those of ``WINDSOCK_AIRFLOW_PORT`` and so on, else the usual ones.

        :raises SettingsError: if a variable holds no port number.
        """
        env = os.environ if environment is None else environment
        given = {"airflow": airflow, "mlflow": mlflow, "server": server, "private": private}
        chosen: dict[str, int] = {}
        for name in (field.name for field in fields(cls)):
            value = given.get(name) or env.get(variable(name))
            if value is None or value == "":
                continue
            if not str(value).isdigit() or not 0 < int(value) < 65536:
                raise SettingsError(f"{variable(name)} is {value!r}; it must be a port from 1 to 65535.")
            chosen[name] = int(value)
        return cls(**chosen)

    def items(self) -> list[tuple[str, int]]:
        """Return name and port of each program."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    def taken(self) -> dict[str, int]:
        """Return the ports that something listens on already, by program."""
        return {name: port for name, port in self.items() if not is_free(port)}

    def moved(self) -> Self:
        """Return these ports with free ones in place of those that are taken."""
        return replace(self, **{name: free_port() for name in self.taken()})

    def require_free(self) -> None:
        """See that nothing listens on any of them yet.

        :raises SettingsError: naming the port and the variable that moves it.
        """
        if len({port for _, port in self.items()}) < len(self.items()):
            listed = ", ".join(f"{name} {port}" for name, port in self.items())
            raise SettingsError(
                f"two programs have the same port: {listed}.",
                code="WS-SETTINGS-020",
            )
        for name, port in self.taken().items():
            raise SettingsError(
                f"port {port} of {HOST} is taken; {name} needs it. Nothing was started.",
                code="WS-SETTINGS-020",
                next_action=f"End what uses it, or choose another one: {variable(name)}=PORT windsock up",
            )


def variable(name: str) -> str:
    """Return the environment variable that moves a program's port."""
    return f"WINDSOCK_{name.upper()}_PORT"


def is_free(port: int) -> bool:
    """Say whether nothing listens on a port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
