"""``UnjudgedWindowsOperator``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from windsock.exceptions import MonitoringError
from windsock.operators.base import StepOperator
from windsock.records import Status
from windsock.texts import first_of

if TYPE_CHECKING:
    from airflow.sdk import Context

SHOWN = 3


class UnjudgedWindowsOperator(StepOperator):
    """End the monitor's run red where a task before it did, and say which windows were not judged.

    With the trigger rule ``one_failed``: where every window could be judged it is skipped, and costs nothing.

    Template fields: none.

    :param windows_task_id: task that gave the windows.
    :param check_task_ids: mapped tasks that judge them.
    """

    step = "check_drift"  # whose windows they are
    ui_color = "#fce8e6"

    def __init__(
        self,
        *,
        windows_task_id: str = "wait_for_window",
        check_task_ids: Sequence[str] = ("check_drift", "check_performance"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.windows_task_id = windows_task_id
        self.check_task_ids = tuple(check_task_ids)

    def execute(self, context: Context) -> NoReturn:
        """Say what is red.

        :raises MonitoringError: always.
        """
        with self._verdict_on_error():
            found = self._unjudged(context)
            what = f"{len(found)} verdict{'s are' if len(found) > 1 else ' is'} missing"
            raise MonitoringError(
                f"{what}: {first_of(found, SHOWN, separator='; ')}"
                if found
                else "a task of this run failed, and no window is known by it to lack a verdict",
                next_action="Open the red tasks of this run and do what their NEXT says; windows without a "
                "verdict are judged by the next run.",
            )

    def _unjudged(self, context: Context) -> list[str]:
        """Return each window's check that is an error, with its reason where the check could say one."""
        pull = context["ti"].xcom_pull
        windows = pull(task_ids=self.windows_task_id, key="return_value") or []
        found = []
        for task_id in self.check_task_ids:
            for place, window in enumerate(windows):
                report = pull(task_ids=task_id, key="return_value", map_indexes=place)
                if report and report["status"] == Status.ERROR.value:
                    found.append(f"{task_id} of the window to {window['end']}: {report['reason']}")
        return found
