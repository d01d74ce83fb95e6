"""The control database on both engines: fixtures for the tests of what is kept in it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from support.fake_monitor import FakeMonitor
from support.fake_rollout import FakeRollouts
from support.ledgers import new_control_database, sql_rollouts
from support.postgres import shared_postgres
from windsock.adapters.monitor_table import SqlMonitor
from windsock.ports import Monitor, Rollouts

ENGINES = ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])]


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The PostgreSQL server of this run; skip where none is installed."""
    return shared_postgres(tmp_path_factory)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A control database without rows: a SQLite file, or a new database on a PostgreSQL server."""
    return new_database(request, request.param, tmp_path)


@pytest.fixture(params=ENGINES)
def bare_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'control.db'}"
    return new_database(request, request.param, tmp_path)


@pytest.fixture(params=["memory", *ENGINES])
def monitor(request: pytest.FixtureRequest, tmp_path: Path) -> Monitor:
    """Each kind of monitor: the one of the tests, and the real one on both engines."""
    if request.param == "memory":
        return FakeMonitor()
    return SqlMonitor(new_database(request, request.param, tmp_path))


@pytest.fixture(params=["memory", *ENGINES])
def rollouts(request: pytest.FixtureRequest, tmp_path: Path) -> Rollouts:
    """Each kind of what keeps decisions: the one of the tests, and the real one on both engines."""
    if request.param == "memory":
        return FakeRollouts()
    return sql_rollouts(new_database(request, request.param, tmp_path))


def new_database(request: pytest.FixtureRequest, engine: str, folder: Path) -> str:
    """Return the URL of an empty control database on an engine of :data:`ENGINES`."""
    if engine == "sqlite":
        return new_control_database(folder)
    server: str = request.getfixturevalue("postgres_url")
    name = f"control_{uuid4().hex}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    admin.dispose()
    return server.rsplit("/", 1)[0] + f"/{name}"
