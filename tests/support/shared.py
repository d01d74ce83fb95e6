"""What is made once for a whole run of the tests, however many worker processes it has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

OWNER = "PYTEST_RUN_OWNER"
"""Environment variable: the process id of the run itself, in its workers too."""
START_SECONDS = 120.0


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this run have in common."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def once_per_run(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Any:
    """Return what the first worker that asked has made.

    :param name: what it is called in this run.
    :param make: makes it in a folder of its own, and returns what JSON can hold; a test that skips or fails
        in it leaves nothing, so that the next one tries again.
    """
    folder = run_folder(factory) / f"once-{name}"
    folder.mkdir(exist_ok=True)
    made = folder / "made.json"
    with FileLock(folder / "lock"):
        if not made.exists():
            part = made.with_suffix(".part")
            part.write_text(json.dumps(make(folder)), encoding="utf-8")
            part.replace(made)
    return json.loads(made.read_text(encoding="utf-8"))


def shared_service(factory: pytest.TempPathFactory, name: str, context: str) -> Any:
    """Return what a context manager gives that a keeper holds open until the run ends.

    :param context: ``module:function`` of a context manager without parameters.
    """

    def start(folder: Path) -> Any:
        answer, log = folder / "answer.json", folder / "keeper.log"
        owner = os.environ[OWNER]
        with log.open("wb") as stream:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "support.keeper", owner, context, str(answer)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        (folder / f"keeper-{keeper.pid}.pid").write_text(str(keeper.pid))
        deadline = time.monotonic() + START_SECONDS
        while not answer.exists():
            if keeper.poll() is not None or time.monotonic() > deadline:
                keeper.terminate()
                raise RuntimeError(f"{name} did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.02)
        return json.loads(answer.read_text())

    return once_per_run(factory, name, start)


def end_services(folder: Path, *, seconds: float = 30.0) -> None:
    """End the keepers of a run, and wait until what they kept is gone."""
    pids = [int(file.read_text()) for file in folder.glob("once-*/keeper-*.pid")]
    for pid in pids:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
