"""``DecideRetrainOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.assets import emit, retrain_asset
from windsock.operators.base import StepOperator
from windsock.records import RetrainDecision, RetrainOrder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult


WAITING = "waiting"
"""XCom key: how many closed windows the run leaves to later ones."""


class DecideRetrainOperator(StepOperator):
    """Apply the trigger policy to the judged windows; announce a retrain where it grants one.

    While closed windows are left to later runs, as the task that gave the windows pushed it, none is granted.

    With :func:`~windsock.operators.assets.retrain_asset` among its outlets (as
    :func:`~windsock.operators.assets.sometimes`), the announcement is that asset's event, with the episode's
    key.

    Template fields: none.

    :param windows_task_id: task that gave the windows.
    """

    step = "decide_retrain"
    ui_color = "#fce8e6"

    def __init__(self, *, windows_task_id: str = "wait_for_window", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.windows_task_id = windows_task_id

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return how many windows wait; the policy reads the rest from the control database."""
        waiting = context["ti"].xcom_pull(task_ids=self.windows_task_id, key=WAITING)
        return {"waiting": waiting or 0}

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push the decision and announce the episode."""
        pushed = super().finish(context, result)
        decision = result.record
        if isinstance(decision, RetrainDecision) and decision.order is RetrainOrder.GRANT:
            episode = decision.episode
            asset = retrain_asset(decision.model)
            if episode is not None:
                extra = {"episode": episode.key, "trigger": episode.trigger, "reason": decision.reason}
                emit(self, context, asset, extra)
        return pushed
