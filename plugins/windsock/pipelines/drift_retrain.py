"""The retrain DAG that a drift episode starts."""

from __future__ import annotations

from airflow.sdk import DAG

from windsock.operators.assets import retrain_asset
from windsock.pipelines.docs import drift_retrain_doc
from windsock.pipelines.retrain import build_retrain, retrain_params
from windsock.pipelines.retries import default_args
from windsock.spec import ModelSpec, SharedSpec


def drift_retrain_dag(spec: ModelSpec, shared: SharedSpec) -> DAG:
    """Return the DAG that retrains a model when its monitor, or an outside event, asks for it.

    :param shared: compute classes and approvers.
    """
    with DAG(
        dag_id=f"{spec.name}__drift_retrain",
        dag_display_name=f"{spec.name}: retrain on drift",
        description=f"Retrain {spec.name} on recent rows when its monitor asks for it",
        doc_md=drift_retrain_doc(spec),
        schedule=[retrain_asset(spec.name)],
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=default_args(spec, shared),
        params=retrain_params(),
        tags=["windsock", f"model:{spec.name}"],
    ) as dag:
        build_retrain(spec, shared, recent=True)
    return dag
