"""Control databases on both engines: empty ones, and copies of a world that is lived once."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from support.ledgers import copy_home, new_control_database, sql_ledger
from windsock.adapters.database import open_database
from windsock.ports import Ports

ENGINES = ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])]


def new_database(request: pytest.FixtureRequest, engine: str, folder: Path) -> str:
    """Return the URL of an empty control database on an engine of :data:`ENGINES`.

    It is a copy of one whose tables are made once for all tests of this process.
    """
    if engine == "sqlite":
        return new_control_database(folder)
    server: str = request.getfixturevalue("postgres_url")
    return database_like(server, _migrated(server))


def database_like(server: str, pattern: str = "template1") -> str:
    """Return the URL of a new database on a PostgreSQL server.

    :param server: the URL of any of its databases.
    :param pattern: the name of a database that it is a copy of; nobody may be connected with that.
    """
    name = f"control_{uuid4().hex}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {pattern}")
    admin.dispose()
    return server.rpartition("/")[0] + f"/{name}"


@cache
def _migrated(server: str) -> str:
    url = database_like(server)
    open_database(url).dispose()
    return url.rpartition("/")[2]


class CopiedWorld:
    """A world on a control database that is lived once; each test has a copy of it, as if it had lived it.

    :param live: makes its ports with a database that is empty.
    :param folder: where it is lived.
    """

    def __init__(self, live: Callable[[str], Ports], folder: Path) -> None:
        self.live, self.folder = live, folder
        self.lived: dict[str, tuple[str, Ports]] = {}

    def copy_of(self, request: pytest.FixtureRequest, engine: str, folder: Path) -> tuple[str, Ports]:
        """Return the URL of a copy of its database, and its ports on that: nothing is shared with others.

        :param engine: one of :data:`ENGINES`.
        :param folder: where the copy lies.
        """
        if engine not in self.lived:
            url = new_database(request, engine, self.folder / engine)
            ports = self.live(url)
            if engine == "sqlite":
                with open_database(url).connect() as connection:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            open_database(url).dispose()
            self.lived[engine] = url, replace(ports, ledger=None)  # type: ignore[arg-type]
        pattern, ports = self.lived[engine]
        url = _copied(pattern, folder)
        copy_home(pattern, url)
        return url, replace(copy.deepcopy(ports), ledger=sql_ledger(url))


def _copied(pattern: str, folder: Path) -> str:
    parsed = sa.make_url(pattern)
    if parsed.get_backend_name() == "sqlite":
        shutil.copy(str(parsed.database), folder / "control.db")
        return f"sqlite:///{folder / 'control.db'}"
    return database_like(pattern, str(parsed.database))
