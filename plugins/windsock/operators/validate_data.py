"""``ValidateDataOperator``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator, param
from windsock.operators.tables import log_checks
from windsock.records import ValidationReport
from windsock.texts import log_text

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult

log = logging.getLogger(__name__)


class ValidateDataOperator(StepOperator):
    """Check a snapshot against the model's expectations; red if a check did not pass.

    Template fields: ``snapshot``.

    :param snapshot: the ``DataSnapshot`` of the snapshot task.
    """

    step = "validate_data"
    ui_color = "#e6f4ea"
    template_fields = ("snapshot",)

    def __init__(self, *, snapshot: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the snapshot, and whether it is only judged."""
        return {"snapshot": self.snapshot, "dry_run": bool(param(context, "dry_run"))}

    def report(self, result: StepResult) -> None:
        """Log every check that did not pass, and the names of those that did."""
        if isinstance(result.record, ValidationReport):
            log_checks("checks of the data", result.record.checks, shown=0)
            for ask in result.record.asks:
                log.info("to be asked: %s", log_text(ask))
            if result.record.remarks:
                log_checks("inferred from this very snapshot, no evidence", result.record.remarks, shown=0)
