"""An installation at another time and another place: this process and the server live at its hour.

Records keep the storage root's absolute path, in the ledger's hash chain too. The root of these is
``/proc/self/cwd/storage``: wherever the home was unpacked, a process that stands in it finds what it would
have found there, as the release that made it did.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import time_machine

from support.serving import PLUGINS, Server
from windsock.adapters.build import build_ports
from windsock.cli.demo_users import Users
from windsock.ports import Ports
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.spec.loader import find_model

CLOCK_FOLDER = Path(__file__).resolve().parent / "clock"
SHIFT = "WINDSOCK_TEST_CLOCK_SHIFT"
STORAGE = "/proc/self/cwd/storage"
NO_SERVER = "http://127.0.0.1:9"
"""Where nobody answers: the usual address may be that of another server on this machine."""


@contextmanager
def clock_at(moment: datetime) -> Iterator[None]:
    """Let this process, and those that it starts, live from a moment on.

    Those it starts are of this checkout, whatever else is installed.
    """
    hatch = time_machine.escape_hatch
    shift = moment.timestamp() - (hatch.time.time() if hatch.is_travelling() else time.time())
    folders = [str(CLOCK_FOLDER), str(PLUGINS), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, folders))
    with time_machine.travel(moment, tick=True), environment(**{SHIFT: str(shift), "PYTHONPATH": path}):
        time.time()  # the travelled clock stands still until it is read
        yield


def clock_variables() -> dict[str, str]:
    """Return what a program needs in its environment to live at the hour of this process."""
    # Files have the true time: by that of a program that is behind they would always have changed just now.
    order = {"AIRFLOW__DAG_PROCESSOR__FILE_PARSING_SORT_MODE": "alphabetical"}
    return {**order, **{name: os.environ[name] for name in (SHIFT, "PYTHONPATH")}}


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for the time of a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    """Make a folder the current one for the time of a block."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def settings_of(home: Path, **changed: Any) -> Settings:
    """Return the settings of an installation, wherever it lies."""
    made = Settings.from_environment(
        {
            "WINDSOCK_HOME": str(home),
            "WINDSOCK_MODELS_DIR": str(home / "include" / "models"),
            "WINDSOCK_STORAGE_URL": STORAGE,
            "WINDSOCK_SERVER_URL": NO_SERVER,
        }
    )
    return made.model_copy(update=changed)


class House:
    """An installation in a folder, as the present code opens it.

    :param home: its folder; the process must stand in it.
    :param client_key: key of a client of its server.
    :param changed: settings that differ.
    """

    def __init__(self, home: Path, *, client_key: str, **changed: Any) -> None:
        self.home, self.client_key = home, client_key
        self.settings = settings_of(home, **changed)

    def ports(self) -> Ports:
        """Return the outside world as a new process meets it; nothing pauses while a version bakes."""
        ports = build_ports(self.settings, connections=lambda conn_id: conn_id)
        return replace(ports, pause=lambda seconds: None)

    def spec(self, model: str) -> ModelSpec:
        """Return what a model's file says."""
        return find_model(self.settings.models_dir, model, shared_file=self.settings.shared_file)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the real server on it, at the hour of this process; steps find it."""
        server = Server(self.settings)
        before = self.settings
        try:
            server.start()
            self.settings = before.model_copy(update={"server_url": server.address})
            yield
        finally:
            self.settings = before
            if server.process is not None and server.process.poll() is None:
                server.stop()
            server.kill()

    def client(self) -> httpx.Client:
        """Return a client of the server that shows its key."""
        return httpx.Client(
            base_url=self.settings.server_url,
            timeout=30.0,
            trust_env=False,
            headers={"Authorization": f"Bearer {self.client_key}"},
        )

    def ask(
        self, model: str, rows: Sequence[Mapping[str, Any]], units: Sequence[str], *, name: str
    ) -> list[dict[str, Any]]:
        """Ask for the predictions of rows, one for each unit; prediction ids are ``UNIT.NAME``."""
        ids = [f"{unit}.{name}" for unit in units]
        body = {"features": [dict(row) for row in rows], "unit": list(units), "prediction_id": ids}
        with self.client() as client:
            answer = client.post(f"/models/{model}/predict", json=body)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["predictions"])

    def tell(self, model: str, outcomes: Mapping[str, Any]) -> None:
        """Tell outcomes by prediction id."""
        with self.client() as client:
            for prediction_id, outcome in outcomes.items():
                body = {"model": model, "prediction_id": prediction_id, "outcome": outcome}
                answer = client.post("/outcomes", json=body)
                assert answer.is_success, answer.text

    def users(self, model: str, **options: Any) -> Users:
        """Return users of the server who show the key."""
        return KnownUsers(self, server_url=self.settings.server_url, model=model, **options)


class KnownUsers(Users):
    """Users of a server that asks for keys."""

    def __init__(self, house: House, **options: Any) -> None:
        super().__init__(**options)
        self._house = house

    def _client(self) -> AbstractContextManager[httpx.Client]:  # type: ignore[override]
        return self._house.client()
