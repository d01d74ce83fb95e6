"""``MoveRolloutOperator``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.operators.base import StepOperator, run_context
from windsock.operators.rollout_end import emit_end, send_rollout_alerts
from windsock.records import (
    ENDS,
    Approval,
    LedgerRow,
    Rollout,
    RolloutAction,
    RolloutDecision,
    Status,
    concerned,
    running_rollout,
)
from windsock.spec import SharedSpec
from windsock.steps import Verdict
from windsock.steps.rollout_moves import held_up_by, move_of
from windsock.steps.rollout_verdicts import describe_rollout_decision

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.ports import Ports


class Move(NamedTuple):
    """A step to be run.

    :param step: its name.
    :param content: its input.
    """

    step: str
    content: dict[str, Any]


class MoveRolloutOperator(StepOperator):
    """Carry out what was decided on a rollout: more traffic, a promotion, the drop of a version, the end.

    To hold, and a decision of a dry run, moves nothing. A decision that was overtaken, by a later look, a
    pause or the rollout's end, moves nothing either. A person's no ends the rollout as stopped. Each move is
    made once, however often the task is tried.

    Template fields: ``decision``, ``approval``.

    :param decision: the ``RolloutDecision`` of the judging task.
    :param approval: the ``Approval`` of the asking task; ``None`` where nobody was asked.
    :param shared: the alert channels: a ``SharedSpec`` or its content.
    """

    step = "shift_traffic"
    ui_color = "#f3e8fd"
    template_fields = ("decision", "approval")

    def __init__(
        self,
        *,
        decision: Any,
        approval: Any = None,
        shared: SharedSpec | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decision = decision
        self.approval = approval
        self.shared = shared or {}

    def execute(self, context: Context) -> Any:
        """Run the step that follows from the decision; tell what a person must know of the rollout."""
        with self._verdict_on_error():
            decision, ports = RolloutDecision.model_validate(self.decision), self.hook.ports()
            if decision.dry_run:
                self._say("DRY RUN", f"{decision.action.value} is not carried out", decision)
                return None
            pushed = self._move(context, ports, decision)
            send_rollout_alerts(self, ports, shared=self.shared)
            return pushed

    def _move(self, context: Context, ports: Ports, decision: RolloutDecision) -> Any:
        rows = ports.ledger.rows(decision.model)
        rollout = running_rollout(rows)
        if rollout is None or rollout.experiment != decision.experiment:
            return self._is_over(context, ports, decision)
        move = self._rejected(decision) or self._next(context, ports, rollout, decision, rows)
        if move is None:
            return None
        result = self.run(context, move.content, step=move.step)
        if move.step != "shift_traffic":
            emit_end(self, context, ports, decision.experiment)
        return self.finish(context, result)

    def _next(
        self,
        context: Context,
        ports: Ports,
        rollout: Rollout,
        decision: RolloutDecision,
        rows: Sequence[LedgerRow],
    ) -> Move | None:
        last = ports.rollouts.last(rollout.model, rollout.experiment)
        why = held_up_by(rollout, decision, last)
        found = None if why else move_of(decision, self.model_spec(), rows, run=run_context(context))
        if found is None:
            held = decision.replace(action=RolloutAction.HOLD, reason=why, looks=()) if why else decision
            self._say("HOLD", held.reason, decision, describe_rollout_decision(held).next_action)
            return None
        return Move(found[0], dict(found[1]))

    def _rejected(self, decision: RolloutDecision) -> Move | None:
        approval = Approval.model_validate(self.approval) if self.approval else None
        if approval is None or approval.status is not Status.FAIL:
            return None
        return Move(
            "roll_back",
            {
                "model": decision.model,
                "experiment": decision.experiment,
                "outcome": "stopped",
                "reason": f"the promotion was refused: {approval.reason}",
            },
        )

    def _is_over(self, context: Context, ports: Ports, decision: RolloutDecision) -> Any:
        """Tell the end again where this decision brought it about: the try before may not have come to it."""
        end = None
        if decision.action in ENDS:
            end = emit_end(self, context, ports, decision.experiment)
        how = f": {end.outcome.value}" if end else ""
        self._say("UNCHANGED", f"rollout {decision.experiment} is over{how}", decision)
        return end.model_dump(mode="json") if end else None

    def _say(
        self, word: str, why: str, decision: RolloutDecision, next_action: str = "nothing to do"
    ) -> None:
        version = ",".join(one.version for one in concerned(decision))
        ids = {"model": decision.model, "version": version, "rollout": decision.experiment}
        self.verdict = Verdict(word=word, why=why, next_action=next_action, ids=ids)
