"""``CheckPerformanceOperator``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator
from windsock.operators.tables import log_checks
from windsock.records import PerformanceReport

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult

log = logging.getLogger("windsock.task")


class CheckPerformanceOperator(StepOperator):
    """Judge how good the answers are, by the labels that have come and by estimates where none have.

    A loss is a finding, not a fault: the task is green and its verdict says FAIL. It is red when a check
    could not run.

    Template fields: ``window``.

    :param window: a ``Span``: ``{"start": ..., "end": ...}`` as :class:`~windsock.sensors.drift.DriftSensor`
        gives it.
    """

    step = "check_performance"
    ui_color = "#fef7e0"
    template_fields = ("window",)

    def __init__(self, *, window: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the window."""
        return {"window": self.window}

    def report(self, result: StepResult) -> None:
        """Log every alarm with its number and limit, and what was noticed."""
        if not isinstance(result.record, PerformanceReport):
            return
        if result.record.checks:
            log_checks("performance", result.record.checks, shown=2, undecided=3)
        for finding in result.record.findings:
            log.info("finding: %s", finding)
