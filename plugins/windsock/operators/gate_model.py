"""``GovernanceGateOperator``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.skipmixin import SkipMixin

from windsock.door.approvals import needed_approvals
from windsock.operators.base import StepOperator, param
from windsock.operators.question import RESPONSE_TIMEOUT
from windsock.operators.tables import log_checks
from windsock.records import GateDecision, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from windsock.steps import StepResult


class GovernanceGateOperator(StepOperator, SkipMixin):
    """Let nothing through without evidence.

    ``promote`` goes on; ``keep`` is green and skips the rest; ``refuse`` is red and is not retried. A dry run
    stops here: its decision is logged and kept nowhere, and the rest is skipped.

    Template fields: ``validation``, ``evaluation``.

    :param validation: the ``ValidationReport`` of the validation task.
    :param evaluation: the ``Evaluation`` of the evaluation task.
    :param approvers: user ids that may approve what passes, for the log; empty: anyone with the permission.
    """

    step = "gate_model"
    ui_color = "#fce8e6"
    template_fields = ("validation", "evaluation")

    def __init__(
        self, *, validation: Any, evaluation: Any, approvers: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.approvers = tuple(approvers)
        self.validation = validation
        self.evaluation = evaluation

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the evidence."""
        dry_run = bool(param(context, "dry_run"))
        return {"validation": self.validation, "evaluation": self.evaluation, "dry_run": dry_run}

    def report(self, result: StepResult) -> None:
        """Log the gate's table."""
        if isinstance(result.record, GateDecision):
            log_checks("gate", result.record.checks)

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
        elif isinstance(result.record, GateDecision):
            self._say_who(result.record)
        return pushed

    def _say_who(self, decision: GateDecision) -> None:
        asked = self._asked(decision)
        if asked and self.verdict is not None:
            after = self.verdict.next_action.partition("; to be asked no more: ")
            self.verdict = replace(self.verdict, next_action=asked + "".join(after[1:]))

    def _asked(self, decision: GateDecision) -> str:
        """Return who must approve what passed, where, and until when; empty where nobody must."""
        needed = needed_approvals(self.model_spec().model.tier, decision.asks)
        if not needed:
            return ""
        people = "a person" if needed == 1 else f"{needed} people"
        who = f" ({', '.join(self.approvers)})" if self.approvers else " with the permission"
        other = f", other than {decision.requested_by}" if decision.requested_by else ""
        until = self.hook.ports().now() + RESPONSE_TIMEOUT
        return (
            f"{people}{who}{other} must approve it in Airflow under Required Actions (task approve_model, "
            f"after the registration), until about {until:%Y-%m-%d %H:%M} UTC; no answer means no"
        )
