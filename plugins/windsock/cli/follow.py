"""Following a run of a DAG through Airflow's REST interface: each task's end, with its verdict."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from windsock.cli.airflow_rest import AirflowApi
from windsock.cli.airflow_tasks import LogLine, TaskState
from windsock.cli.supervisor import Say

BLOCK = ("VERDICT:", "WHY:", "NEXT:", "IDS:")
WORDS = {
    "success": "ok",
    "failed": "FAILED",
    "skipped": "skipped",
    "upstream_failed": "not run",
    "up_for_retry": "retry",
    "awaiting_input": "waits",
}
TOLD = frozenset(WORDS)
UNTIL = re.compile(r"until [0-9-]{10} [0-9:]{5} UTC")
"""In a waiting task's block: when its time is over."""
POLL_SECONDS = 1.0
PROGRESS_SECONDS = 15.0
VERDICT_SECONDS = 5.0
ENDED = ("success", "failed")


def last_block(lines: Iterable[LogLine]) -> list[str]:
    """Return the last VERDICT, WHY, NEXT, IDS block of a task's log; empty where there is none."""
    block: list[str] = []
    for line in lines:
        if line.event.startswith(BLOCK[0]):
            block = [line.event]
        elif block and len(block) < len(BLOCK) and line.event.startswith(BLOCK[len(block)]):
            block.append(line.event)
    return block


def verdict_line(block: list[str]) -> str:
    """Return a block's verdict and why, as one line."""
    words = [line.partition(":")[2].strip() for line in block[:2]]
    return ": ".join(words)


@dataclass(kw_only=True)
class RunFollower:
    """Tells what a run does until it ends.

    :param api: signed in to Airflow.
    :param say: takes each line for the user.
    :param pause: sleeps; raises when the user asks to stop.
    :param reviewer_note: what to say when a task waits for a person.
    """

    api: AirflowApi
    dag_id: str
    run_id: str
    say: Say
    pause: Callable[[float], None]
    reviewer_note: str = ""
    _told: set[tuple[str, int, str, int]] = field(default_factory=set)

    def follow(self) -> str:
        """Return the run's final state."""
        begun = said = time.monotonic()
        while True:
            state = self.api.run_state(self.dag_id, self.run_id)
            tasks = self.api.tasks(self.dag_id, self.run_id)
            if self._tell(tasks):
                said = time.monotonic()
            if state in ENDED:
                return state
            if time.monotonic() - said >= PROGRESS_SECONDS:
                said = time.monotonic()
                now = [task.label for task in tasks if task.state in ("running", "awaiting_input")]
                self.say(f"  ...      {', '.join(now) or f'the run is {state}'} ({said - begun:.0f} s)")
            self.pause(POLL_SECONDS)

    def _tell(self, tasks: list[TaskState]) -> bool:
        """Say what is new; return whether there was anything."""
        news = False
        for task in tasks:
            mark = (task.task_id, task.map_index, task.state or "", task.try_number)
            if task.state not in TOLD or mark in self._told:
                continue
            self._told.add(mark)
            self.say(self._line(task))
            news = True
        return news

    def _line(self, task: TaskState) -> str:
        seconds = f"{task.seconds:.1f} s" if task.seconds is not None and task.finished else ""
        word = WORDS[task.state or ""]
        if task.state == "awaiting_input":
            until = UNTIL.search(verdict_line(self.block_of(task)))
            note = f"{self.reviewer_note}, {until[0]}" if until else self.reviewer_note
        elif task.state in ("success", "failed", "up_for_retry"):
            note = verdict_line(self.block_of(task))
        else:
            note = ""
        return f"  {word:<8} {task.label:<38} {seconds:>7}  {note}".rstrip()

    def block_of(self, task: TaskState) -> list[str]:
        """Return the task's last block; its log is written a moment after its state."""
        deadline = time.monotonic() + VERDICT_SECONDS
        while True:
            block = last_block(self.api.log(self.dag_id, self.run_id, task))
            if len(block) == len(BLOCK) or time.monotonic() > deadline:
                return block
            self.pause(0.25)

    def failed_tasks(self) -> list[TaskState]:
        """Return the tasks that made the run red."""
        tasks = self.api.tasks(self.dag_id, self.run_id)
        return [task for task in tasks if task.state == "failed"]
