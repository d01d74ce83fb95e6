"""``GovernanceGateOperator``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.skipmixin import SkipMixin

from windsock.operators.base import StepOperator, param
from windsock.operators.tables import log_checks
from windsock.records import GateDecision, Outcome

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult


class GovernanceGateOperator(StepOperator, SkipMixin):
    """Let nothing through without evidence.

    ``promote`` goes on; ``keep`` is green and skips the rest; ``refuse`` is red and is not retried. A dry run
    stops here: its decision is logged and kept nowhere, and the rest is skipped.

    Template fields: ``validation``, ``evaluation``.

    :param validation: the ``ValidationReport`` of the validation task.
    :param evaluation: the ``Evaluation`` of the evaluation task.
    """

    step = "gate_model"
    ui_color = "#fce8e6"
    template_fields = ("validation", "evaluation")

    def __init__(self, *, validation: Any, evaluation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validation = validation
        self.evaluation = evaluation

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the evidence."""
        dry_run = bool(param(context, "dry_run"))
        return {"validation": self.validation, "evaluation": self.evaluation, "dry_run": dry_run}

    def report(self, result: StepResult) -> None:
        """Log the gate's table."""
        if isinstance(result.record, GateDecision):
            log_checks("Gate", result.record.checks)

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push the decision; skip what follows if nothing is promoted."""
        pushed = super().finish(context, result)
        keeps = isinstance(result.record, GateDecision) and result.record.outcome is Outcome.KEEP
        if keeps or param(context, "dry_run"):
            if not keeps and self.verdict is not None:
                self.verdict = replace(
                    self.verdict,
                    word="DRY RUN",
                    next_action="nothing was registered or deployed; run without dry_run to do it",
                )
            task = context["task"]
            context["ti"].xcom_push(key="return_value", value=pushed)
            self.skip(ti=context["ti"], tasks=task.get_direct_relatives(upstream=False))
        return pushed
