"""``PromoteModelOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.assets import challenger_asset, emit
from windsock.operators.base import StepOperator
from windsock.records import Promotion

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult


class PromoteModelOperator(StepOperator):
    """Make a version the champion, through the ledger: the one door to production.

    The approvals of that very version and digest are read from the ledger, never from upstream states. A
    version whose spec asks for a rollout does not serve by it, but waits; the rollout's DAG is told so.

    Template fields: ``version``.

    :param version: the ``RegisteredVersion`` of the registration task.
    """

    step = "promote_model"
    ui_color = "#f3e8fd"
    template_fields = ("version",)

    def __init__(self, *, version: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the version."""
        return {"version": self.version}

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push the promotion; where the version waits for its rollout, tell who starts it."""
        record = result.record
        if isinstance(record, Promotion) and record.waiting:
            extra = {"version": record.version, "digest": record.digest}
            emit(self, context, challenger_asset(record.model), extra)
        return super().finish(context, result)
