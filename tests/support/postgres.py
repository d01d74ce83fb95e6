"""A throw-away PostgreSQL server: an unprivileged user, a temporary folder, a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = Path("/usr/lib/postgresql")
UNPRIVILEGED = ("postgres", "nobody")
START_SECONDS = 60


def find_programs() -> Path | None:
    """Return the folder of the newest installed server's programs, or ``None``."""
    found = [folder for folder in PROGRAMS.glob("*/bin") if (folder / "initdb").exists()]
    return max(found, key=lambda folder: float(folder.parent.name), default=None)


def _unprivileged_user() -> str | None:
    """Return the user to run the server as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip(f"PostgreSQL does not run as root, and there is none of the users {', '.join(UNPRIVILEGED)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres_server() -> Iterator[str]:
    """Give the URL of an empty database; the server and its files are gone afterwards.

    Skips the test where PostgreSQL is not installed.
    """
    programs = find_programs()
    if programs is None:
        pytest.skip(
            f"no PostgreSQL server is installed below {PROGRAMS} (Debian: apt-get install postgresql)"
        )
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="windsock-pg-"))
    if user:
        shutil.chown(folder, user)
    data, port = folder / "data", _free_port()
    initdb = ["-D", data, "-A", "trust", "-U", "windsock", "-N", "--locale=C", "-E", "UTF8"]
    log = (folder / "server.log").open("wb")
    try:
        subprocess.run(
            [programs / "initdb", *initdb],
            check=True, user=user, cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, "-h", "127.0.0.1", "-p", str(port), "-F"],
            user=user, cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait_until_ready(programs, server, port, folder)
            yield f"postgresql+psycopg://windsock@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # fast shutdown
            server.wait(timeout=START_SECONDS)
    finally:
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(programs: Path, server: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    ask = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ask, check=False, cwd=folder).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start:\n{(folder / 'server.log').read_text()[-2000:]}")
        time.sleep(0.1)
