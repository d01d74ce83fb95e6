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

from support.shared import shared_service

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


class Server:
    """A PostgreSQL server on files of its own.

    :param programs: folder of its programs.
    :param folder: where everything of it lies.
    :param user: who runs it; ``None``: this user.
    """

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self.programs, self.folder, self.user = programs, folder, user
        self.port = _free_port()
        self.log = (folder / "server.log").open("wb")
        self.process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        options = ["-D", self.data, "-A", "trust", "-U", "windsock", "-N", "--locale=C", "-E", "UTF8"]
        subprocess.run(
            [programs / "initdb", *options],
            check=True, user=user, cwd=folder, stdout=self.log, stderr=self.log,
        )  # fmt: skip

    @property
    def data(self) -> Path:
        """Its files."""
        return self.folder / "data"

    @property
    def url(self) -> str:
        """The URL of its first database, which is empty."""
        return f"postgresql+psycopg://windsock@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        where = ["-k", self.folder, "-h", "127.0.0.1", "-p", str(self.port)]
        # It ends with this process, also where that is killed.
        ends_too = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
        self.process = subprocess.Popen(
            [*ends_too, self.programs / "postgres", "-D", self.data, *where, "-F", "-N", "400"],
            user=self.user, cwd=self.folder, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        _wait_until_ready(self.programs, self.process, self.port, self.folder)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one, SIGKILL a crash."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(timeout=START_SECONDS)

    def restart(self, how: signal.Signals) -> None:
        """End it and start it again on the same files."""
        self.stop(how)
        self.start()

    def new_database(self) -> str:
        """Return the URL of a further empty database."""
        self._databases += 1
        name = f"further_{self._databases}"
        ask = ["-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "windsock", "-d", "postgres"]
        subprocess.run(
            [self.programs / "psql", *ask, "-c", f"CREATE DATABASE {name}"], check=True, cwd=self.folder
        )
        return self.url.rpartition("/")[0] + f"/{name}"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Give the URL of an empty database; the server and its files are gone afterwards.

    Skips the test where PostgreSQL is not installed.
    """
    with restartable_server() as server:
        yield server.url


def shared_postgres(factory: pytest.TempPathFactory) -> str:
    """Return the URL of the server that all tests of this run share; each makes a database of its own.

    Skips the test where PostgreSQL is not installed.
    """
    require_postgres()
    url: str = shared_service(factory, "postgres", "support.postgres:postgres_server")
    return url


def require_postgres() -> Path:
    """Return the folder of the server's programs; skip the test where they are not installed."""
    programs = find_programs()
    if programs is None:
        pytest.skip(
            f"no PostgreSQL server is installed below {PROGRAMS} (Debian: apt-get install postgresql)"
        )
    _unprivileged_user()
    return programs


@contextmanager
def restartable_server() -> Iterator[Server]:
    """Give a server that runs; it and its files are gone afterwards.

    Skips the test where PostgreSQL is not installed.
    """
    programs = require_postgres()
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="windsock-pg-"))
    if user:
        shutil.chown(folder, user)
    try:
        server = Server(programs, folder, user)
        try:
            server.start()
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                server.stop()
            server.log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(programs: Path, server: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    ask = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ask, check=False, cwd=folder).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start:\n{(folder / 'server.log').read_text()[-2000:]}")
        time.sleep(0.1)
