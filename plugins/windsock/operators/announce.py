"""Work that is due is announced once, and again where its run has died."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.exceptions import SchedulerUnavailableError
from windsock.operators.assets import due_asset, due_outlet
from windsock.operators.origin import origin_of
from windsock.ports import utc_now
from windsock.records import DueWork
from windsock.records.watch import WorkKind

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from windsock.hooks.airflow_state import AirflowState

log = logging.getLogger("windsock.task")

AGAIN = timedelta(minutes=5)
"""So long after an announcement that came to nothing the same work is announced again; then after twice as
long each time; never later than the work's own patience."""
OPEN = ("queued", "running")
BUSY = ("scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule")


class Worker(NamedTuple):
    """The DAG that does a kind of work.

    :param suffix: its id after the model's name.
    :param tasks: those of which one is at it while the work is under way; empty: any run that is open. A run
        that only waits for a person's answer is not at it.
    """

    suffix: str
    tasks: tuple[str, ...] = ()


WORKERS: Mapping[WorkKind, Worker] = {
    "monitor": Worker("__monitor"),
    "rollout": Worker(
        "__ab_rollout", ("steer_rollout", "start_rollout", "wait_for_look", "judge_rollout", "move_rollout")
    ),
}


def announce(
    operator: BaseOperator, context: Context, due: Iterable[DueWork], airflow: AirflowState
) -> tuple[tuple[DueWork, ...], tuple[str, ...]]:
    """Emit an event for work that is due and that nobody is at.

    :returns: what was announced, and one sentence for each DAG that is off, missing or not known.
    """
    announced: list[DueWork] = []
    held: list[str] = []
    for work in due:
        try:
            tries, why = _tries(work, airflow)
        except SchedulerUnavailableError as error:
            tries, why = 0, f"{work.model}: {error.code}: {error.message}"
        if why:
            held.append(why)
        if not tries:
            continue
        extra: dict[str, Any] = {"work": work.key, "tries": tries, "reason": work.reason}
        outlet = context["outlet_events"][due_outlet()]
        outlet.add(due_asset(work.model, work.kind), extra={**extra, **origin_of(context).extra()})
        log.info("%s: %s is due: %s", work.model, work.kind, work.reason)
        announced.append(work)
    return tuple(announced), tuple(held)


def _tries(work: DueWork, airflow: AirflowState) -> tuple[int, str]:
    """Return the number of this announcement of the work, 0 for none now; and why, where one must know."""
    worker = WORKERS[work.kind]
    dag_id = f"{work.model}{worker.suffix}"
    dag = airflow.dag(dag_id)
    if dag is None:
        return 0, f"{dag_id} is due and Airflow does not know it: {work.reason}"
    if dag.is_paused:
        return 0, f"{dag_id} is due and is switched off: {work.reason}"
    if _is_under_way(dag_id, worker, airflow):
        return 0, ""
    last = airflow.last_event(due_asset(work.model, work.kind))
    if last is None or last.extra.get("work") != work.key:
        return 1, ""
    tries = int(last.extra.get("tries") or 1)
    patience = timedelta(seconds=work.patience)
    wait = min(min(AGAIN, patience) * 2 ** min(tries - 1, 16), patience)
    return (0, "") if timedelta(0) <= utc_now() - last.at < wait else (tries + 1, "")


def _is_under_way(dag_id: str, worker: Worker, airflow: AirflowState) -> bool:
    if not worker.tasks:
        return airflow.runs(dag_id, OPEN) > 0
    return airflow.runs(dag_id, OPEN[:1]) > 0 or airflow.tasks(dag_id, worker.tasks, BUSY) > 0


__all__ = ["announce"]
