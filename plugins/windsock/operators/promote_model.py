"""``PromoteModelOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromoteModelOperator(StepOperator):
    """Make a version the champion, through the ledger: the one door to production.

    The approvals of that very version and digest are read from the ledger, never from upstream states.

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
