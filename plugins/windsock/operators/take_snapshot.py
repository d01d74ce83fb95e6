"""``SnapshotDataOperator``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator, param

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult

log = logging.getLogger("windsock.task")


class SnapshotDataOperator(StepOperator):
    """Copy the model's rows to an immutable snapshot; same content, same digest, no second copy.

    Template fields: ``data_window``, ``recent``.

    :param data_window: overrides the spec's data window, such as ``30d``; the DAG param of that name
        overrides both.
    :param recent: a stretch of the prediction log, as ``{"start": ..., "end": ...}``: its labelled answers
        are mixed in, and decide at the gate; ``None``: the source alone.
    """

    step = "take_snapshot"
    ui_color = "#e6f4ea"
    template_fields = ("data_window", "recent")

    def __init__(self, *, data_window: str | None = None, recent: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_window = data_window
        self.recent = recent

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the data window, whose end is the run's logical date, and the recent one."""
        return {
            "data_window": param(context, "data_window") or self.data_window,
            "recent": self.recent or None,
        }

    def report(self, result: StepResult) -> None:
        """Log what was noticed while reading."""
        for finding in getattr(result.record, "findings", ()):
            log.info("finding: %s", finding)
