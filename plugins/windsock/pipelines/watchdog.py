"""``windsock__watchdog``: every two minutes, one for each installation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from airflow.sdk import DAG

from windsock.operators.assets import due_outlet
from windsock.operators.watch import WatchOperator
from windsock.pipelines.docs import RED
from windsock.pipelines.lane import PROMPT
from windsock.pipelines.retries import usual_args
from windsock.pipelines.schedules import every
from windsock.spec import ModelSpec, parse_duration

DAG_ID = "windsock__watchdog"
EVERY = timedelta(minutes=2)
SHORTEST = timedelta(seconds=10)
PURPOSE = (
    "Finds what is due in all models and starts the DAG that does it: windows to judge, the next analysis of "
    "a rollout, a version that waits. Judges windows that nobody used. Finds what cannot work, keeps it as "
    "findings and sends alerts. Switch it off and no monitor and no rollout starts by itself."
)


def pace_of(specs: Iterable[ModelSpec]) -> timedelta:
    """Return how often the watchdog looks: every two minutes, or as often as the shortest window or check."""
    asked = [spec.monitoring.window_length for spec in specs if spec.monitoring.is_on]
    asked += [parse_duration(spec.rollout.check) for spec in specs if spec.rollout.strategy != "direct"]
    return max(SHORTEST, min([EVERY, *asked]))


def watchdog_dag(pace: timedelta = EVERY) -> DAG:
    """Return the installation's watchdog DAG.

    :param pace: how often it looks.
    """
    with DAG(
        dag_id=DAG_ID,
        dag_display_name="Windsock: watchdog",
        description="Starts what is due in all models and tells what cannot work",
        doc_md=f"{PURPOSE}\n\n{RED.format(name='NAME')}",
        schedule=every(pace),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={**usual_args("windsock"), **PROMPT},
        tags=["windsock"],
    ) as dag:
        WatchOperator(task_id="watch", outlets=[due_outlet()])
    return dag
