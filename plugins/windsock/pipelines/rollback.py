"""The roll back DAG of a model: a typed form, one click."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from windsock.operators.assets import rollout_asset, sometimes
from windsock.operators.reasons import by_hand
from windsock.operators.roll_back import RollBackOperator
from windsock.pipelines.docs import RED
from windsock.pipelines.forms import reason_param
from windsock.pipelines.lane import EMERGENCY
from windsock.pipelines.retries import default_args
from windsock.spec import ModelSpec, SharedSpec

PURPOSE = (
    "Serves an earlier champion again; needs neither MLflow nor an approval. While a rollout is under way it "
    "ends that one, and the champion serves all traffic again. One more click goes one version further back; "
    "within 15 minutes of a rollout's end it does nothing, unless it names the version."
)


def rollback_dag(spec: ModelSpec, shared: SharedSpec) -> DAG:
    """Return the roll back DAG of a model.

    :param shared: the alert channels.
    """
    with DAG(
        dag_id=f"{spec.name}__rollback",
        dag_display_name=f"{spec.name}: roll back",
        description=f"Serve the champion of {spec.name} before this one again",
        doc_md=f"{PURPOSE}\n\n{RED.format(name=spec.name)}",
        schedule=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={**default_args(spec, shared), **EMERGENCY},
        params={
            "to_version": Param(
                None,
                type=["null", "string"],
                pattern=r"^\d{1,9}$",
                title="Version",
                description="A version that was champion once; empty: the one before this.",
            ),
            "reason": reason_param("of the roll back", by_hand("roll_back")),
        },
        tags=["windsock", f"model:{spec.name}"],
    ) as dag:
        RollBackOperator(
            task_id="roll_back",
            spec=spec.name,
            outlets=[sometimes(rollout_asset(spec.name))] if spec.rollout.strategy != "direct" else [],
        )
    return dag
