"""``TrainModelOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator
from windsock.records import Record, TrainModelInput

if TYPE_CHECKING:
    from airflow.sdk import Context


class TrainModelOperator(StepOperator):
    """Train one candidate on the training rows of a snapshot; map it over the candidates.

    :param snapshot: the ``DataSnapshot`` of the snapshot task.
    :param validation: the ``ValidationReport`` that lets it be trained on.
    :param candidate: one candidate of the spec, as its JSON content.
    """

    step = "train_model"
    ui_color = "#fef7e0"
    template_fields = ("snapshot", "validation", "candidate")

    def __init__(self, *, snapshot: Any, validation: Any, candidate: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.validation = validation
        self.candidate = candidate

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the snapshot, its report and the candidate."""
        return {"snapshot": self.snapshot, "validation": self.validation, "candidate": self.candidate}

    def announce(self, step: Record) -> str:
        """Name the candidate and the rows."""
        if not isinstance(step, TrainModelInput):
            return super().announce(step)
        return f"model {step.spec.name}, candidate {step.candidate.label}, {step.snapshot.rows:,} rows"
