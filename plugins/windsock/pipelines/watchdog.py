"""``windsock__watchdog``: every two minutes, one for each installation."""

from __future__ import annotations

from airflow.sdk import DAG

from windsock.operators.assets import due_outlet
from windsock.operators.watch import WatchOperator
from windsock.pipelines.docs import RED
from windsock.pipelines.retries import usual_args
from windsock.pipelines.schedules import at

DAG_ID = "windsock__watchdog"
EVERY = "*/2 * * * *"
PURPOSE = (
    "Finds what is due in all models and starts the DAG that does it: windows to judge, the next analysis of "
    "a rollout, a version that waits. Judges windows that nobody used. Finds what cannot work, keeps it as "
    "findings and sends alerts. Switch it off and no monitor and no rollout starts by itself."
)


def watchdog_dag() -> DAG:
    """Return the installation's watchdog DAG."""
    with DAG(
        dag_id=DAG_ID,
        dag_display_name="Windsock: watchdog",
        description="Starts what is due in all models and tells what cannot work",
        doc_md=f"{PURPOSE}\n\n{RED.format(name='NAME')}",
        schedule=at(EVERY),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        # The next look is the retry.
        default_args={**usual_args("windsock"), "retries": 0},
        tags=["windsock"],
    ) as dag:
        WatchOperator(task_id="watch", outlets=[due_outlet()])
    return dag
