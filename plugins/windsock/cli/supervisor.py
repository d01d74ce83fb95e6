"""``Supervisor``: starts the parts of a stack, watches them, and leaves none of them behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self
from uuid import uuid4

from windsock.cli import processes
from windsock.cli.log_writer import MOST_BYTES
from windsock.cli.program_logs import ProgramLogs
from windsock.exceptions import WindsockError
from windsock.private_files import make_folder, rights
from windsock.texts import one_line, shortened

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOST_RESTARTS = 3
STEADY_SECONDS = 600.0
"""A part that has run so long is well: what ended it before counts no more."""
TAIL_LINES = 20
TAIL_BYTES = 64 * 1024
ERROR_LINES = 100
"""Last lines of a log in which the error of a part that ended is looked for."""
AN_ERROR = re.compile(r"(\w*(Error|Exception)\b.*:|^(error|fatal|ERROR|FATAL)\b)")
SHOWN_ERROR = 300
PROGRESS_SECONDS = 10.0
ASKED = ".restart-"
"""How the file begins that says that a person had a part ended."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

Say = Callable[[str], None]


class PartFailedError(WindsockError):
    """A part of the stack ended, or did not come up in time."""

    default_code = "WS-CORE-020"
    default_next = "Read the named log, mend the cause and start again."


class StopSignalError(Exception):
    """The user asked to stop; everything is ended on the way out.

    :param number: the signal, such as SIGINT.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that a signal ended."""
        return 128 + self.number


@dataclass(frozen=True, kw_only=True)
class Part:
    """One long-lived process of the stack.

    :param name: name in messages, and of its log file.
    :param command: program and arguments.
    :param environment: the whole environment of the process.
    :param folder: where it runs.
    :param ready: says whether it answers; asked until it does.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    ready: Callable[[], bool]


@dataclass(kw_only=True)
class _Running:
    part: Part
    process: subprocess.Popen[bytes]
    restarts: int = 0
    came_up: bool = False
    begun: float = field(default_factory=time.monotonic)


@dataclass(kw_only=True)
class Supervisor:
    """Keeps a stack's processes; used as a context manager, on whose exit every one of them is gone.

    :param logs: folder of the log files, ``NAME.log`` each; the one of the start before, or the full one, is
        ``NAME.log.1``.
    :param say: takes each line for the user.
    :param handle_signals: whether SIGINT, SIGTERM and SIGHUP ask the stack to stop (main thread only).
    :param grace: seconds between asking the processes to end and killing them.
    :param log_bytes: bytes after which a log is full.
    """

    logs: Path
    say: Say
    handle_signals: bool = True
    grace: float = processes.GRACE_SECONDS
    log_bytes: int = MOST_BYTES
    stack_id: str = field(default_factory=lambda: uuid4().hex)
    _running: dict[str, _Running] = field(default_factory=dict, init=False)
    _signals: list[int] = field(default_factory=list, init=False)
    _previous: dict[int, Any] = field(default_factory=dict, init=False)
    _watchdog: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _written: ProgramLogs = field(init=False)

    def __post_init__(self) -> None:
        self._written = ProgramLogs(self.logs, most=self.log_bytes)

    def __enter__(self) -> Self:
        make_folder(self.logs)
        for left in self.logs.glob(f"{ASKED}*"):  # of a command that was killed: it excuses no end now
            left.unlink(missing_ok=True)
        if self.handle_signals:
            self._previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
            if self._previous[signal.SIGHUP] is signal.SIG_IGN:  # nohup: meant to outlive the terminal
                del self._previous[signal.SIGHUP]
            for number in self._previous:
                signal.signal(number, self._on_signal)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", processes.__file__, self.stack_id, str(self.grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts that were started."""
        return tuple(self._running)

    def log_file(self, name: str) -> Path:
        """Return a part's log file."""
        return self._written.file(name)

    def tail(self, name: str, lines: int = TAIL_LINES) -> list[str]:
        """Return the last lines of a part's log, without colours."""
        self._written.flush()
        try:
            with self.log_file(name).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return ANSI.sub("", text).splitlines()[-lines:]

    def start(self, part: Part) -> None:
        """Start a part; it is not waited for.

        :raises PartFailedError: if the program cannot be started at all.
        """
        self._written.begin(part.name)
        self._running[part.name] = _Running(part=part, process=self._spawn(part))

    def _spawn(self, part: Part) -> subprocess.Popen[bytes]:
        with self._written.output(part.name) as log:
            try:
                return subprocess.Popen(
                    part.command,
                    cwd=part.folder,
                    # SPT_NOENV: programs that rename themselves leave /proc/PID/environ as it is
                    env={
                        **part.environment,
                        processes.MARKER: self.stack_id,
                        processes.PART_MARKER: part.name,
                        "SPT_NOENV": "1",
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    umask=rights().umask,
                )
            except OSError as error:
                raise PartFailedError(
                    f"{part.name} cannot be started: {part.command[0]} ({type(error).__name__})"
                ) from error

    def run(self, part: Part, *, timeout: float) -> None:
        """Run a part that ends by itself, such as a migration, to its end.

        :param timeout: seconds it may take.
        :raises PartFailedError: if it ends with an exit code, or not in time.
        :raises StopSignalError: if the user asked to stop meanwhile.
        """
        self.start(part)
        process = self._running.pop(part.name).process
        deadline = time.monotonic() + timeout
        try:
            while (code := process.poll()) is None:
                self.check()
                if time.monotonic() > deadline:
                    raise self._failed(part.name, f"did not end within {timeout:.0f} s")
                time.sleep(processes.POLL_SECONDS)
        finally:
            _end(process)
        if code != 0:
            raise self._failed(part.name, f"ended with exit code {code}")

    def wait_ready(self, *, timeout: float) -> None:
        """Wait until every started part answers, saying now and then which ones are waited for.

        :param timeout: seconds for all of them together.
        :raises PartFailedError: if one ends, or does not answer in time; its last error is named.
        :raises StopSignalError: if the user asked to stop meanwhile.
        """
        begun = said = time.monotonic()
        while True:
            self.check()
            waiting = [running for running in self._running.values() if not running.came_up]
            for running in waiting:
                running.came_up = running.part.ready()
            missing = [running.part.name for running in waiting if not running.came_up]
            if not missing:
                return
            now = time.monotonic()
            if now - begun > timeout:
                raise self._failed(missing[0], f"did not answer within {timeout:.0f} s")
            if now - said >= PROGRESS_SECONDS:
                said = now
                self.say(f"  waiting for {', '.join(missing)} ({now - begun:.0f} s)")
            time.sleep(processes.POLL_SECONDS)

    def check(self) -> None:
        """Restart what has ended, and learn whether the user asked to stop.

        :raises StopSignalError: if the user did.
        :raises PartFailedError: if a part ended before it ever answered, or has been restarted too often.
        """
        if self._signals:
            raise StopSignalError(self._signals[0])
        self._written.watch()
        for running in self._running.values():
            if (code := running.process.poll()) is not None:
                self._restart(running, code)

    def _restart(self, running: _Running, code: int) -> None:
        name = running.part.name
        if not running.came_up:
            raise self._failed(name, f"ended with exit code {code} before it answered")
        if self._was_asked(name):
            self.say(f"{name} is started again, as `windsock stack restart` asked")
        else:
            self._count(running, code)
        processes.stop_marked(self.stack_id, name, grace=1.0)
        running.process, running.begun = self._spawn(running.part), time.monotonic()

    def _was_asked(self, name: str) -> bool:
        """Return whether a person had the part ended; such an end does not count."""
        try:
            asked_restart(self.logs, name).unlink()
        except OSError:
            return False
        return True

    def _count(self, running: _Running, code: int) -> None:
        """Count an end.

        :raises PartFailedError: if there were too many.
        """
        name = running.part.name
        if time.monotonic() - running.begun >= STEADY_SECONDS:
            running.restarts = 0
        if running.restarts >= MOST_RESTARTS:
            raise self._failed(name, f"ended with exit code {code} after {MOST_RESTARTS} restarts")
        running.restarts += 1
        count = f"restart {running.restarts} of {MOST_RESTARTS}"
        self.say(f"{name} ended with exit code {code}; {count}{self._last_error(name)}")

    def _failed(self, name: str, what: str) -> PartFailedError:
        return PartFailedError(
            f"{name} {what}{self._last_error(name)}.",
            next_action=f"Read {self.log_file(name)}, mend the cause and start again.",
        )

    def _last_error(self, name: str) -> str:
        """Return the last error that a part's log names, as the end of a sentence; empty: it names none."""
        lines = map(one_line, reversed(self.tail(name, ERROR_LINES)))
        found = next((line for line in lines if AN_ERROR.search(line)), "")
        return f": {shortened(found, SHOWN_ERROR)}".rstrip(". ") if found else ""

    def watch(self) -> None:
        """Keep the parts alive until the user asks to stop.

        :raises StopSignalError: always, in the end, unless a part fails for good.
        :raises PartFailedError: if one does.
        """
        while True:
            self.check()
            time.sleep(processes.POLL_SECONDS)

    def pause(self, seconds: float) -> None:
        """Sleep, but notice a signal or a dead part at once.

        :raises StopSignalError: if the user asked to stop.
        :raises PartFailedError: if a part failed for good.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            rest = deadline - time.monotonic()
            if rest <= 0:
                return
            time.sleep(min(rest, processes.POLL_SECONDS))

    def stop(self) -> None:
        """End every process of the stack and see that none is left; a second signal ends the waiting.

        :raises PartFailedError: if a process could not be ended.
        """
        signals_before = len(self._signals)
        children = [running.process for running in self._running.values()]
        groups = {process.pid for process in children if process.poll() is None}
        asked = [pid for pid in processes.marked_processes(self.stack_id) if _group_of(pid) in groups]
        for process in children:
            if process.pid in groups:
                _signal_group(process, signal.SIGTERM)
        left = processes.stop_marked(
            self.stack_id,
            asked=asked,
            grace=self.grace,
            reap=lambda: _reap(children),
            hurry=lambda: len(self._signals) > signals_before,
        )
        for process in children:
            _end(process, grace=self.grace)
        self._running.clear()
        self._written.close()
        self._end_watchdog()
        if left:
            raise PartFailedError(
                f"{len(left)} process(es) could not be ended: {', '.join(map(str, left))}.",
                next_action="End them by hand with kill -9.",
            )

    def _end_watchdog(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is None:
            return
        if watchdog.stdin:
            watchdog.stdin.close()
        watchdog.wait(timeout=10)


def asked_restart(logs: Path, name: str) -> Path:
    """Return the file that says that a person had a part ended.

    :param logs: folder of the stack's logs.
    """
    return logs / f"{ASKED}{name}"


def _reap(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in children:
        process.poll()


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _end(process: subprocess.Popen[bytes], *, grace: float = 0.0) -> None:
    """Wait for a direct child, and kill its group if it does not end in time."""
    try:
        process.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL)
        process.wait(timeout=10)
