"""``SendAlertsOperator``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from windsock.hooks.alerts import send_alerts
from windsock.operators.base import StepOperator
from windsock.records import DriftReport, PerformanceReport, RetrainDecision, Status
from windsock.spec import SharedSpec
from windsock.steps import Verdict, verdict_of_error

if TYPE_CHECKING:
    from airflow.sdk import Context


def _due(due: int, left: int) -> str:
    """Return how many alerts there were, in words that are true of none and of one, too."""
    if not due:
        return "no alert was due"
    were = "1 alert was due" if due == 1 else f"{due} alerts were due"
    if not left:
        return f"{were} and sent"
    return f"{were}, and no channel has taken {'it' if due == 1 else f'{left} of them'}"


Report = TypeVar("Report", DriftReport, PerformanceReport)


class SendAlertsOperator(StepOperator):
    """Tell people what they must know of the windows that this run judged.

    An alert is told when it begins, becomes worse, is over, and again after the repeat period. What no
    channel takes is kept and tried by the next run: the task stays green.

    Template fields: none.

    :param shared: the alert channels: a ``SharedSpec`` or its content.
    :param windows_task_id: task that gave the windows.
    :param drift_task_id: mapped task of their drift verdicts.
    :param performance_task_id: mapped task of their performance verdicts.
    :param decision_task_id: task of the trigger policy.
    """

    step = "decide_retrain"  # what it tells of
    ui_color = "#f1f3f4"

    def __init__(
        self,
        *,
        shared: SharedSpec | Mapping[str, Any],
        windows_task_id: str = "wait_for_window",
        drift_task_id: str = "check_drift",
        performance_task_id: str = "check_performance",
        decision_task_id: str = "decide_retrain",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shared = shared
        self.windows_task_id = windows_task_id
        self.drift_task_id = drift_task_id
        self.performance_task_id = performance_task_id
        self.decision_task_id = decision_task_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Send what is due; return the alerts as they stand."""
        self._end_with_verdict()
        try:
            spec, ports = self.model_spec(), self.hook.ports()
            decided = context["ti"].xcom_pull(task_ids=self.decision_task_id, key="return_value")
            due = send_alerts(
                spec,
                SharedSpec.model_validate(self.shared),
                ports.monitor,
                drift=self._latest(context, self.drift_task_id, DriftReport),
                performance=self._latest(context, self.performance_task_id, PerformanceReport),
                decision=RetrainDecision.model_validate(decided) if decided else None,
                now=ports.now(),
            )
        except Exception as error:
            self.verdict = verdict_of_error(error, {"model": self._model_name()})
            raise
        left = sum(alert.pending for alert in due)
        self.verdict = Verdict(
            word="HOLD" if left else "PASS",
            why=_due(len(due), left),
            next_action="`windsock alerts test` says which channel refuses and why; the next run tries again"
            if left
            else "nothing to do",
            ids={"model": spec.name, "owner": spec.model.owner},
        )
        return [alert.model_dump(mode="json") for alert in due]

    def _latest(self, context: Context, task_id: str, kind: type[Report]) -> Report | None:
        """Return the report of the latest window that was judged to be good or bad, else the latest one.

        After an outage many windows are judged at once: a last one with too few rows must not hide them.
        """
        pull = context["ti"].xcom_pull
        windows = pull(task_ids=self.windows_task_id, key="return_value") or []
        found = [
            pull(task_ids=task_id, key="return_value", map_indexes=place) for place in range(len(windows))
        ]
        reports = [kind.model_validate(one) for one in found if one]
        judged = [report for report in reports if report.status in (Status.PASS, Status.FAIL)]
        return max(judged or reports, key=lambda report: report.window.end, default=None)
