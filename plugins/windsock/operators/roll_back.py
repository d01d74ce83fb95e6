"""``RollBackOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.assets import emit, rollout_asset
from windsock.operators.base import StepOperator, param
from windsock.operators.reasons import reason_of
from windsock.records import RollBack, ended_rollouts

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult


class RollBackOperator(StepOperator):
    """Serve the champion before this one again; needs neither MLflow nor an approval.

    While a rollout is under way it ends that one, and the champion gets all traffic back.

    Template fields: ``to_version``, ``reason``.

    :param spec: the model; only its name is used, so a broken file does not stop a roll back.
    :param to_version: version to serve again; the DAG param of that name overrides it.
    :param reason: why, for the ledger; the DAG param of that name overrides it. Without one the ledger says
        that it was done by hand, and by whom.
    """

    step = "roll_back"
    ui_color = "#fad2cf"
    template_fields = ("to_version", "reason")

    def __init__(self, *, to_version: str | None = None, reason: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to_version = to_version
        self.reason = reason

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the model's name, the version and the reason."""
        return {
            "model": self._model_name(),
            "to_version": param(context, "to_version") or self.to_version,
            "reason": reason_of(context, param(context, "reason") or self.reason, "roll_back"),
        }

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push what serves; where a rollout was ended by it, tell its end."""
        record = result.record
        if isinstance(record, RollBack):
            ended = ended_rollouts(self.hook.ports().ledger.rows(record.model))
            for end in ended:
                if end.epoch == record.epoch:
                    emit(self, context, rollout_asset(record.model), end.model_dump(mode="json"))
        return super().finish(context, result)
