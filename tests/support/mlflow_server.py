"""The one ``mlflow server`` of the tests that meet at it, each by models of its own.

Those files go to one worker (``support.distribution``). A test may stop the server: it starts it again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from support.mlflow_contract import migrated_database
from support.mlflow_process import START_SECONDS, free_port


class Server:
    """An ``mlflow server`` with all its processes in one group."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        (home / "mlflow.db").write_bytes(migrated_database().read_bytes())
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.home}/mlflow.db"]
        command += ["--artifacts-destination", str(self.home / "artifacts"), "--workers", "1"]
        env = {
            **os.environ,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=env, cwd=self.home, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"mlflow server did not start:\n{(self.home / 'server.log').read_text()[-3000:]}")
            time.sleep(0.3)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def signal(self, number: int) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, number)

    def stop(self) -> None:
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait(timeout=20)
        self.process = None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, with nothing in it at first."""
    server = Server(tmp_path_factory.mktemp("mlflow-server"))
    server.start()
    yield server
    server.stop()
