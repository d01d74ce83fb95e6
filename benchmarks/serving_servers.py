"""Servers of the serving benchmark: start them on one core, wait until they answer, weigh them, end them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 120.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Every server gets it: with one thread for each core, all of them are several times slower under load."""


class BenchFailedError(RuntimeError):
    """Something that the benchmark needs did not work; nothing it measured counts."""


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What one server is asked.

    :param path: path of its prediction call.
    :param single: bodies with one row each.
    :param batch: bodies with 100 rows each.
    :param read: takes the scores out of an answer; ``None`` for a server without a model.
    """

    path: str
    single: Sequence[bytes]
    batch: Sequence[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[bytes], list[float]] | None = None


@dataclass(frozen=True, kw_only=True)
class Weight:
    """Memory of a server, in MiB.

    :param rss: resident memory of its largest process, the worker; shared pages included.
    :param pss: the same, shared pages divided among those who share them.
    :param whole: PSS of all its processes.
    """

    rss: float
    pss: float
    whole: float


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers.

    :param pid: the process that was started.
    """

    address: str
    pid: int
    log: Path

    def weigh(self) -> Weight:
        """Return its memory."""
        found = [weight for pid in [self.pid, *descendants(self.pid)] if (weight := _weigh(pid)) is not None]
        rss, pss = max(found)
        return Weight(rss=rss, pss=pss, whole=sum(share for _, share in found))

    def tail(self) -> str:
        """Return the end of what it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]


def cores() -> tuple[int, int]:
    """Return the core of the servers and the core of the load.

    :raises BenchFailedError: if there is only one.
    """
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        raise BenchFailedError("two cores are needed: one for the server, one for the load")
    return mine[0], mine[1]


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    port: int,
    ready: str,
    env: Mapping[str, str],
    pinned: bool = True,
) -> Iterator[Running]:
    """Run a server for as long as the block lasts.

    :param ready: path that answers below 500 once it serves.
    :param pinned: whether it has one core to itself; else it takes what it finds.
    :raises BenchFailedError: if it does not answer in time; the end of its log is in the message.
    """
    log = folder / f"{name}.log"
    pin = ["taskset", "-c", str(cores()[0])] if pinned else []
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*pin, *command],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **ONE_THREAD, **env},
            start_new_session=True,
        )
    running = Running(address=f"http://127.0.0.1:{port}", pid=process.pid, log=log)
    try:
        _wait_for(name, running, process, ready)
        yield running
    finally:
        end(process)


def _wait_for(name: str, running: Running, process: subprocess.Popen[bytes], ready: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(running.address + ready, timeout=5):  # noqa: S310 - made above
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise BenchFailedError(f"{name} did not answer within {START_SECONDS:g} s:\n{running.tail()}")


def ask(address: str, questions: Questions, body: bytes) -> bytes:
    """Return one answer.

    :raises BenchFailedError: if it is none.
    """
    headers = {"Content-Type": "application/json", **questions.headers}
    request = urllib.request.Request(address + questions.path, body, headers)  # noqa: S310 - made above
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - made above
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise BenchFailedError(f"{address} answered {error.code}: {error.read()[:1000]!r}") from None
    except OSError as error:
        raise BenchFailedError(f"{address} gave no answer: {error}") from None


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started, by their ids."""
    family = [process.pid, *descendants(process.pid)]
    if process.poll() is None:
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for pid in family:
        if pid == process.pid or _parent(pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> list[int]:
    """Return the processes below one, at any depth."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        parent = _parent(int(folder.name))
        if parent is not None:
            parents.setdefault(parent, []).append(int(folder.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _parent(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[1])


def _weigh(pid: int) -> tuple[float, float] | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kib = {name.rstrip(":"): float(rest[0]) for name, *rest in map(str.split, lines) if rest[1:] == ["kB"]}
    return (kib["Rss"] / 1024, kib["Pss"] / 1024) if "Rss" in kib else None


def busy_elsewhere() -> float:
    """Return how many processors others keep busy, looking on for a second: what disturbs the numbers."""
    before, hertz = _busy_ticks(), os.sysconf("SC_CLK_TCK")
    time.sleep(1.0)
    return (_busy_ticks() - before) / hertz


def _busy_ticks() -> int:
    first = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    user, nice, system, _idle, _waiting, *rest = map(int, first)
    return user + nice + system + sum(rest)
