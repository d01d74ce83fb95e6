"""``CheckDriftOperator``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from windsock.operators.assets import drift_asset, emit
from windsock.operators.base import StepOperator
from windsock.operators.links import DriftReportLink, MlflowRunLink, MlflowVersionLink
from windsock.operators.tables import log_table
from windsock.records import ColumnDrift, DriftReport, Status
from windsock.texts import first_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.ports import Ports
    from windsock.steps import StepResult

log = logging.getLogger("windsock.task")

SHOWN = 25
"""Columns that a log shows, of those that drifted or could not be counted, and of the others."""
HEADER = ("column", "status", "rows", "effect", "limit: below", "p", "PSI", "findings")


class CheckDriftOperator(StepOperator):
    """Judge whether a closed window of the prediction log is distributed as the training rows.

    Drift is a finding, not a fault: the task is green and its verdict says FAIL. It is red when the window
    could not be judged.

    Template fields: ``window``.

    :param window: a ``Span``: ``{"start": ..., "end": ...}`` as :class:`~windsock.sensors.drift.DriftSensor`
        gives it.
    """

    step = "check_drift"
    ui_color = "#fef7e0"
    template_fields = ("window",)
    operator_extra_links = (MlflowRunLink(), MlflowVersionLink(), DriftReportLink())

    def __init__(self, *, window: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the window."""
        return {"window": self.window}

    def report(self, result: StepResult) -> None:
        """Log the columns, the worst first, and what was noticed."""
        if not isinstance(result.record, DriftReport):
            return
        record = result.record
        apart = [column for column in (record.score, record.target) if column is not None]
        columns = [*apart, *sorted(record.columns, key=_rank)]
        shown = [column for column in columns if column.status in (Status.FAIL, Status.ERROR)]
        if shown:
            log_table("Drift, the worst first", HEADER, [_row(column) for column in shown[:SHOWN]])
        if len(shown) > SHOWN:
            log.info("and %d more columns, none of them worse", len(shown) - SHOWN)
        if quiet := [column.name for column in columns if column.status is Status.PASS]:
            log.info("without drift: %s", first_of(quiet, SHOWN))
        for finding in record.findings:
            log.info("finding: %s", finding)

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push the verdict, and tell it to whoever waits for the model's drift."""
        record = result.record
        if isinstance(record, DriftReport):
            extra = {
                "status": record.status.value,
                "severity": record.severity.value,
                "window_end": record.window.end.isoformat(),
                "version": record.version,
            }
            emit(self, context, drift_asset(record.model), extra)
        return super().finish(context, result)

    def _keep_links(self, ports: Ports, result: StepResult) -> None:
        super()._keep_links(ports, result)
        if (uri := getattr(result.record, "report_uri", None)) is not None:
            self.links["report"] = str(uri)


def _rank(column: ColumnDrift) -> tuple[int, float]:
    order = {Status.FAIL: 0, Status.ERROR: 1, Status.INSUFFICIENT: 2, Status.PASS: 3}
    return order[column.status], -(column.effect or 0.0)


def _row(column: ColumnDrift) -> tuple[str, ...]:
    numbers = (column.effect, column.limit, column.p, column.psi)
    effect, limit, p, psi = ("-" if value is None else f"{value:.3g}" for value in numbers)
    return (
        column.name,
        column.status.value,
        f"{column.rows:,}",
        effect,
        limit,
        p,
        psi,
        ", ".join(column.findings),
    )
