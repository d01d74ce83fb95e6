"""What a command prints: lost output is an error, a reader that goes away is none; JSON for programs."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import IO, Annotated, Any

import typer
from pydantic import BaseModel

BROKEN_PIPE = 128 + signal.SIGPIPE
"""Exit code of a command whose reader went away before all was written, as a shell expects it."""
LOST_OUTPUT = 3
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout, and nothing else; errors stay on stderr.")
]


class CheckedOutput:
    """A text stream that remembers that it could not be written, and lets the command go on.

    What a command has begun, such as a roll back or processes that must be ended, is finished first.

    :param stream: ``None``: it is closed.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self.stream = stream
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        """Write, unless an earlier write failed."""
        if self.fault is None:
            try:
                if self.stream is None:
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
                self.stream.write(text)
            except OSError as error:
                self.fault = error
        return len(text)

    def flush(self) -> None:
        """Hand over what was written, unless an earlier write failed."""
        if self.fault is None and self.stream is not None:
            try:
                self.stream.flush()
            except OSError as error:
                self.fault = error

    def isatty(self) -> bool:
        """Return whether people read it."""
        return self.stream is not None and self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def give_up(self) -> None:
        """Lead what the failed stream still holds to nowhere: the interpreter would try again at its end."""
        real = sys.__stdout__
        if real is None or self.stream is not real:
            return
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, real.fileno())
            os.close(nowhere)


@contextmanager
def checked_output() -> Iterator[CheckedOutput]:
    """Put a stream that remembers its faults in place of stdout."""
    before = sys.stdout
    output = CheckedOutput(before)
    stream: Any = output
    sys.stdout = stream
    try:
        yield output
    finally:
        sys.stdout = before


def end_output(output: CheckedOutput, code: int) -> int:
    """Return the exit code of a command whose output is what it is; what was lost is said on stderr.

    :param code: what the command itself ended with.
    """
    output.flush()
    if output.fault is None:
        return code
    output.give_up()
    if output.fault.errno == errno.EPIPE:
        return code or BROKEN_PIPE
    why = output.fault.strerror or type(output.fault).__name__
    with suppress(OSError):
        typer.echo(
            f"error: WS-SETTINGS-023: the output could not be written whole ({why}); the command itself "
            f"ended with {code}\n"
            "next: Free space, or write the output elsewhere; what was written of it is incomplete.",
            err=True,
        )
    return code or LOST_OUTPUT


def print_json(value: Any) -> None:
    """Print a value as JSON in ASCII: records, times and paths as text, what is no finite number as null."""
    print(json.dumps(plain(value), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Return a value in JSON's own types."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return _plain_other(value)


def _plain_other(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return str(getattr(value, "value", value))
