"""Keeps libraries from writing into a task's log: their lines would bury the finding that matters."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NOISY = (
    "PIL",
    "alembic",
    "asyncio",
    "evidently",
    "fontTools",
    "fsspec",
    "git",
    "great_expectations",
    "httpcore",
    "httpx",
    "matplotlib",
    "mlflow",
    "skops",
)
"""Loggers that say nothing below WARNING; what goes wrong is still said."""

SWITCHES = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "TQDM_DISABLE": "1",
}
"""What the libraries read from the environment; a value that is set already stands."""


AT_START = (("GitWildMatchPattern", DeprecationWarning),)
"""Warnings of libraries to each other, before any task is there: how they begin, and their kind.

Airflow reads each ``.airflowignore`` by a class of pathspec's that has another name by now, in every process.
"""


def ignore_known_warnings() -> None:
    """Ignore the warnings of :data:`AT_START` in this process and in those that it forks.

    Airflow asks for deprecations of its own modules when it is imported: call this after it.
    """
    for begins, category in AT_START:
        warnings.filterwarnings("ignore", message=begins, category=category)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Import and call noisy libraries without a line in the log.

    Within it warnings are ignored. The libraries' loggers and the switches in the environment stay quiet when
    it is left: nothing here ever wants progress bars, usage reports or greetings.

    ::

        with quiet_libraries():
            import great_expectations
    """
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    for name in NOISY:
        _hush(logging.getLogger(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Upwards(logging.Handler):
    """Hands warnings and errors on to the root logger's handlers; for libraries that set INFO on a child."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger().callHandlers(record)


def _hush(logger: logging.Logger) -> None:
    if logger.level < logging.WARNING:  # to set a level clears what every logger of the process has cached
        logger.setLevel(logging.WARNING)
    if logger.propagate:
        logger.propagate = False
        logger.addHandler(_Upwards())
