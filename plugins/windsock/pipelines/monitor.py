"""The monitor DAG of a model: each window of the prediction log is judged once."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

from windsock.operators.assets import drift_asset, due_asset, retrain_asset, sometimes
from windsock.operators.check_drift import CheckDriftOperator
from windsock.operators.check_performance import CheckPerformanceOperator
from windsock.operators.decide_retrain import DecideRetrainOperator
from windsock.operators.send_alerts import SendAlertsOperator
from windsock.pipelines.docs import monitor_doc
from windsock.pipelines.retries import default_args
from windsock.sensors.drift import DriftSensor
from windsock.spec import ModelSpec, SharedSpec


def monitor_dag(spec: ModelSpec, shared: SharedSpec) -> DAG:
    """Return the monitor DAG of a model: wait for a window's end, judge it, apply the trigger policy.

    The watchdog starts it for windows with rows, and for whatever else it has to do.

    :param shared: the alert channels.
    """
    window = spec.monitoring.window
    with DAG(
        dag_id=f"{spec.name}__monitor",
        dag_display_name=f"{spec.name}: monitor ({window})",
        description=f"Judge every window ({window}) of what {spec.name} is asked and answers",
        doc_md=monitor_doc(spec),
        schedule=[due_asset(spec.name, "monitor")],
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=default_args(spec, shared),
        tags=["windsock", f"model:{spec.name}"],
    ) as dag:
        build_monitor(spec, shared)
    return dag


def build_monitor(spec: ModelSpec, shared: SharedSpec) -> None:
    """Add the monitor's tasks to the DAG that is open.

    :param shared: the alert channels.
    """
    content = spec.model_dump(mode="json")
    windows = DriftSensor(task_id="wait_for_window", spec=content)
    checks: list[Any] = []
    label = "{{ task.window['end'] }}"
    if spec.monitoring.data_drift:
        checks.append(
            CheckDriftOperator.partial(
                task_id="check_drift",
                spec=content,
                map_index_template=label,
                outlets=[sometimes(drift_asset(spec.name))],
            ).expand(window=windows.output)
        )
    if spec.monitoring.performance_tracking:
        checks.append(
            CheckPerformanceOperator.partial(
                task_id="check_performance", spec=content, map_index_template=label
            ).expand(window=windows.output)
        )
    decision = DecideRetrainOperator(
        task_id="decide_retrain",
        spec=content,
        trigger_rule=TriggerRule.ALL_DONE,  # a window that could not be judged does not hide the others
        outlets=[sometimes(retrain_asset(spec.name))],
    )
    alerts = SendAlertsOperator(
        task_id="send_alerts",
        spec=content,
        shared=shared.model_dump(mode="json", include={"alert_channels"}),
        trigger_rule=TriggerRule.ALL_DONE,
    )
    # A run is as red as its last task: this one is, where a window could not be judged.
    judged = EmptyOperator(task_id="judged", trigger_rule=TriggerRule.NONE_FAILED)
    checks >> decision >> alerts
    [*checks, decision, alerts] >> judged
