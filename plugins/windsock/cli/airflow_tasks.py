"""What Airflow's REST interface says of task instances and of their logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """One task instance as Airflow sees it.

    :param map_index: number of a mapped task; -1 for an ordinary one.
    :param label: how people call it: the task id, for a mapped task with what it is mapped over.
    :param seconds: how long it ran; ``None`` before its end.
    """

    task_id: str
    map_index: int
    label: str
    state: str | None
    try_number: int
    seconds: float | None

    @property
    def finished(self) -> bool:
        """Whether it will not run on."""
        return self.state in FINISHED


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a task's log.

    :param logger: name of the logger that wrote it; empty where Airflow does not say.
    """

    event: str
    logger: str = ""
    level: str = ""


def task_state(item: Mapping[str, Any]) -> TaskState:
    """Read a task instance."""
    index = int(item["map_index"])
    over = item.get("rendered_map_index") or index
    return TaskState(
        task_id=item["task_id"],
        map_index=index,
        label=f"{item['task_id']} [{over}]" if index >= 0 else item["task_id"],
        state=item.get("state"),
        try_number=int(item.get("try_number") or 0),
        seconds=item.get("duration"),
    )


def log_lines(content: Iterable[Any]) -> Iterable[LogLine]:
    """Read the lines of a log, without Airflow's note of where the log lies."""
    inside_sources = False
    for item in content:
        line = item if isinstance(item, Mapping) else {"event": str(item)}
        event = str(line.get("event", ""))
        if event.startswith("::group::Log message source"):
            inside_sources = True
        if not inside_sources:
            yield LogLine(
                event=event, logger=str(line.get("logger") or ""), level=str(line.get("level") or "")
            )
        elif event.startswith("::endgroup::"):
            inside_sources = False
