"""What a command works with: the settings and ports of this environment, and files that are written whole."""

from __future__ import annotations

import getpass
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from windsock.adapters.connections import connections_of
from windsock.exceptions import SettingsError, StorageError, TransportError, WindsockError
from windsock.locations import Location, StackNote, locate
from windsock.settings import Settings

if TYPE_CHECKING:
    from windsock.ports import Ports


REFUSED = 1
"""A verdict says no, or the input is bad."""
UNANSWERED = 3
"""A system did not answer."""


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="The installation's folder; default: WINDSOCK_HOME, AIRFLOW_HOME/windsock, or .windsock of the "
        "project.",
    ),
]
_home: ContextVar[Path | None] = ContextVar("home", default=None)


@contextmanager
def home_chosen(home: Path | None) -> Iterator[None]:
    """Let the commands of this block work in a home; ``None``: in the one that is chosen already."""
    mark = _home.set(home or _home.get())
    try:
        yield
    finally:
        _home.reset(mark)


def choose_home(home: Path | None) -> None:
    """Let what follows in this block of :func:`home_chosen` work in a home."""
    if home is not None:
        _home.set(home)


def with_home(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--home``, unless it has one."""
    known = signature(command, eval_str=True)
    if "home" in known.parameters:
        return command

    @wraps(command)
    def chosen(*given: Any, home: Path | None = None, **named: Any) -> Any:
        choose_home(home)
        return command(*given, **named)

    option = Parameter("home", Parameter.KEYWORD_ONLY, default=None, annotation=HomeOption)
    chosen.__signature__ = known.replace(parameters=[*known.parameters.values(), option])  # type: ignore[attr-defined]
    chosen.__annotations__ = {**command.__annotations__, "home": HomeOption}
    return chosen


def installation(*, editing: bool = False) -> Settings:
    """Return the settings of the installation that the command is about.

    :param editing: model files are to be written or checked, not the copies that a demo works on.
    :raises SettingsError: if a variable cannot be used.
    """
    return Settings.from_environment(home=_home.get(), editing=editing)


def location(*, home: Path | None = None, project: Path | None = None) -> Location:
    """Return where the command works.

    :param home: what the command's own ``--home`` says.
    :param project: what ``--project`` says.
    """
    return locate(home=home or _home.get(), project=project)


def open_ports(settings: Settings) -> Ports:
    """Return the outside world, with SQL connections from ``AIRFLOW_CONN_<ID>``; nothing is contacted yet.

    :raises SettingsError: if the stack that runs there uses what this process cannot know.
    """
    from windsock.adapters.build import build_ports

    if settings.lacking:
        raise SettingsError(
            f"the stack that runs in {settings.home} was started with {', '.join(settings.lacking)}, which"
            " holds a password and is written nowhere; this process does not have it",
            code="WS-SETTINGS-024",
            next_action=f"Set {' and '.join(settings.lacking)} to the same value, then run it again.",
        )
    return build_ports(settings, connections=connections_of(os.environ))


def open_standing_ports(settings: Settings) -> Ports:
    """Return the outside world of an installation that has run; nothing is made where there is none.

    :raises SettingsError: if its control database is a file that does not exist.
    """
    if not is_installed(settings):
        raise not_installed(settings)
    return open_ports(settings)


def is_installed(settings: Settings) -> bool:
    """Return whether an installation may have run there: its database is no file, or one that exists."""
    return (file := _database_file(settings)) is None or file.exists()


def not_installed(settings: Settings) -> SettingsError:
    """Return the refusal of a place where no installation has run."""
    note = StackNote.read(settings.home)
    if note is not None and note.runs:
        return SettingsError(
            f"nothing has run yet in the stack of {settings.home}: {_database_file(settings)} does not exist",
            code="WS-SETTINGS-009",
            next_action=f"Run a model's retrain DAG at {note.airflow_url}: its first step makes it.",
        )
    return SettingsError(
        f"no Windsock installation is at {settings.home} (named by {settings.home_from or 'an option'}): "
        f"{_database_file(settings)} does not exist",
        code="WS-SETTINGS-009",
        next_action="Go to the project's folder, or name the home with --home or WINDSOCK_HOME (or its "
        "database with WINDSOCK_DATABASE_URL).",
    )


@contextmanager
def planning_ports(settings: Settings, open_them: Callable[[Settings], Ports]) -> Iterator[Ports]:
    """Give the outside world to a command that only reads, also where no installation has run.

    There it is an empty one that is gone afterwards, so that nothing is made in a folder that was not meant.

    :param open_them: opens the ports of an installation.
    """
    if is_installed(settings):
        yield open_them(settings)
        return
    with TemporaryDirectory(prefix="windsock-") as folder:
        home = Path(folder)
        file = home / "control.db"
        file.touch(mode=0o600)
        yield open_them(
            settings.replace(home=home, database_url=f"sqlite:///{file}", storage_url=str(home / "storage"))
        )


def _database_file(settings: Settings) -> Path | None:
    url = settings.database_url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


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
        typer.echo(f"next: {error.next_by_hand}", err=True)


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
