"""The control database on both engines: fixtures for the tests of what is kept in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.engines import ENGINES, database_like, new_database
from support.fake_monitor import FakeMonitor
from support.fake_rollout import FakeRollouts
from support.ledgers import sql_rollouts
from support.postgres import shared_postgres
from windsock.adapters.monitor_table import SqlMonitor
from windsock.ports import Monitor, Rollouts


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
    return database_like(request.getfixturevalue("postgres_url"))


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
