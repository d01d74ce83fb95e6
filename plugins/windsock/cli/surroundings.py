"""What a command works with: the settings and ports of this environment, and files that are written whole."""

from __future__ import annotations

import getpass
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import typer

from windsock.adapters.connections import connections_of
from windsock.exceptions import SettingsError, StorageError, TransportError, WindsockError
from windsock.settings import Settings

if TYPE_CHECKING:
    from windsock.ports import Ports


REFUSED = 1
"""A verdict says no, or the input is bad."""
UNANSWERED = 3
"""A system did not answer."""


def open_ports(settings: Settings) -> Ports:
    """Return the outside world, with SQL connections from ``AIRFLOW_CONN_<ID>``; nothing is contacted yet."""
    from windsock.adapters.build import build_ports

    return build_ports(settings, connections=connections_of(os.environ))


def open_standing_ports(settings: Settings) -> Ports:
    """Return the outside world of an installation that has run; nothing is made where there is none.

    :raises SettingsError: if its control database is a file that does not exist.
    """
    file = Path(settings.database_url.removeprefix("sqlite:///"))
    if settings.database_url.startswith("sqlite:///") and not file.exists():
        raise SettingsError(
            f"no Windsock installation is at {settings.home}: {file} does not exist",
            code="WS-SETTINGS-009",
            next_action="Go to the project's folder, or set WINDSOCK_HOME (or WINDSOCK_DATABASE_URL).",
        )
    return open_ports(settings)


def user() -> str:
    """Return who runs the command, as the ledger names it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"


def exit_code(error: WindsockError) -> int:
    """Return the exit code of a command that ends with this error."""
    return UNANSWERED if isinstance(error, TransportError) else REFUSED


def complain(error: WindsockError) -> None:
    """Print one of several errors; what to do next only where it is not the same for all of its kind."""
    typer.echo(f"error: {error.code}: {error.message}", err=True)
    if error.next_action != error.default_next:
        typer.echo(f"next: {error.next_action}", err=True)


def write_whole(file: Path, content: bytes, *, replace: bool) -> None:
    """Write a file under a temporary name, then give it its own: it is there whole or not at all.

    :param replace: whether a file that is there already may be replaced.
    :raises SettingsError: if it is there and may not be replaced.
    :raises StorageError: if it cannot be written.
    """
    temporary = file.with_name(f".{file.name[:100]}.{uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(file)
        else:
            os.link(temporary, file)  # unlike a rename it never replaces
    except FileExistsError as error:
        raise already_there(file) from error
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror or type(error).__name__}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def already_there(file: Path) -> SettingsError:
    """Return the error for a file that is not to be replaced."""
    return SettingsError(
        f"{file} is there already",
        code="WS-SETTINGS-005",
        next_action="Name another file with --output, or replace it with --force.",
    )


@contextmanager
def findings_on_stderr() -> Iterator[None]:
    """Show what the steps find, one line each; libraries stay silent below warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    ours = logging.getLogger("windsock")
    before = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(before)
