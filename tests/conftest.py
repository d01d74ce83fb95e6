"""Shared set-up: Airflow's home is a temporary folder before anything imports Airflow."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

HOME = Path(tempfile.mkdtemp(prefix="windsock-tests-"))
PROJECT = Path(__file__).resolve().parent.parent
for folder in ("dags", "plugins"):
    (HOME / folder).mkdir()
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(HOME / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(HOME / "plugins"),
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
    OMP_NUM_THREADS="1",
)
KEPT = {"WINDSOCK_SNAPSHOTS"}
for name in [n for n in os.environ if n.startswith(("WINDSOCK_", "AIRFLOW_CONN_")) and n not in KEPT]:
    del os.environ[name]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the temporary home."""
    import shutil

    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; skip where there is none."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's metadata database in the temporary home."""
    from airflow.utils.db import initdb

    initdb()
