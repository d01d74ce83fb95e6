"""``RollBackOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator, param

if TYPE_CHECKING:
    from airflow.sdk import Context


class RollBackOperator(StepOperator):
    """Serve the champion before this one again; needs neither MLflow nor an approval.

    :param spec: the model; only its name is used, so a broken file does not stop a roll back.
    :param to_version: version to serve again; the DAG param of that name overrides it.
    :param reason: why, for the ledger; the DAG param of that name overrides it.
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
            "reason": param(context, "reason") or self.reason,
        }
