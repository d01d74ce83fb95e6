"""A DAG written by hand: train and judge a model each Monday, without deploying it.

Windsock's operators are ordinary Airflow operators: take those you need, in your own DAG.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from windsock.operators.evaluate_model import EvaluateModelOperator
from windsock.operators.gate_model import GovernanceGateOperator
from windsock.operators.take_snapshot import SnapshotDataOperator
from windsock.operators.train_model import TrainModelOperator
from windsock.operators.validate_data import ValidateDataOperator

with DAG(
    dag_id="example_composed",
    description="Train and judge the churn model without deploying it",
    doc_md=__doc__,
    schedule="0 6 * * 1",
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "ds-team@company.com", "retries": 2},
    tags=["windsock", "model:churn", "example"],
):
    snapshot = SnapshotDataOperator(task_id="snapshot", spec="churn")
    validation = ValidateDataOperator(task_id="validate", spec="churn", snapshot=snapshot.output)
    forest = TrainModelOperator(
        task_id="train_forest",
        spec="churn",
        snapshot=snapshot.output,
        validation=validation.output,
        candidate={"estimator": "random_forest", "params": {"n_estimators": 200, "min_samples_leaf": 5}},
    )
    evaluation = EvaluateModelOperator(
        task_id="evaluate", spec="churn", snapshot=snapshot.output, candidates=forest.output
    )
    GovernanceGateOperator(
        task_id="gate", spec="churn", validation=validation.output, evaluation=evaluation.output
    )
