"""Finding and ending every process of one stack; run as a file, this module is the stack's watchdog.

Airflow's parts start children of their own, some in groups and sessions of their own, and do not always end
them. So every process of a stack carries a marker in its environment, which children inherit, and whoever
carries it is found in ``/proc``. Where there is no ``/proc`` only the processes that were started directly
(and their groups) can be ended.

The standard library only: the watchdog starts this file without site-packages.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

MARKER = "WINDSOCK_STACK_ID"
PART_MARKER = "WINDSOCK_STACK_PART"
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.1
PROC = Path("/proc")


def marked_processes(stack_id: str, part: str | None = None, *, proc: Path = PROC) -> list[int]:
    """Return the ids of the living processes that carry the marker of a stack; never this process.

    :param stack_id: value of the marker.
    :param part: only the processes of this part.
    :param proc: the process file system.
    """
    wanted = {f"{MARKER}={stack_id}".encode()} | ({f"{PART_MARKER}={part}".encode()} if part else set())
    found = []
    for entry in proc.iterdir() if proc.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:  # gone meanwhile, or another user's
            continue
        if wanted.issubset(environment.split(b"\0")):
            found.append(int(entry.name))
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes, passing over those that are gone."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def stop_marked(
    stack_id: str,
    part: str | None = None,
    *,
    asked: Iterable[int] = (),
    grace: float = GRACE_SECONDS,
    reap: Callable[[], None] = lambda: None,
    hurry: Callable[[], bool] = lambda: False,
) -> list[int]:
    """End every process of a stack: ask them once, wait, then kill what is left, until none is.

    :param stack_id: value of the marker.
    :param part: only the processes of this part.
    :param asked: processes that have been asked already: Airflow's scheduler takes a second time for haste,
        and leaves its workers waiting for ever.
    :param grace: seconds to wait between asking and killing.
    :param reap: called while waiting, so that the caller's own children do not stay as zombies.
    :param hurry: when it says true the rest of the wait is left out.
    :returns: ids of processes that could not be ended; empty when all is well.
    """
    asked = set(asked)
    deadline = time.monotonic() + grace
    while left := marked_processes(stack_id, part):
        signal_all([pid for pid in left if pid not in asked], signal.SIGTERM)  # children born meanwhile, too
        asked.update(left)
        reap()
        if hurry() or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    deadline = time.monotonic() + 5.0
    while (left := marked_processes(stack_id, part)) and time.monotonic() < deadline:
        signal_all(left, signal.SIGKILL)
        time.sleep(POLL_SECONDS / 2)
        reap()
    return left


def watch(stack_id: str, grace: float) -> None:
    """Wait until the supervisor is gone, however it ended, then end what it left.

    The supervisor holds the other end of this process's standard input and never writes to it.

    :param stack_id: value of the marker.
    :param grace: seconds to wait between asking and killing.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    stop_marked(stack_id, grace=grace)


if __name__ == "__main__":
    watch(sys.argv[1], float(sys.argv[2]))
