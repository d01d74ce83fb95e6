"""Which faults are tried again: transport, never a verdict."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from windsock.hooks.task_alerts import task_failed, task_worked
from windsock.monitoring.alerts import Recipient
from windsock.pipelines.lane import USUAL
from windsock.spec import ModelSpec, SharedSpec


def retry_policy() -> ExceptionRetryPolicy:
    """Return the policy: transport faults are retried, every other fault that Windsock knows fails at once.

    Faults that Windsock does not know (a killed worker, a bug) follow Airflow's own count of retries.
    """
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception="windsock.exceptions.TransportError",
                action=RetryAction.RETRY,
                reason="something did not answer",
            ),
            RetryRule(
                exception="windsock.exceptions.WindsockError",
                action=RetryAction.FAIL,
                reason="trying again would say the same",
            ),
        ]
    )


def default_args(spec: ModelSpec, shared: SharedSpec) -> dict[str, Any]:
    """Return what every task of a model shares; its owner is told when one has failed for good.

    The alert stands until the task works again.

    :param shared: the alert channels.
    """
    to = Recipient.of(spec)
    return {
        **usual_args(spec.model.owner),
        "on_failure_callback": [task_failed(to, shared)],
        "on_success_callback": [task_worked(to, shared)],
    }


def usual_args(owner: str) -> dict[str, Any]:
    """Return what every task of Windsock shares."""
    return {
        "owner": owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": retry_policy(),
        **USUAL,
    }
