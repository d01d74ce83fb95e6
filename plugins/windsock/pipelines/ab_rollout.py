"""The rollout DAG of a model: one run is one analysis of what is being tried."""

from __future__ import annotations

from airflow.sdk import DAG, Param, TriggerRule, chain

from windsock.operators.approve_rollout import ApproveRolloutOperator
from windsock.operators.assets import challenger_asset, due_asset, rollout_asset, sometimes
from windsock.operators.judge_rollout import JudgeRolloutOperator
from windsock.operators.move_rollout import MoveRolloutOperator
from windsock.operators.question import ASKED_AGAIN
from windsock.operators.start_rollout import StartRolloutOperator
from windsock.operators.steer_rollout import ACTIONS, JUDGE, SteerRolloutOperator
from windsock.pipelines.docs import ab_rollout_doc
from windsock.pipelines.forms import reason_param
from windsock.pipelines.lane import PROMPT
from windsock.pipelines.retries import default_args
from windsock.records import MOST_CHALLENGERS
from windsock.sensors.rollout import RolloutSensor
from windsock.spec import ModelSpec, SharedSpec

DURATION = r"^(\d{1,6}\s*[wdhms]\s*)+$"
PERCENTS = r"^\s*\d{1,3}(\.\d{1,2})?(\s*,\s*\d{1,3}(\.\d{1,2})?){0,19}\s*$"
VERSIONS = rf"^\s*\d{{1,9}}(\s*,\s*\d{{1,9}}){{0,{MOST_CHALLENGERS - 1}}}\s*$"
AS_IN_FILE = "as the model's file says"
RUNS = 5
"""Runs at once. One may ask a person, one may wait for its look, and a question about a rollout that is over
may still be open: one by hand has room beside them."""


def rollout_params(spec: ModelSpec) -> dict[str, Param]:
    """Return the typed form of a rollout DAG; a run of the scheduler has what stands here.

    :param spec: names the metrics.
    """
    return {
        "action": Param(
            JUDGE,
            type="string",
            enum=list(ACTIONS),
            title="Action",
            description="judge: look now; stop and roll_back end the rollout, the champion serves on.",
        ),
        "version": Param(
            None,
            type=["null", "string"],
            pattern=VERSIONS,
            title="Version",
            description="Start this waiting version (several such as 4, 5), or act only where it is tried; "
            "empty: whichever it is.",
        ),
        "steps": Param(
            None,
            type=["null", "string"],
            pattern=PERCENTS,
            title="Steps",
            description="canary: percents of the units such as 5, 25, 50, 100; empty: as the model's file "
            "says.",
        ),
        "metric": Param(
            None,
            type=["null", "string"],
            enum=[None, *sorted(spec.rollout.metric_blocks)],
            # Without it Airflow's form shows the word null; the name "None" would stand for every metric.
            values_display={"null": AS_IN_FILE},
            title="Metric",
            description="What decides.",
        ),
        "horizon": Param(
            None,
            type=["null", "string"],
            pattern=DURATION,
            title="Horizon",
            description="Declared length of the test, such as 14d; empty: as the model's file says.",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Judge at once and show the decision; nothing is started, kept or moved.",
        ),
        "reason": reason_param("of a pause, resume, stop or roll_back; judge keeps none"),
    }


def ab_rollout_dag(spec: ModelSpec, shared: SharedSpec) -> DAG:
    """Return the rollout DAG of a model: pick up what is tried, wait, judge, carry out.

    :param shared: the approvers and the alert channels.
    """
    strategy = spec.rollout.strategy
    with DAG(
        dag_id=f"{spec.name}__ab_rollout",
        dag_display_name=f"{spec.name}: rollout ({strategy})",
        description=f"Judge a new version of {spec.name} on its share of the traffic",
        doc_md=ab_rollout_doc(spec),
        schedule=challenger_asset(spec.name) | due_asset(spec.name, "rollout"),
        catchup=False,
        max_active_runs=RUNS,
        is_paused_upon_creation=False,
        default_args={**default_args(spec, shared), **PROMPT},
        params=rollout_params(spec),
        tags=["windsock", f"model:{spec.name}"],
    ) as dag:
        build_rollout(spec, shared)
    return dag


def build_rollout(spec: ModelSpec, shared: SharedSpec) -> None:
    """Add the rollout's tasks to the DAG that is open.

    :param shared: the approvers and the alert channels.
    """
    content = spec.model_dump(mode="json")
    channels = shared.model_dump(mode="json", include={"alert_channels"})
    ended = [sometimes(rollout_asset(spec.name))]
    steer = SteerRolloutOperator(task_id="steer_rollout", spec=content, shared=channels, outlets=ended)
    start = StartRolloutOperator(task_id="start_rollout", spec=content, shared=channels)
    wait = RolloutSensor(task_id="wait_for_look", spec=content, state=start.output, nearest=True)
    judge = JudgeRolloutOperator(task_id="judge_rollout", spec=content, rollout=wait.output)
    approve = ApproveRolloutOperator(
        task_id="approve_promotion",
        spec=content,
        decision=judge.output,
        approvers=shared.approvers.for_tier(spec.model.tier),
        retries=ASKED_AGAIN,
    )
    move = MoveRolloutOperator(
        task_id="move_rollout",
        spec=content,
        decision=judge.output,
        approval=approve.output,
        shared=channels,
        # The question is skipped where nobody is asked; nothing is moved by a look that was not taken.
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        outlets=ended,
    )
    chain(steer, start, wait, judge, approve, move)
