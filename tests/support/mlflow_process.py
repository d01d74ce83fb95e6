"""A ``mlflow server`` on the database and the artifacts of one installation, as the stack starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.serving import wait_until
from support.shifted import SHIFT
from windsock.cli.stack import quiet

START_SECONDS = 90


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def mlflow_server(home: Path) -> Iterator[str]:
    """Run a server that keeps everything below a folder; give its address.

    Artifacts have addresses that name no folder, so the home can be moved.
    """
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}", "--workers", "1"]
    command += ["--serve-artifacts", "--artifacts-destination", str(home / "mlartifacts")]
    inherited = {name: value for name, value in os.environ.items() if name != SHIFT}
    address = f"http://127.0.0.1:{port}"
    with (home / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=home, env={**inherited, **quiet()}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until(lambda: _answers(address), seconds=START_SECONDS, what="MLflow")
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False
