"""``EvaluateModelOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator, as_list

if TYPE_CHECKING:
    from airflow.sdk import Context


class EvaluateModelOperator(StepOperator):
    """Judge the best candidate on held-out rows, beside a dummy model and the champion.

    Template fields: ``snapshot``, ``candidates``.

    :param snapshot: the ``DataSnapshot`` of the snapshot task.
    :param candidates: the outputs of the training tasks.
    """

    step = "evaluate_model"
    ui_color = "#fef7e0"
    template_fields = ("snapshot", "candidates")

    def __init__(self, *, snapshot: Any, candidates: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.candidates = candidates

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the snapshot and all candidates."""
        return {"snapshot": self.snapshot, "candidates": as_list(self.candidates)}
