"""``windsock stack``: the programs of the stack that runs here."""

from __future__ import annotations

import signal
import time
from typing import Annotated

import typer

from windsock.cli import processes
from windsock.cli.console import say
from windsock.cli.supervisor import asked_restart
from windsock.cli.surroundings import installation, location
from windsock.exceptions import SettingsError
from windsock.locations import StackNote, process_start
from windsock.private_files import make_file

PARTS = ("mlflow", "server", "airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
GRACE_SECONDS = 5.0
BACK_SECONDS = 30.0
"""How long a program may take until it is started again; that it answers takes longer."""

stack = typer.Typer(help="The programs of the stack that runs here.", no_args_is_help=True)


@stack.callback()
def _group() -> None:
    """Keep `restart` a command of its own."""


@stack.command()
def restart(
    part: Annotated[str, typer.Argument(help=f"Which program: {', '.join(PARTS)}.")],
) -> None:
    """End a program of the stack, also one that hangs; `windsock up` starts it again at once.

    It is asked to end first, and killed after five seconds. All others go on, and `up` does not count it.

    :raises SettingsError: if there is no such program, no stack runs here, or it is not started again.
    """
    note = location(home=installation().home).note
    if part not in PARTS:
        raise SettingsError(
            f"{part!r} is no program of the stack; known: {', '.join(PARTS)}", code="WS-WATCH-043"
        )
    if note is None or not note.runs:
        raise SettingsError(
            f"no stack of `windsock up` runs in {installation().home}",
            code="WS-WATCH-043",
            next_action="Start it by `windsock up`, or restart the program as it was started.",
        )
    _see(note, part)
    asked = asked_restart(note.home / "logs", part)
    try:
        make_file(asked)
        ended = end(note, part)
        say(f"{part}: {len(ended)} processes ended; `windsock up` starts it again")
        started = _await(note, part, ended)
    finally:  # what is left of it would excuse a later end that nobody asked for
        asked.unlink(missing_ok=True)
    say(f"{part}: started again, process {started[0]}; its log: {note.log_of(part)}")


def _see(note: StackNote, part: str) -> None:
    """See that a program is of this stack; one that is being started again has a few seconds to appear.

    :raises SettingsError: if it has no process.
    """
    deadline = time.monotonic() + GRACE_SECONDS
    while not processes.marked_processes(note.stack_id, part):
        if time.monotonic() >= deadline:
            known = [one for one in PARTS if processes.marked_processes(note.stack_id, one)]
            raise SettingsError(
                f"the stack that runs in {note.home} has no {part}; "
                f"it has: {', '.join(known) or 'no program yet'}",
                code="WS-WATCH-043",
                next_action="Name a program that it has, or see what `windsock up` says.",
            )
        time.sleep(processes.POLL_SECONDS)


def end(note: StackNote, part: str) -> dict[int, str]:
    """End the processes that a program has now, and return them with their beginning."""
    found = {pid: process_start(pid) for pid in processes.marked_processes(note.stack_id, part)}
    for number in (signal.SIGTERM, signal.SIGKILL):
        processes.signal_all(_left(note, part, found), number)
        deadline = time.monotonic() + GRACE_SECONDS
        while _left(note, part, found) and time.monotonic() < deadline:
            time.sleep(processes.POLL_SECONDS)
    return found


def _left(note: StackNote, part: str, found: dict[int, str]) -> list[int]:
    """Return those of some processes that live: one of the same number is another one if it began later."""
    alive = processes.marked_processes(note.stack_id, part)
    return [pid for pid in alive if found.get(pid) == process_start(pid)]


def _await(note: StackNote, part: str, ended: dict[int, str]) -> list[int]:
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        found = processes.marked_processes(note.stack_id, part)
        if started := [pid for pid in found if ended.get(pid) != process_start(pid)]:
            return started
        time.sleep(processes.POLL_SECONDS)
    raise SettingsError(
        f"{part} was not started again within {BACK_SECONDS:g} s",
        code="WS-WATCH-043",
        next_action=f"Read {note.log_of(part)} and what `windsock up` says; start the stack again.",
    )
