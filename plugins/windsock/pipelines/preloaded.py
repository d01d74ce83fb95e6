"""Airflow's command line in a process that has loaded Windsock: ``python -m windsock.pipelines.preloaded``.

Airflow's scheduler forks a process for each task, and its DAG processor one for each time a file is parsed.
What such a process needs of Windsock and of Airflow costs it up to half a second of a core, and a task that
trains two or three seconds more for its libraries, over and over; it costs nothing where the process that
forks has loaded it. Model files and DAG files are read anew as ever.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Callable


def loads_libraries(command: str, platform: str = sys.platform) -> bool:
    """Return whether a command forks tasks where that is safe once numerical libraries are loaded."""
    return command == "scheduler" and platform == "linux"


def load(command: str) -> Callable[[], None]:
    """Load what the processes that a command forks need; return Airflow's own command line.

    The garbage collector waits until then: all that is loaded stays, and it would take a fifth of the time.
    """
    gc.disable()
    try:
        # The first import of Airflow, as in its own command: settings and configuration come in this order.
        from airflow.__main__ import main  # isort: skip

        import airflow.dag_processing.dagbag
        import airflow.sdk.execution_time.task_runner  # noqa: F401

        import windsock.adapters.build
        import windsock.pipelines.factory  # noqa: F401
        from windsock.adapters.libraries import load_libraries
        from windsock.adapters.quiet import ignore_known_warnings

        ignore_known_warnings()
        if loads_libraries(command):
            load_libraries()
    finally:
        gc.enable()
    return main


if __name__ == "__main__":
    atexit.register(gc.freeze)  # what is loaded goes with the process: nobody looks through it first
    load(sys.argv[1])()
