"""``TrainModelOperator``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windsock.exceptions import SpecError
from windsock.operators.base import StepOperator
from windsock.records import Record, TrainModelInput

if TYPE_CHECKING:
    from airflow.sdk import Context


class TrainModelOperator(StepOperator):
    """Train one candidate on the training rows of a snapshot; map it over the candidates.

    Template fields: ``snapshot``, ``validation``, ``candidate``.

    :param snapshot: the ``DataSnapshot`` of the snapshot task.
    :param validation: the ``ValidationReport`` that lets it be trained on.
    :param candidate: which candidate of the spec: its position in ``candidates``, from 0. Or a candidate of
        the DAG author's own, as JSON content; that is rendered as a template, as everything that is written
        in a DAG file. What stands in a model's file is data and never rendered: only positions of it are
        handed over.
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
        candidate = self._chosen() if self._is_position else self.candidate
        return {"snapshot": self.snapshot, "validation": self.validation, "candidate": candidate}

    @property
    def candidate_label(self) -> str:
        """What people call the candidate: its estimator; Airflow shows it instead of the task's map index."""
        chosen = self._chosen() if self._is_position else self.candidate
        return str(chosen.get("estimator", "")) if isinstance(chosen, Mapping) else str(chosen)

    @property
    def _is_position(self) -> bool:
        return isinstance(self.candidate, int) and not isinstance(self.candidate, bool)

    def _chosen(self) -> dict[str, Any]:
        """Return the candidate at the position.

        :raises SpecError: if the spec has none there.
        """
        candidates = self.model_spec().candidates
        if not 0 <= self.candidate < len(candidates):
            raise SpecError(
                f"candidate {self.candidate} of {self._model_name()}: its file lists {len(candidates)}, "
                "counted from 0",
                next_action="Hand over the position of a candidate that the file lists.",
            )
        return dict(candidates[self.candidate].model_dump(mode="json"))

    def announce(self, step: Record) -> str:
        """Name the candidate and the rows."""
        if not isinstance(step, TrainModelInput):
            return super().announce(step)
        return f"model {step.spec.name}, candidate {step.candidate.label}, {step.snapshot.rows:,} rows"
