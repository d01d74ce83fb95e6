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

    Template fields: ``data_window``, ``recent``, ``onset``.

    :param data_window: overrides the spec's data window, such as ``30d``; the DAG param of that name
        overrides both.
    :param recent: a stretch of the prediction log, as ``{"start": ..., "end": ...}``: its labelled answers
        are mixed in, and decide at the gate; ``None``: the source alone.
    :param onset: since when the world is another one, as text; answers since then are marked, learned from
        apart, and decide at the gate where they are enough. ``None``: no answer is marked.
    """

    step = "take_snapshot"
    ui_color = "#e6f4ea"
    template_fields = ("data_window", "recent", "onset")

    def __init__(
        self, *, data_window: str | None = None, recent: Any = None, onset: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_window = data_window
        self.recent = recent
        self.onset = onset

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the data window, whose end is the run's logical date, the recent one, and the onset."""
        return {
            "data_window": param(context, "data_window") or self.data_window,
            "recent": self.recent or None,
            **({"onset": self.onset} if self.onset else {}),
        }

    def report(self, result: StepResult) -> None:
        """Log what was noticed while reading."""
        for finding in getattr(result.record, "findings", ()):
            log.info("finding: %s", finding)
