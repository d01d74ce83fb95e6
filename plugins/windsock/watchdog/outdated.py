"""What fires about something that a model's file does not ask for any more: nobody would ever end it."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.records import Alert, Condition
from windsock.spec import ModelSpec
from windsock.watchdog.loop_dags import loop_dags

BY_THE_MONITOR = (
    "drift",
    "performance:",
    "unjudged:",
    "insufficient:",
    "retrain:",
    "watch:unjudged",
    "watch:event",
)
"""How keys begin of what is judged, or waited for, by monitoring alone."""
WITHOUT_FILE = (
    "watch:ledger",
    "watch:pending",
    "watch:route",
    "watch:bundle",
    "watch:alias",
    "watch:rollout",
)
"""How keys begin of what is looked at whether or not a model has a file: it serves on."""
OF_A_DAG = ("watch:blocked:", "task:", "question:")


def outdated(firing: Sequence[Alert], model: str, spec: ModelSpec | None) -> tuple[Condition, ...]:
    """Return the end of each alert of a model that no look and no task can end any more.

    :param firing: the model's alerts that fire.
    :param spec: the model's file; ``None``: it has none, and every file of the folder can be read.
    """
    return tuple(_end(one, why) for one in firing if (why := _why_over(one.key, model, spec)))


def _why_over(key: str, model: str, spec: ModelSpec | None) -> str:
    if spec is None:
        return "" if key.startswith(WITHOUT_FILE) else f"The model {model} has no file any more."
    asked_for = {dag.suffix for dag in loop_dags(spec)}
    if key.startswith(OF_A_DAG):
        suffix = _suffix(key)
        return "" if suffix in asked_for else f"The model's file asks for no {model}__{suffix} any more."
    if key.startswith(BY_THE_MONITOR) and not spec.monitoring.is_on:
        return "The model's monitoring is switched off in its file."
    return ""


def _suffix(key: str) -> str:
    """Return which DAG a key is about: of ``watch:blocked:SUFFIX``, or of ``task:MODEL__SUFFIX.TASK``."""
    if key.startswith("watch:blocked:"):
        return key.removeprefix("watch:blocked:")
    return key.partition(":")[2].partition(".")[0].rpartition("__")[2]


def _end(alert: Alert, why: str) -> Condition:
    return Condition(alert.key, False, alert.severity, alert.title, why, code=alert.code or "")


__all__ = ["outdated"]
