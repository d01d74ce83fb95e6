from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest

from windsock.adapters.quiet import NOISY, SWITCHES, ignore_known_warnings, quiet_libraries

LIBRARIES = {
    "great_expectations": "great_expectations.get_context(mode='ephemeral')",
    "evidently": "evidently.Report",
    "skops.io": "skops.io.get_untrusted_types",
    "mlflow": "mlflow.MlflowClient('sqlite:///' + folder + '/mlflow.db').create_experiment('x')",
    "matplotlib.pyplot": "matplotlib.pyplot.figure().savefig(folder + '/x.png')",
    "alembic.config": "alembic.config.Config",
    "git": "git.Repo",
}

SCRIPT = """
import importlib, logging, sys
import airflow.sdk
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
logging.captureWarnings(True)
from windsock.adapters.quiet import quiet_libraries
folder = sys.argv[1]
with quiet_libraries():
"""


@pytest.mark.slow
def test_heavy_libraries_write_no_line_into_a_task_log(tmp_path):
    uses = "".join(f"    import {library}\n    {call}\n" for library, call in LIBRARIES.items())
    inherited = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    run = subprocess.run(
        [sys.executable, "-W", "default", "-c", SCRIPT + uses, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path), "AIRFLOW_HOME": str(tmp_path)},
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert [line for line in (run.stdout + run.stderr).splitlines() if "airflow" not in line.lower()] == []


class TestQuiet:
    @pytest.fixture(autouse=True)
    def as_before(self, monkeypatch):
        for name in SWITCHES:
            monkeypatch.setenv(name, "set before")
            monkeypatch.delenv(name)
        loggers = [logging.getLogger(name) for name in (*NOISY, "mlflow.inner")]
        states = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
        for logger in loggers:
            logger.propagate, logger.handlers = True, []
            logger.setLevel(logging.NOTSET)
        yield
        for logger, level, propagate, handlers in states:
            logger.propagate, logger.handlers = propagate, handlers
            logger.setLevel(level)

    @pytest.fixture
    def lines(self):
        seen = []

        class Seen(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                seen.append(record.getMessage())

        handler, root = Seen(), logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        yield seen
        root.removeHandler(handler)
        root.setLevel(level)

    def test_warnings_are_back_afterwards(self):
        with quiet_libraries():
            warnings.warn("nobody hears this", stacklevel=1)
        with pytest.warns(UserWarning, match="heard"):
            warnings.warn("heard", stacklevel=1)

    def test_what_goes_wrong_is_said_once_and_the_rest_is_not(self, lines):
        for _ in range(3):
            with quiet_libraries():
                for name in (*NOISY, "mlflow.inner"):
                    logging.getLogger(name).info("greeting of %s", name)
                    logging.getLogger(name).error("fault of %s", name)
        assert lines == [f"fault of {name}" for name in (*NOISY, "mlflow.inner")] * 3

    def test_a_child_that_sets_its_own_level_is_quiet_too(self, lines):
        with quiet_libraries():
            logging.getLogger("mlflow.inner").setLevel(logging.DEBUG)
            logging.getLogger("mlflow.inner").info("greeting")
            logging.getLogger("mlflow.inner").warning("fault")
        logging.getLogger("mlflow.inner").info("greeting afterwards")
        assert lines == ["fault"]

    def test_a_stricter_level_stands(self):
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        with quiet_libraries():
            pass
        assert logging.getLogger("mlflow").level == logging.ERROR

    def test_our_own_loggers_are_left_alone(self, lines):
        with quiet_libraries():
            logging.getLogger("windsock.data").info("a finding")
        assert lines == ["a finding"]

    def test_what_the_user_set_stands(self, monkeypatch):
        monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "DEBUG")
        with quiet_libraries():
            assert os.environ["MLFLOW_LOGGING_LEVEL"] == "DEBUG"
            assert os.environ["TQDM_DISABLE"] == "1"


def test_only_the_named_warnings_are_ignored():
    """As Airflow does it: deprecations are asked for, then pathspec's old name is used."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        ignore_known_warnings()
        warnings.warn("GitWildMatchPattern ('gitwildmatch') is deprecated.", DeprecationWarning, stacklevel=1)
        warnings.warn("another one is deprecated", DeprecationWarning, stacklevel=1)
        warnings.warn("GitWildMatchPattern is slow", UserWarning, stacklevel=1)
    assert [str(one.message) for one in seen] == ["another one is deprecated", "GitWildMatchPattern is slow"]
