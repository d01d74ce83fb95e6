"""``windsock__housekeeping``: every ten minutes, one for each installation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from airflow.sdk import DAG

from windsock.operators.keep_house import HousekeepingOperator
from windsock.pipelines.docs import RED
from windsock.pipelines.lane import PROMPT
from windsock.pipelines.retries import usual_args
from windsock.pipelines.schedules import every

DAG_ID = "windsock__housekeeping"
PACE = timedelta(minutes=10)
"""What it repairs is right again before the watchdog tells people of it."""
PURPOSE = (
    "Sets MLflow's aliases as the ledger says, closes orphan runs and finished hours of the prediction log, "
    "checks every ledger's hash chain, removes what `retention` in include/windsock.yaml keeps no longer and "
    "nothing needs, removes the counts of rollouts that ended a week "
    "ago, and tells of a rollout that nobody looks at."
)


def housekeeping_dag(
    models: Iterable[str], *, keep_predictions_days: float = 0.0, retention: dict[str, float] | None = None
) -> DAG:
    """Return the installation's housekeeping DAG.

    :param models: names of its models.
    :param keep_predictions_days: how long the archived prediction log is kept; 0 keeps all.
    :param retention: days by kind that other things are kept which nothing needs any more.
    """
    with DAG(
        dag_id=DAG_ID,
        dag_display_name="Windsock: housekeeping",
        description="Repairs the registry's aliases from the ledger and closes what was left open",
        doc_md=f"{PURPOSE}\n\n{RED.format(name='NAME')}",
        schedule=every(PACE),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={**usual_args("windsock"), **PROMPT},
        tags=["windsock"],
    ) as dag:
        HousekeepingOperator(
            task_id="keep_house",
            models=sorted(models),
            keep_predictions_days=keep_predictions_days,
            retention=retention,
        )
    return dag
