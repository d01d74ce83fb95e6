"""A task's context, as small as an operator needs it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from support.builders import NOON
from windsock.records import RunContext


class FakeTaskInstance:
    """Keeps what is pushed; ``others`` is what other tasks have pushed, by task and key."""

    def __init__(self, map_index: int = -1) -> None:
        self.pushed: dict[str, Any] = {}
        self.others: dict[tuple[str, str], Any] = {}
        self.map_index = map_index
        self.id = "ti-1"

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        return self.others.get((task_ids, key))


RUN = RunContext(dag_id="churn__daily_retrain", run_id="run-1")
"""The run of every context."""


def make_context(task: Any, *, user: str | None = None, **params: Any) -> dict[str, Any]:
    """Return a context for ``task.execute``.

    :param user: who triggered the run; ``None`` for the scheduler.
    :param params: the DAG's params.
    """
    ti = FakeTaskInstance()
    dag_run = SimpleNamespace(
        dag_id="churn__daily_retrain",
        run_id="run-1",
        run_type="manual" if user else "scheduled",
        triggering_user_name=user,
        logical_date=NOON,
    )
    return {
        "ti": ti,
        "task_instance": ti,
        "task": task,
        "dag_run": dag_run,
        "run_id": "run-1",
        "params": params,
    }
