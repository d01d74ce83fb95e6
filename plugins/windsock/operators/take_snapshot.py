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

    :param data_window: overrides the spec's data window, such as ``30d``; the DAG param of that name
        overrides both.
    """

    step = "take_snapshot"
    ui_color = "#e6f4ea"
    template_fields = ("data_window",)

    def __init__(self, *, data_window: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_window = data_window

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the data window; the run's logical date is its end."""
        return {"data_window": param(context, "data_window") or self.data_window}

    def report(self, result: StepResult) -> None:
        """Log what was noticed while reading."""
        for finding in getattr(result.record, "findings", ()):
            log.info("finding: %s", finding)
