"""A query in a process of its own: the system holds its limits, and its answer is data.

The process writes messages: eight bytes of length, then MessagePack of a list whose first element is the
message's kind. Nothing that it says is run: there is no pickle, and errors are words.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from threading import Timer
from typing import IO, Any, NoReturn

from windsock.adapters.own_process import command_of
from windsock.adapters.query_limits import MIB, QueryLimits, limit_this_process
from windsock.exceptions import WindsockError

START_SECONDS = 120.0
"""Until the process has loaded its libraries, on a machine that has much to do."""
READY, ROWS, REFUSED, OVER_MEMORY, DONE = "ready", "rows", "refused", "over memory", "done"
LENGTH = 8
SECRET = ("WINDSOCK_", "AIRFLOW_", "MLFLOW_")
"""Beginnings of the variables that such a process has no use for."""
BARE = frozenset(
    {
        "PATH", "LANG", "LC_ALL", "TZ", "TMPDIR",
        "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV",
    }
)  # fmt: skip
ENDED_BY_SYSTEM = frozenset({signal.SIGXCPU, signal.SIGALRM})


class QueryLimitError(Exception):
    """A query went beyond a limit; its message names the limit, its value and the setting."""


class QueryEndedError(Exception):
    """A query's process ended without an answer; its message says how."""


class QueryRefusedError(Exception):
    """A query's process said no.

    :param kind: name of the error.
    :param message: what it says; ``code`` and ``next_action`` as of :class:`WindsockError`, if it is one.
    """

    def __init__(self, kind: str, message: str, code: str, next_action: str) -> None:
        super().__init__(message)
        self.kind, self.message, self.code, self.next_action = kind, message, code, next_action


def ask(
    module: str,
    request: Mapping[str, Any],
    limits: QueryLimits,
    *,
    payload: bytes | memoryview = b"",
    bare: bool = False,
) -> Iterator[Any]:
    """Run a module's ``main`` in a process of its own and yield what it answers, message by message.

    :param request: what :func:`serve` hands to its function: plain values.
    :param payload: bytes that it hands over, too.
    :param bare: without any variable of the environment that a query over given rows has no use for.
    :raises QueryLimitError: if it goes beyond a limit.
    :raises QueryRefusedError: if it says no.
    :raises QueryEndedError: if it ends by itself.
    """
    process = subprocess.Popen(  # noqa: S603 - this very package
        command_of(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(bare=bare),
    )
    assert process.stdin is not None  # noqa: S101 - asked for
    assert process.stdout is not None  # noqa: S101 - asked for
    asked = {**request, "seconds": limits.seconds, "memory_mb": limits.memory_mb}
    clock = _Clock(process)
    try:
        clock.set(START_SECONDS)
        with suppress(BrokenPipeError):
            _write(process.stdin, asked)
            process.stdin.write(payload)
            process.stdin.close()
        yield from _answers(process, process.stdout, clock, limits)
    finally:
        clock.stop()
        process.kill()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait()


class _Clock:
    """Kills a process when its time is over."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.over = False
        self._timer = Timer(0, self._end)

    def set(self, seconds: float) -> None:
        self.stop()
        self._timer = Timer(seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.over = True
        self.process.kill()


def _answers(
    process: subprocess.Popen[bytes], stream: IO[bytes], clock: _Clock, limits: QueryLimits
) -> Iterator[Any]:
    import msgspec

    left = limits.memory_mb * MIB
    ready = False
    while (length := stream.read(LENGTH)) and len(length) == LENGTH:
        size = int.from_bytes(length, "big")
        left -= size
        if left < 0:
            raise QueryLimitError(limits.over_size())
        content = stream.read(size)
        if len(content) < size:
            break
        try:
            kind, *rest = msgspec.msgpack.decode(content, type=list)
        except (msgspec.MsgspecError, ValueError):
            raise QueryEndedError("its process answered what cannot be read") from None
        if kind == READY:
            ready = True
            clock.set(limits.seconds)
        elif kind == ROWS:
            yield rest[0]
        elif kind == DONE:
            return
        elif kind == OVER_MEMORY:
            raise QueryLimitError(limits.over_memory())
        else:
            raise QueryRefusedError(*(str(word) for word in rest[:4]))
    _ended(process, clock, limits, ready=ready)


def _ended(process: subprocess.Popen[bytes], clock: _Clock, limits: QueryLimits, *, ready: bool) -> NoReturn:
    status = process.wait()
    by = -status if status < 0 else 0
    if (clock.over and ready) or by in ENDED_BY_SYSTEM:
        raise QueryLimitError(limits.over_time())
    if clock.over:
        raise QueryEndedError(f"its process did not start within {START_SECONDS:g} s")
    if by in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL):
        raise QueryLimitError(f"{limits.over_memory()} (the system ended it by {signal.Signals(by).name})")
    raise QueryEndedError(f"its process ended with status {status}")


def _environment(*, bare: bool) -> dict[str, str]:
    """Return the variables that a query's process sees: none of the installation's own secrets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in BARE if bare else not name.startswith(SECRET))
    }
    return {**kept, "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _write(stream: IO[bytes], content: Any) -> None:
    import msgspec

    encoded = msgspec.msgpack.encode(content)
    stream.write(len(encoded).to_bytes(LENGTH, "big"))
    stream.write(encoded)
    stream.flush()


class Answer:
    """What the process writes to whoever started it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def begin(self, asked: Mapping[str, Any], *, writes: bool = True) -> None:
        """Say that everything is loaded; from now on the limits hold."""
        limit_this_process(float(asked["seconds"]), int(asked["memory_mb"]), writes=writes)
        self.send(READY)

    def send(self, kind: str, *content: Any) -> None:
        """Write a message."""
        _write(self._stream, [kind, *content])


def serve(work: Any) -> None:
    """Be the process of a query: read the request, do the work, and end.

    :param work: takes the request, the stream of the payload and the :class:`Answer`.
    """
    import msgspec

    answer = Answer(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what a library prints is no answer
    incoming = sys.stdin.buffer
    size = int.from_bytes(incoming.read(LENGTH), "big")
    asked = msgspec.msgpack.decode(incoming.read(size), type=dict)
    try:
        work(asked, incoming, answer)
        answer.send(DONE)
    except MemoryError:
        answer.send(OVER_MEMORY)
    except WindsockError as error:
        answer.send(REFUSED, type(error).__name__, error.message, error.code, error.next_action)
    except Exception as error:  # its text may quote a value
        answer.send(REFUSED, type(error).__name__, "", "", "")
    os._exit(0)  # nothing that the query left behind runs


__all__ = [
    "OVER_MEMORY",
    "ROWS",
    "Answer",
    "QueryEndedError",
    "QueryLimitError",
    "QueryRefusedError",
    "ask",
    "serve",
]
