"""``EvaluateModelOperator``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator, as_list
from windsock.records import Evaluation

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult

log = logging.getLogger("windsock.task")


class EvaluateModelOperator(StepOperator):
    """Judge the best candidate on held-out rows, beside a dummy model and the champion.

    Template fields: ``snapshot``, ``candidates``.

    :param snapshot: the ``DataSnapshot`` of the snapshot task.
    :param candidates: the outputs of the training tasks.
    """

    step = "evaluate_model"
    ui_color = "#fef7e0"
    template_fields = ("snapshot", "candidates")

    def __init__(self, *, snapshot: Any, candidates: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.candidates = candidates

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the snapshot and all candidates."""
        return {"snapshot": self.snapshot, "candidates": as_list(self.candidates)}

    def report(self, result: StepResult) -> None:
        """Log the ranking and the held-out metrics."""
        record = result.record
        if not isinstance(record, Evaluation):
            return
        log.info("::group::Candidates by cross-validation, and the best on held-out rows")
        for label, mean in record.ranking:
            log.info("candidate    %-40s %s %.4f", label[:40], record.chosen.cross_validation.metric, mean)
        for metric in record.metrics:
            shown = "no value" if metric.value is None else f"{metric.value:.4f}"
            interval = f" [{metric.interval.low:.4f}, {metric.interval.high:.4f}]" if metric.interval else ""
            rows = "recent" if record.recent_held_out else "held out"
            rows = "since onset" if record.onset else rows
            log.info("%-12s %-40s %s%s on %s", rows, metric.name, shown, interval, metric.on())
        log.info("::endgroup::")
