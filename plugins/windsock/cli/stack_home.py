"""A stack's home folder: held by one stack at a time, with the passwords of Airflow's users."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from windsock.cli import processes
from windsock.exceptions import SettingsError, StorageError
from windsock.locations import NOTE, process_start
from windsock.private_files import make_file, make_folder, opener, tighten

PASSWORDS = "simple_auth_manager_passwords.json.generated"
"""The passwords of Airflow's users, in Airflow's home."""
OWN = frozenset(
    {"airflow", "control", "demo", "logs", "mlartifacts", "mlflow", "serving", "stack", "storage"}
)
"""First words of what a stack writes to its home, beside its keys."""


@contextmanager
def own_home(home: Path, stack_id: str, facts: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Hold a home for one stack, after ending what an earlier one may have left in it.

    The note that it leaves there (:class:`windsock.locations.StackNote`) is its owner's alone, also where a
    group may read the rest. It says when the stack ended, so that nobody takes it for one that runs.

    :param facts: what other commands need to find the stack's programs.
    :raises SettingsError: if another stack holds it.
    """
    note = home / NOTE
    with open(home / "stack.lock", "a", opener=opener) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingsError(
                f"a stack runs in {home} already (process {_noted(note, 'pid') or 'unknown'}).",
                code="WS-SETTINGS-021",
                next_action="Use that one, end it first, or choose another folder with --home.",
            ) from error
        if earlier := _noted(note, "stack_id"):
            processes.stop_marked(earlier)
        pid = os.getpid()
        content = {"stack_id": stack_id, "pid": pid, "begun": process_start(pid), **(facts or {})}
        write_private(note, json.dumps(content))
        try:
            yield
        finally:
            if home.is_dir():
                ended = {**content, "ended_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"}
                with suppress(OSError):  # the process is gone in a moment: that tells, too
                    write_private(note, json.dumps(ended))


def make_private(home: Path) -> None:
    """Make the home where it is missing, and private what an earlier stack left in it.

    A folder that holds anything else, too, keeps its own rights; the keys always keep theirs.

    :raises StorageError: if nothing can be written there.
    """
    require_writable(home)
    keys = home / "keys"
    found = list(home.iterdir())
    own = [entry for entry in found if entry.name.lstrip(".").partition(".")[0] in OWN]
    if {*own, keys} >= set(found):
        own = [home]
    for entry in own:
        tighten(entry, leave=(keys,))


def require_writable(home: Path) -> None:
    """Make the home where it is missing, and see that files can be written there.

    :raises StorageError: if they cannot.
    """
    try:
        make_folder(home)
        probe = home / f".probe-{secrets.token_hex(4)}"
        make_file(probe)
        probe.unlink()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise StorageError(
            f"nothing can be written to {home}: {why}. Nothing was started.",
            code="WS-SETTINGS-025",
            next_action="Give this user the right to write there (and space), or choose another folder with "
            "--home or WINDSOCK_HOME.",
        ) from error


def _noted(note: Path, key: str) -> str:
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    make_folder(file.parent)
    temporary = file.with_name(f"{file.name}.new")
    with open(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(text)
    temporary.replace(file)


def passwords(file: Path, users: Iterable[str]) -> dict[str, str]:
    """Return the passwords of Airflow's users, made where there are none yet.

    They are made here, because Airflow would print those that it makes into its log.

    :param file: where Airflow's simple auth manager reads them.
    """
    wanted = list(users)
    known: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if missing := [user for user in wanted if user not in known]:
        known |= {user: secrets.token_urlsafe(12) for user in missing}
        write_private(file, json.dumps(known))
    return {user: known[user] for user in wanted}
