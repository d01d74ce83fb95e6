"""``DeployModelOperator``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.operators.base import StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeployModelOperator(StepOperator):
    """Bring a registered version to the server, without traffic, and see it answer its golden predictions.

    Template fields: ``version``.

    :param version: the ``RegisteredVersion`` of the registration task.
    """

    step = "deploy_model"
    ui_color = "#f3e8fd"
    template_fields = ("version",)

    def __init__(self, *, version: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the version."""
        return {"version": self.version}
