"""Writes what programs print into files that are bounded in size; run as a file, it is a process of its own.

A program holds its output for as long as it lives, so a file that it wrote itself could only be cut while
lines come in, and some would be lost. So each program writes into a pipe, and this process, which outlives
the supervisor, moves what comes to the program's file. A file that is full becomes ``NAME.log.1``, the one
before ``NAME.log.2``, and so on; a line is never split between two. What a full disk does not take is
counted, and said as soon as it takes something again: a program never waits for it.

The standard library only: the supervisor starts this file without site-packages.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path

MOST_BYTES = 32 * 1024**2
"""How large a log may grow before the next one is begun."""
KEPT = 4
"""How many full ones are kept beside it."""
CHUNK = 64 * 1024
FLUSH = "flush"
ANSWER = b"\n"


def shift(file: Path, keep: int = KEPT) -> None:
    """Make room for a new log: ``NAME.log`` becomes ``NAME.log.1``, and so on; the oldest one goes."""
    for number in range(keep, 0, -1):
        earlier = numbered(file, number - 1)
        if earlier.exists():
            earlier.replace(numbered(file, number))


def numbered(file: Path, number: int) -> Path:
    """Return where the log lies that was full so many times ago; 0: the one that is written."""
    return file.with_name(f"{file.name}.{number}") if number else file


class RotatingLog:
    """One program's log.

    :param file: where it lies.
    :param most: bytes after which the next one is begun, at the end of a line.
    :param keep: how many full ones are kept.
    """

    def __init__(self, file: Path, *, most: int = MOST_BYTES, keep: int = KEPT) -> None:
        self.file, self.most, self.keep = file, most, keep
        self._open: int | None = None
        self._size = 0
        self._lost = 0
        self._in_line = False

    def write(self, content: bytes) -> None:
        """Append, and begin the next file where this one is full. It never raises."""
        try:
            self._write(content)
        except OSError:
            self._lost += len(content)
            self.close()

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._open is not None:
            os.close(self._open)
            self._open = None

    def _write(self, content: bytes) -> None:
        if self._lost:
            told = f"[{self._lost} bytes of this log are lost: they could not be written]\n".encode()
            self._append(told)
            self._lost = 0
        while content:
            end = content.find(b"\n", max(self.most - self._size, 1) - 1) + 1
            part = content[:end] if end else content
            self._append(part)
            content = content[len(part) :]
            if self._size >= (2 * self.most if self._in_line else self.most):
                self.close()
                shift(self.file, self.keep)

    def _append(self, content: bytes) -> None:
        if self._open is None:
            self._open = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._size = os.fstat(self._open).st_size
        view = memoryview(content)
        while view:
            written = os.write(self._open, view)
            self._size += written
            self._in_line = view[written - 1] != ord("\n")
            view = view[written:]


class LogWriter:
    """Moves what comes out of pipes to their files, until the supervisor and all programs are gone.

    :param control: requests come in here, each with one pipe or none, and are answered one by one.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ)

    def run(self) -> None:
        """Work until nobody can write any more."""
        while self.selector.get_map():
            for key, _ in self.selector.select():
                if key.fileobj is self.control:
                    self._request()
                elif key.fileobj in self.selector.get_map():
                    self._move(key)

    def _request(self) -> None:
        message, pipes, *_ = socket.recv_fds(self.control, CHUNK, 1)
        if not message:
            self.selector.unregister(self.control)
            self.control.close()
            return
        asked = json.loads(message)
        if pipes:
            os.set_blocking(pipes[0], False)
            log = RotatingLog(Path(asked["file"]), most=asked["most"], keep=asked["keep"])
            self.selector.register(pipes[0], selectors.EVENT_READ, log)
        elif asked["file"] == FLUSH:
            for key in list(self.selector.get_map().values()):
                while key.fileobj is not self.control and self._move(key):
                    pass
        self.control.send(ANSWER)

    def _move(self, key: selectors.SelectorKey) -> bool:
        """Move what is in a pipe now; return whether there was anything."""
        try:
            content = os.read(key.fd, CHUNK)
        except BlockingIOError:
            return False
        if content:
            key.data.write(content)
            return True
        self.selector.unregister(key.fd)
        os.close(key.fd)
        key.data.close()
        return False


def main() -> None:
    """Serve the supervisor at the other end of standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as control:
        os.close(sys.stdin.fileno())
        LogWriter(control).run()


if __name__ == "__main__":
    main()
