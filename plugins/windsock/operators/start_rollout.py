"""``StartRolloutOperator``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.skipmixin import SkipMixin

from windsock.operators.base import StepOperator, param
from windsock.operators.rollout_end import send_rollout_alerts
from windsock.records import RolloutState
from windsock.spec import SharedSpec

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.steps import StepResult


class StartRolloutOperator(StepOperator, SkipMixin):
    """Go on with the rollout that is under way, else start the version that waits; skip the rest if neither.

    Where the model's file asks for several challengers the versions that wait start together; the form may
    name some of them, such as ``4, 5``.

    The form's version, steps, metric and horizon hold for a rollout that this run starts; one that is under
    way keeps the plan that it began with. Where nothing is under way, an end that was not told yet, such as
    one by a command, is told here.

    Template fields: none.

    :param shared: the alert channels: a ``SharedSpec`` or its content.
    """

    step = "start_rollout"
    ui_color = "#f3e8fd"
    inherits_from_skipmixin = True

    def __init__(self, *, shared: SharedSpec | Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shared = shared or {}

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return what the form asks for; a run of the scheduler asks for nothing."""
        asked: dict[str, Any] = {name: param(context, name) for name in ("metric", "horizon")}
        asked["steps"] = steps_of(param(context, "steps"))
        return {
            "overrides": {name: value for name, value in asked.items() if value},
            "version": param(context, "version"),
            "only_look": bool(param(context, "dry_run")),
        }

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push what is under way; skip what follows if nothing is."""
        pushed = super().finish(context, result)
        if isinstance(result.record, RolloutState) and result.record.rollout is None:
            context["ti"].xcom_push(key="return_value", value=pushed)
            if not param(context, "dry_run"):
                with self._verdict_on_error():
                    send_rollout_alerts(self, self.hook.ports(), shared=self.shared)
            self.skip(ti=context["ti"], tasks=context["task"].get_direct_relatives(upstream=False))
        return pushed


def steps_of(text: str | None) -> list[float] | None:
    """Return the percents that a form's line such as ``5, 25, 50, 100`` names."""
    if not text:
        return None
    return [float(part) for part in text.split(",")]
