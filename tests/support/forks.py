"""Functions in forks of this process, or of one that has loaded what they need and has no threads."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from multiprocessing import forkserver, get_context
from typing import Any

import pytest


def in_fork(function: Callable[[], Any]) -> Any:
    """Return what a function returns in a fork; libraries that are loaded here are loaded there.

    What it opens, caches and leaves open ends with it.

    :raises AssertionError: with the trace of what it raised there.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reads)
            try:
                answer = pickle.dumps((function(), ""))
                code = 0
            except BaseException:
                answer = pickle.dumps((None, traceback.format_exc()))
            with os.fdopen(writes, "wb") as stream:
                stream.write(answer)
        finally:
            os._exit(code)  # nothing that the tests have set up is taken down by a copy of them
    os.close(writes)
    with os.fdopen(reads, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    assert answer, "the fork ended without an answer"
    result, trace = pickle.loads(answer)  # noqa: S301
    assert not trace, trace
    return result


LOADED = (
    "support.rollout_judge",
    "support.fold_process",
    "pandas",
    "pyarrow.parquet",
    "duckdb",
    "alembic.command",
    "psycopg",
)
"""What processes that count a rollout would load first."""


class Counting:
    """A process that counts from now on: a fork of one that has loaded :data:`LOADED` and does nothing else.

    :param function: what it does; its last argument is the end of a pipe by which it says something.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(list(LOADED))
        with pytest.MonkeyPatch.context() as patch:  # for the one that forks, which starts with the first
            patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
            forkserver.ensure_running()
        self._said, says = context.Pipe(duplex=False)
        self.process = context.Process(target=function, args=(*arguments, says))
        self.process.start()
        says.close()

    def hear(self) -> Any:
        """Wait for what it says next; ``None``: it has ended."""
        try:
            return self._said.recv()
        except EOFError:
            return None

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.join()

    def rest(self) -> list[Any]:
        """Wait until it has ended; return what it has said and nobody has heard."""
        said = list(iter(self.hear, None))
        self.process.join()
        return said
