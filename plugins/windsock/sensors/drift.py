"""``DriftSensor``: waits, without a worker, for a window to be closed or for drift to be found."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from windsock.monitoring.backlog import take_backlog
from windsock.operators.base import StepOperator
from windsock.operators.decide_retrain import WAITING
from windsock.ports import utc_now
from windsock.sensors.near import wait_if_near
from windsock.steps import Verdict
from windsock.triggers.drift import POLL_SECONDS, DriftTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.spec import ModelSpec

log = logging.getLogger("windsock.task")


class DriftSensor(StepOperator):
    """Wait in the triggerer, then return windows.

    ``mode="window"``: until the window in which the run began is closed, and its lateness allowance is over;
    returns the closed windows that have no verdict yet, the oldest first, to be mapped over by the checks.
    There are at most as many as a run judges; how many are left is pushed as ``waiting``. ``mode="event"``:
    until a window is judged to have drifted; returns that one window.

    Template fields: none.

    :param mode: what is waited for.
    :param poll_seconds: for events: seconds between two looks.
    """

    step = "check_drift"  # whose input the windows are
    ui_color = "#e8f0fe"
    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        mode: Literal["window", "event"] = "window",
        poll_seconds: float = POLL_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mode = mode
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> Any:
        """Wait for what is asked."""
        spec = self.model_spec()
        if self.mode == "event":
            trigger = DriftTrigger(
                spec.name,
                since=utc_now().isoformat(),
                windsock_conn_id=self.windsock_conn_id,
                poll_seconds=self.poll_seconds,
            )
            self.defer(trigger=trigger, method_name="drifted")
        began = context["dag_run"].run_after
        due = self.due(spec, began)
        if not wait_if_near(due, utc_now()):
            from airflow.providers.standard.triggers.temporal import DateTimeTrigger

            log.info("waiting until %s UTC: the window is closed then, late rows included", f"{due:%H:%M:%S}")
            self.defer(trigger=DateTimeTrigger(moment=due), method_name="closed")
        return self.closed(context)

    @staticmethod
    def due(spec: ModelSpec, began: datetime) -> datetime:
        """Return when the window that ended last before a time can be judged."""
        block = spec.monitoring
        ended = block.window_end(began + block.lateness_allowance)
        return ended + block.lateness_allowance

    def closed(self, context: Context, event: Any = None) -> list[dict[str, Any]]:
        """Return the closed windows without a verdict."""
        self._end_with_verdict()
        spec, ports = self.model_spec(), self.hook.ports()
        backlog = take_backlog(spec, ports)
        context["ti"].xcom_push(key=WAITING, value=backlog.waiting)
        self.verdict = Verdict(
            word="PASS", why=backlog.told(spec.monitoring.window), ids={"model": spec.name}
        )
        return [window.model_dump(mode="json") for window in backlog.windows]

    def drifted(self, context: Context, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the window that has drifted."""
        self._end_with_verdict()
        window = event["window"]
        self.verdict = Verdict(
            word="PASS",
            why=f"the window that ended at {window['end']} has drifted, severity {event['severity']}",
            ids={"model": str(event["model"])},
        )
        return [window]
