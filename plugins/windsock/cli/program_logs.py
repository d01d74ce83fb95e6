"""``ProgramLogs``: the supervisor's side of the logs of its programs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from windsock.cli import log_writer
from windsock.private_files import opener, rights

SECONDS = 10.0
"""How long the log writer may take to answer, or to end."""


class ProgramLogs:
    """Gives programs a pipe each, and lets a process of its own write what comes to ``NAME.log``.

    :param folder: of the logs.
    :param most: bytes after which a log is full.
    :param keep: how many full ones are kept of each.
    """

    def __init__(
        self, folder: Path, *, most: int = log_writer.MOST_BYTES, keep: int = log_writer.KEPT
    ) -> None:
        self.folder, self.most, self.keep = folder, most, keep
        self._pipes: list[tuple[Path, int]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def file(self, name: str) -> Path:
        """Return a program's log file."""
        return self.folder / f"{name}.log"

    def begin(self, name: str) -> None:
        """Put a program's log of before aside: the new one begins empty."""
        log_writer.shift(self.file(name), self.keep)

    @contextlib.contextmanager
    def output(self, name: str) -> Iterator[int]:
        """Give the end of a pipe for a program to write to; closed here afterwards, the program keeps it."""
        file = self.file(name)
        with open(file, "ab", opener=opener):
            pass  # it is there, with its rights, before anybody looks for it
        reading, writing = os.pipe()
        try:
            self.watch()
            self._pipes.append((file, reading))
            self._ask(file, reading)
            yield writing
        finally:
            os.close(writing)

    def watch(self) -> None:
        """Start the log writer, or start it again where it was killed: the pipes hold what came meanwhile."""
        if self._process is not None and self._process.poll() is None:
            return
        self._close_control()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", log_writer.__file__],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                umask=rights().umask,
            )
        ours.settimeout(SECONDS)
        self._control = ours
        for file, reading in self._pipes:
            self._ask(file, reading)

    def flush(self) -> None:
        """See that what programs have written is in their files."""
        with contextlib.suppress(OSError):
            if self._control is not None:
                self._send({"file": log_writer.FLUSH})

    def close(self) -> None:
        """End the log writer, once it has written what is left; the programs must have ended."""
        self._close_control()
        for _, reading in self._pipes:
            os.close(reading)
        self._pipes.clear()
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=SECONDS)

    def _ask(self, file: Path, reading: int) -> None:
        with contextlib.suppress(OSError):  # it was killed just now: watch() hands the pipe over again
            self._send({"file": str(file), "most": self.most, "keep": self.keep}, reading)

    def _send(self, message: dict[str, object], *pipes: int) -> None:
        if self._control is None:
            return
        socket.send_fds(self._control, [json.dumps(message).encode()], pipes)
        self._control.recv(len(log_writer.ANSWER))

    def _close_control(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            control.close()
