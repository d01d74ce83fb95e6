"""``windsock__housekeeping``: hourly, one for each installation."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.sdk import DAG

from windsock.operators.keep_house import HousekeepingOperator
from windsock.pipelines.docs import RED
from windsock.pipelines.lane import PROMPT
from windsock.pipelines.retries import usual_args
from windsock.pipelines.schedules import at

DAG_ID = "windsock__housekeeping"
PURPOSE = (
    "Sets MLflow's aliases as the ledger says, closes orphan runs and finished hours of the prediction log, "
    "checks every ledger's hash chain, keeps the retention, removes the counts of rollouts that ended a week "
    "ago, and tells of a rollout that nobody looks at."
)


def housekeeping_dag(models: Iterable[str], *, keep_predictions_days: float = 0.0) -> DAG:
    """Return the installation's housekeeping DAG.

    :param models: names of its models.
    :param keep_predictions_days: how long the archived prediction log is kept; 0 keeps all.
    """
    with DAG(
        dag_id=DAG_ID,
        dag_display_name="Windsock: housekeeping",
        description="Repairs the registry's aliases from the ledger and closes what was left open",
        doc_md=f"{PURPOSE}\n\n{RED.format(name='NAME')}",
        schedule=at("hourly"),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={**usual_args("windsock"), **PROMPT},
        tags=["windsock"],
    ) as dag:
        HousekeepingOperator(
            task_id="keep_house", models=sorted(models), keep_predictions_days=keep_predictions_days
        )
    return dag
