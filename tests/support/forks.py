"""A function in a fork of this process: what it opens, caches and leaves open ends with it."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any


def in_fork(function: Callable[[], Any]) -> Any:
    """Return what a function returns in a fork; libraries that are loaded here are loaded there.

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
