"""``RegisterModelOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class RegisterModelOperator(StepOperator):
    """Give a model that passed the gate its version number and its signed evidence pack.

    Template fields: ``decision``, ``evaluation``.

    :param decision: the ``GateDecision`` of the gate task.
    :param evaluation: the ``Evaluation`` of the evaluation task.
    """

    step = "register_model"
    makes_version = True
    ui_color = "#fce8e6"
    template_fields = ("decision", "evaluation")

    def __init__(self, *, decision: Any, evaluation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decision = decision
        self.evaluation = evaluation

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the decision and the evaluation it is about."""
        return {"decision": self.decision, "evaluation": self.evaluation}
