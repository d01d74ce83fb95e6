"""Where an installation is: its home, its project, and what a stack that runs there wrote down about itself.

One resolution for every command: an explicit option, else an environment variable, else the note of the stack
that runs in the home, else a default. The note of a stack that has ended decides nothing; it only helps an
error to say what was there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

NOTE = "stack.json"
HOME = "WINDSOCK_HOME"
MODELS = "WINDSOCK_MODELS_DIR"
ROOTS = "WINDSOCK_SOURCE_ROOTS"
SERVER = "WINDSOCK_SERVER_URL"
ADMIN = "WINDSOCK_ADMIN_URL"
TRACKING = "WINDSOCK_TRACKING_URI"
ADDRESSES = (SERVER, ADMIN, TRACKING)
NOTED = (
    *ADDRESSES,
    MODELS,
    ROOTS,
    "WINDSOCK_DATABASE_URL",
    "WINDSOCK_STORAGE_URL",
    "WINDSOCK_CLIENTS_FILE",
    "WINDSOCK_COUNTER",
    "WINDSOCK_MINIMUM_FREE_MB",
)
"""The variables of a stack's programs that other commands need to find what these use."""
OWN_FOLDERS = ("dags", "include")
"""A folder that has these is a project."""
_LOCAL = re.compile(r"http://127\.0\.0\.1:\d{1,5}")


@dataclass(frozen=True, kw_only=True)
class StackNote:
    """What a stack wrote into its home when it started.

    :param home: the folder that the note lies in.
    :param pid: process of ``windsock up`` or ``windsock demo``.
    :param begun: when that process began, as the system counts it; empty where the system does not say.
    :param command: ``up`` or ``demo``.
    :param project: the project folder.
    :param airflow_url: where Airflow answers.
    :param ports: where its programs listen, by name.
    :param variables: what its programs were started with, of :data:`NOTED`.
    :param hidden: names of those whose value holds a password and is not written down.
    :param ended_at: when it ended, as UTC time; empty while it runs, and after a crash.
    """

    home: Path
    stack_id: str = ""
    pid: int = 0
    begun: str = ""
    command: str = "up"
    project: str = ""
    airflow_url: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    ended_at: str = ""

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """Return the note of a home; ``None`` where there is none that may be believed.

        It names addresses to which the admin token is sent: whoever may write it must be allowed to read that
        token, and only addresses of this machine count.
        """
        file = home / NOTE
        try:
            if not _is_trusted(file, home / "keys"):
                return None
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            given = {str(name): str(value) for name, value in dict(content.get("variables", {})).items()}
            return cls(
                home=home,
                stack_id=str(content["stack_id"]),
                pid=int(content["pid"]),
                begun=str(content.get("begun", "")),
                command=str(content.get("command", "up")),
                project=str(content.get("project", "")),
                airflow_url=_local(str(content.get("airflow_url", ""))),
                ports={str(name): int(port) for name, port in dict(content.get("ports", {})).items()},
                variables={name: value for name, value in given.items() if _is_usable(name, value)},
                hidden=tuple(map(str, content.get("hidden", ()))),
                ended_at=str(content.get("ended_at", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @property
    def runs(self) -> bool:
        """Whether the stack runs now; it may still be starting."""
        if self.ended_at or self.pid <= 0:
            return False
        return process_start(self.pid) == self.begun if self.begun else _is_alive(self.pid)

    def log_of(self, part: str) -> Path:
        """Return the log of one of its programs."""
        return self.home / "logs" / f"{part}.log"


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a command works.

    :param home: Windsock's folder.
    :param home_from: what named it: an option, a variable, or the default.
    :param project: the folder with ``dags`` and ``include``.
    :param note: what a stack wrote down there.
    """

    home: Path
    home_from: str
    project: Path
    note: StackNote | None = None

    @property
    def stack(self) -> StackNote | None:
        """The stack that runs there now, if one does."""
        return self.note if self.note is not None and self.note.runs else None


def locate(
    environment: Mapping[str, str] | None = None, *, home: Path | None = None, project: Path | None = None
) -> Location:
    """Return where a command works; nothing is created and nothing is contacted.

    The home is ``--home``, else ``WINDSOCK_HOME``, else ``AIRFLOW_HOME/windsock``, else ``.windsock`` of the
    project: of the nearest folder from the working folder upwards that has ``dags`` and ``include``.

    :param environment: default: ``os.environ``.
    :param home: what ``--home`` says.
    :param project: what ``--project`` says.
    """
    env = os.environ if environment is None else environment
    found = project.expanduser().absolute() if project else project_above(Path.cwd())
    named = found or Path.cwd()
    if home is not None:
        chosen, source = home, "--home"
    elif env.get(HOME):
        chosen, source = Path(env[HOME]), HOME
    elif env.get("AIRFLOW_HOME"):
        chosen, source = Path(env["AIRFLOW_HOME"]) / "windsock", "AIRFLOW_HOME"
    else:
        chosen, source = named / ".windsock", "the project folder" if found else "the working folder"
    chosen = chosen.expanduser().absolute()
    note = StackNote.read(chosen)
    if found is None and note is not None and note.project and Path(note.project).is_dir():
        named = Path(note.project)
    return Location(home=chosen, home_from=source, project=named, note=note)


def with_stack(
    environment: Mapping[str, str], location: Location, *, editing: bool = False
) -> tuple[dict[str, str], frozenset[str]]:
    """Return the environment with what the stack that runs there was started with, where it says nothing.

    :param editing: model files are to be written or checked: the copies that a demo works on do not count.
    :returns: also the names of the variables that are the stack's.
    """
    given = {name: value for name, value in environment.items() if value}
    stack = location.stack
    if stack is None:
        return given, frozenset()
    added = {name: value for name, value in stack.variables.items() if name not in given}
    if editing and stack.command == "demo":
        added = {name: value for name, value in added.items() if name not in (MODELS, ROOTS)}
    if given.get(SERVER, "").rstrip("/") not in ("", stack.variables.get(SERVER)):
        added.pop(ADMIN, None)  # the private listener of the stack is another server's
    return {**given, **added}, frozenset(added)


def when_down(home: Path, part: str, otherwise: str, *, address: str = "") -> str:
    """Return what to do where something does not answer: the log to read while a stack runs there.

    :param part: name of the program, as its log has it.
    :param otherwise: what to do where no stack runs.
    :param address: of what does not answer; one that is not the stack's is none of it.
    """
    note = StackNote.read(home)
    if note is None or not note.runs:
        return otherwise
    if address and address.rstrip("/") not in (note.airflow_url, *note.variables.values()):
        return (
            f"The stack that runs in {home} has other addresses: unset the variable or connection that names "
            f"this one, or see that it is up."
        )
    return (
        f"The stack in {home} runs (process {note.pid}), but its {part} does not answer: read "
        f"{note.log_of(part)}, fix the cause, then run this again."
    )


def project_above(folder: Path) -> Path | None:
    """Return the nearest folder, from this one upwards, that is a project; ``None``: none is.

    A folder above counts only if it is this user's, root's, or of the owner of the folder at which the search
    begins: anybody may make folders in one that all may write to.
    """
    try:
        owners = {os.geteuid(), 0, folder.stat().st_uid}
    except OSError:
        return None
    for one in (folder, *folder.parents):
        try:
            if all((one / name).is_dir() for name in OWN_FOLDERS) and one.stat().st_uid in owners:
                return one
        except OSError:
            continue
    return None


def process_start(pid: int) -> str:
    """Return when a process began, as the system counts it; empty: there is none, or nobody can tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def holds_secret(value: str) -> bool:
    """Return whether a URL may hold a password, in its login or its query."""
    try:
        parts = urlsplit(value)
        return parts.password is not None or bool(parts.query)
    except ValueError:
        return True


def _is_trusted(file: Path, keys: Path) -> bool:
    status = file.stat()
    owners = {os.geteuid(), 0}
    if keys.exists():
        owners.add(keys.stat().st_uid)
    return status.st_uid in owners and not status.st_mode & 0o022


def _is_usable(name: str, value: str) -> bool:
    return name in NOTED and bool(value) and (name not in ADDRESSES or bool(_LOCAL.fullmatch(value)))


def _local(address: str) -> str:
    return address if _LOCAL.fullmatch(address) else ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
