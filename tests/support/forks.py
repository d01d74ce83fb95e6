"""Functions in forks of this process, or of one that has loaded what they need and has no threads."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
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


def fork_server(*modules: str) -> ForkServerContext:
    """Return what starts processes that have modules loaded: forks of a process that does nothing else.

    There is one such process in a run of tests: who asks first says what it loads.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        forkserver.ensure_running()
    return context
