"""What each worker process says of itself in the state folder: alive, and serving by which epochs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pydantic import Field, ValidationError

from windsock.records import Moment, Record
from windsock.serving.files import replace_file

WORKERS_FOLDER = "workers"


class WorkerNote(Record):
    """One worker.

    :param pid: its process id.
    :param started: when it began.
    :param epochs: epoch that it serves by, for each model.
    :param faults: why it cannot serve a model's newest plan, for each such model.
    """

    pid: int
    started: Moment
    epochs: dict[str, int] = Field(default_factory=dict)
    faults: dict[str, str] = Field(default_factory=dict)


class WorkerNotes:
    """The notes of all workers of one server.

    :param folder: the server's state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / WORKERS_FOLDER

    def write(self, note: WorkerNote) -> None:
        """Write a worker's note.

        :raises StorageError: if it cannot be written.
        """
        replace_file(self.folder / f"{note.pid}.json", note.model_dump_json() + "\n")

    def remove(self, pid: int) -> None:
        """Remove the note of a worker that has ended."""
        with suppress(OSError):
            (self.folder / f"{pid}.json").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all notes; before the first worker starts."""
        with suppress(OSError):
            for file in self.folder.iterdir():
                file.unlink(missing_ok=True)

    def living(self) -> tuple[WorkerNote, ...]:
        """Return the notes of the workers whose processes live, by process id."""
        notes = []
        for file in sorted(self.folder.glob("*.json")):
            try:
                note = WorkerNote.model_validate_json(file.read_bytes())
            except (OSError, ValidationError):
                continue
            if is_alive(note.pid):
                notes.append(note)
        return tuple(sorted(notes, key=lambda note: note.pid))


def is_alive(pid: int) -> bool:
    """Return whether there is such a process; one that has died and was not waited for is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:  # gone since, or a system without /proc
        return not Path("/proc/self").exists()
    return state != "Z"
