"""``HousekeepingOperator``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator
from windsock.records import HousekeepingReport

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult

log = logging.getLogger("windsock.task")


class HousekeepingOperator(StepOperator):
    """Repair the registry's aliases from the ledger, close what was left open, keep the retention.

    Template fields: none.

    :param models: names of the installation's models.
    :param keep_predictions_days: archived hours of the prediction log, and lines rejected from it, that are
        older are removed; 0 keeps all.
    :param retention: days by kind that other things are kept which nothing needs any more, as
        ``RetentionPolicy`` has them; ``None`` keeps all.
    """

    step = "keep_house"
    ui_color = "#f1f3f4"

    def __init__(
        self,
        *,
        models: list[str],
        keep_predictions_days: float = 0.0,
        retention: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(spec="", **kwargs)
        self.retention = retention
        self.models = models
        self.keep_predictions_days = keep_predictions_days

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the models."""
        days = {"retention": self.retention} if self.retention else {}
        return {"models": self.models, "keep_predictions_days": self.keep_predictions_days, **days}

    def report(self, result: StepResult) -> None:
        """Log what could not be done."""
        if isinstance(result.record, HousekeepingReport):
            for fault in (*result.record.faults, *result.record.unattended):
                log.warning("fault: %s", fault)
