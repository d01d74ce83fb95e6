"""Which faults are tried again: transport, never a verdict."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule


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


def default_args(owner: str) -> dict[str, Any]:
    """Return what every task of a model shares."""
    return {
        "owner": owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": retry_policy(),
    }
