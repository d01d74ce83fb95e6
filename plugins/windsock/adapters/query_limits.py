"""The limits of a query that a model's file names, and how a process puts itself under them."""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

from windsock.exceptions import SettingsError

MIB = 1024 * 1024
THREADS = 2
"""Most threads that compute in such a process: its CPU time may be so many times the seconds."""
SLACK_SECONDS = 2
"""The process ends itself so much later than whoever started it would have ended it."""
OPEN_FILES = 256


@dataclass(frozen=True, kw_only=True)
class QueryLimits:
    """What a query may take.

    :param seconds: time on the clock.
    :param memory_mb: memory of its process, beyond the rows that it is given, and size of its answer, in MiB.
    :param seconds_setting: name of the setting that says the seconds, for errors.
    :param memory_setting: name of the setting that says the memory.
    """

    seconds: float
    memory_mb: int
    seconds_setting: str
    memory_setting: str

    def over_time(self) -> str:
        """Return the sentence about a query that took too long."""
        return f"it was stopped after {self.seconds:g} s, the limit; the setting is {self.seconds_setting}"

    def over_memory(self) -> str:
        """Return the sentence about a query that took too much memory."""
        return (
            f"it needs more than {self.memory_mb:,} MiB of memory, the limit; "
            f"the setting is {self.memory_setting}"
        )

    def over_size(self) -> str:
        """Return the sentence about an answer that is too large."""
        return (
            f"its answer is larger than {self.memory_mb:,} MiB, the limit; "
            f"the setting is {self.memory_setting}"
        )


def limit_this_process(seconds: float, memory_mb: int, *, writes: bool = True) -> None:
    """Let the system end this process if it goes beyond; what it holds by now is not counted.

    Memory that is not given is an error in this process. A timer of the system ends it by a signal, if
    nobody else did so before; so does too much time on a CPU.

    :param writes: whether it may write files.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime + seconds * THREADS) + SLACK_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + SLACK_SECONDS))
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    if not writes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + SLACK_SECONDS)
    _lower(resource.RLIMIT_AS, _address_space() + memory_mb * MIB)


def _lower(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))


def _address_space() -> int:
    """Return the bytes of memory that this process has reserved."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    except OSError:
        raise SettingsError(
            "this system has no /proc: the memory of a query cannot be limited",
            code="WS-SETTINGS-014",
            next_action="Run queries of model files on Linux, or read the rows from a file.",
        ) from None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
