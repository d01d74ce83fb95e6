"""The daily retrain DAG of one model, run by Airflow in this process (``dag.test``).

Usage: ``windsock_retrain.py MODEL`` with WINDSOCK_* and AIRFLOW_HOME set and the server running.
"""

from __future__ import annotations

import os
import sys

from airflow.sdk.api.datamodels._generated import TaskInstanceState


def main(model: str) -> None:
    """Run the DAG once and print the state of each task."""
    from airflow.dag_processing.dagbag import DagBag

    folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
    dag = DagBag(dag_folder=folder).dags[f"{model}__daily_retrain"]
    run = dag.test()
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    print(states)
    if set(states.values()) != {TaskInstanceState.SUCCESS.value}:
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
