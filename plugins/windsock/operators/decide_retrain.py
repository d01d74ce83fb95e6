"""``DecideRetrainOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.assets import emit, retrain_asset
from windsock.operators.base import StepOperator
from windsock.records import RetrainDecision, RetrainOrder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult


class DecideRetrainOperator(StepOperator):
    """Apply the trigger policy to the judged windows; announce a retrain where it grants one.

    With :func:`~windsock.operators.assets.retrain_asset` among its outlets (as
    :func:`~windsock.operators.assets.sometimes`), the announcement is that asset's event, with the episode's
    key.

    Template fields: none.
    """

    step = "decide_retrain"
    ui_color = "#fce8e6"

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return nothing: the policy reads the control database."""
        return {}

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
