"""Shared set-up: Airflow's home is a temporary folder before anything imports Airflow."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support import examples, imports, memory, phases, shared, trusted
from support.distribution import ByWorld, is_slow, order_of

memory.use_for_temporary_files()
GC_THRESHOLD = (50_000, 20, 100)  # with all libraries loaded, the usual one takes a tenth of the time
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


def pytest_configure(config: pytest.Config) -> None:
    """Say which process is the run: what is made once for all workers lives as long as it."""
    os.environ.setdefault(shared.OWNER, str(os.getpid()))
    settings.register_profile("suite", deadline=None)  # a busy machine is no fault
    settings.load_profile("suite")
    gc.set_threshold(*GC_THRESHOLD)
    atexit.register(gc.freeze)  # all that is loaded goes with the process: nobody looks through it first
    trusted.read_once()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWorld:
    """Deal the tests to the workers by the world that they share."""
    return ByWorld(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector: all that is made stays, and it would take half of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the slow files where no slow test is asked for."""
    if not _is_quick(config) or not collection_path.is_relative_to(PROJECT):
        return None
    return is_slow(str(collection_path.relative_to(PROJECT))) or None


def _is_quick(config: pytest.Config) -> bool:
    return "not slow" in (config.option.markexpr or "")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what takes long, the proofs of what an import loads too, and begin with what takes longest."""
    if _is_quick(config):
        examples.draw_fewer(items)
    for item in items:
        if is_slow(item.nodeid) or "modules_after" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: order_of(item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the temporary home, and end what was made once for the whole run."""
    shutil.rmtree(HOME, ignore_errors=True)
    factory: pytest.TempPathFactory | None = getattr(session.config, "_tmp_path_factory", None)
    if os.environ[shared.OWNER] == str(os.getpid()) and factory is not None and factory._basetemp is not None:
        shared.end_services(factory.getbasetemp())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how long each part of the tests took."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        phases.print_parts(terminalreporter)


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
def modules_after(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], frozenset[str]]:
    """What is loaded after a proof of ``support.imports``, by its name."""
    return functools.partial(imports.modules_after, tmp_path_factory)


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's metadata database in the temporary home."""
    from airflow.utils.db import initdb

    initdb()
