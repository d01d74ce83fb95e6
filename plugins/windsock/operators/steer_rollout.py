"""``SteerRolloutOperator``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.bases.skipmixin import SkipMixin

from windsock.exceptions import VerdictError
from windsock.operators.base import StepOperator, param
from windsock.operators.reasons import reason_of
from windsock.operators.rollout_end import emit_end, send_rollout_alerts
from windsock.records import Rollout, running_rollout
from windsock.spec import SharedSpec
from windsock.steps import Verdict
from windsock.texts import numbered

if TYPE_CHECKING:
    from airflow.sdk import Context

JUDGE = "judge"
OUTCOMES = {"stop": "stopped", "roll_back": "rolled_back"}
ACTIONS = (JUDGE, "pause", "resume", *OUTCOMES)
"""What a person may ask of a rollout."""

Action = Literal["judge", "pause", "resume", "stop", "roll_back"]


class SteerRolloutOperator(StepOperator, SkipMixin):
    """Do with the rollout that is under way what a person asks for; what follows runs for ``judge`` only.

    ``pause`` and ``resume`` are kept in the ledger; ``stop`` and ``roll_back`` end the rollout at once and
    hold what it tries, and need neither MLflow nor an approval. Where nothing is under way, nothing is done.

    Template fields: ``action``, ``reason``.

    :param action: what to do; the DAG param of that name overrides it.
    :param reason: why, for the ledger; the DAG param of that name overrides it. Without one the ledger says
        what was done, and by whom.
    :param shared: the alert channels: a ``SharedSpec`` or its content.
    """

    step = "steer_rollout"
    ui_color = "#fce8e6"
    inherits_from_skipmixin = True
    template_fields = ("action", "reason")

    def __init__(
        self,
        *,
        action: Action = "judge",
        reason: str = "",
        shared: SharedSpec | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.reason = reason
        self.shared = shared or {}

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the model's name, the action and the reason."""
        return {
            "model": self._model_name(),
            "action": self._action(context),
            "reason": self._reason(context),
        }

    def execute(self, context: Context) -> Any:
        """Do it; skip what follows unless the rollout is to be judged."""
        with self._verdict_on_error():
            pushed = self._steer(context)
        if self._action(context) != JUDGE:
            context["ti"].xcom_push(key="return_value", value=pushed)
            self.skip(ti=context["ti"], tasks=context["task"].get_direct_relatives(upstream=False))
        return pushed

    def _action(self, context: Context) -> str:
        return str(param(context, "action") or self.action)

    def _reason(self, context: Context) -> str:
        return reason_of(context, param(context, "reason") or self.reason, self._action(context))

    def _steer(self, context: Context) -> Any:
        action = self._action(context)
        if action == JUDGE:
            return self._done("PASS", "nothing to steer; the rollout is judged next")
        if param(context, "dry_run"):
            return self._done("DRY RUN", f"nothing was done for {action}")
        rollout = self._rollout(context, action)
        if rollout is None:
            return self._done("UNCHANGED", f"no rollout is under way: nothing to {action}")
        if action not in OUTCOMES:
            return self.finish(context, self.run(context, self.step_input(context)))
        content = {
            "model": rollout.model,
            "experiment": rollout.experiment,
            "outcome": OUTCOMES[action],
            "reason": self._reason(context),
        }
        result = self.run(context, content, step="roll_back")
        ports = self.hook.ports()
        emit_end(self, context, ports, rollout.experiment)
        send_rollout_alerts(self, ports, shared=self.shared)
        return self.finish(context, result)

    def _rollout(self, context: Context, action: str) -> Rollout | None:
        """Return what is under way.

        Any of the versions that it tries names it.

        :raises VerdictError: if the form names a version that it does not try.
        """
        rollout = running_rollout(self.hook.ports().ledger.rows(self._model_name()))
        asked = [one.strip() for one in str(param(context, "version") or "").split(",") if one.strip()]
        if rollout is None or {*asked} <= {one.version for one in rollout.challengers}:
            return rollout
        which = "one of those that are" if rollout.others else "the one that is"
        raise VerdictError(
            f"{rollout.model}: {action} was asked for {numbered(asked)}, but {rollout.named} "
            f"{'are' if rollout.others else 'is'} being rolled out; nothing was done",
            code="WS-ROLLOUT-090",
            next_action=f"Leave the version empty, or name {which} being rolled out.",
        )

    def _done(self, word: str, why: str) -> None:
        self.verdict = Verdict(word=word, why=why, ids={"model": self._model_name()})
