"""The retrain tasks of a model: from the snapshot to the promotion, in one place for every DAG."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, XComArg, chain

from windsock.operators.approve_model import ApproveModelOperator
from windsock.operators.assets import challenger_asset, sometimes
from windsock.operators.claim_retrain import ONSET, RECENT, ClaimRetrainOperator, CloseRetrainOperator
from windsock.operators.deploy_model import DeployModelOperator
from windsock.operators.evaluate_model import EvaluateModelOperator
from windsock.operators.gate_model import GovernanceGateOperator
from windsock.operators.promote_model import PromoteModelOperator
from windsock.operators.question import ASKED_AGAIN
from windsock.operators.register_model import RegisterModelOperator
from windsock.operators.take_snapshot import SnapshotDataOperator
from windsock.operators.train_model import TrainModelOperator
from windsock.operators.validate_data import ValidateDataOperator
from windsock.pipelines.docs import retrain_doc
from windsock.pipelines.lane import HEAVY, PROMPT
from windsock.pipelines.retries import default_args
from windsock.pipelines.schedules import at
from windsock.spec import ModelSpec, SharedSpec, schedule_word

APPROVALS = {"low": 1, "medium": 1, "high": 2}
"""Approval tasks by tier; the one of a low tier asks nobody unless a check was insufficient."""


def retrain_params() -> dict[str, Param]:
    """Return the typed form of a retrain DAG."""
    return {
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Stop after the gate: no version, nothing deployed.",
        ),
        "force": Param(
            False, type="boolean", title="Force", description="Do the work again even if nothing has changed."
        ),
        "data_window": Param(
            None,
            type=["null", "string"],
            pattern=r"^(\d{1,6}\s*[wdhms]\s*)+$",
            title="Data window",
            description="How far back training looks, such as 30d; empty: as the model's file says.",
        ),
    }


def retrain_dag(spec: ModelSpec, shared: SharedSpec) -> DAG:
    """Return the daily retrain DAG of a model.

    :param spec: the model.
    :param shared: compute classes and approvers.
    """
    word = schedule_word(spec.training.schedule)
    with DAG(
        dag_id=f"{spec.name}__daily_retrain",
        dag_display_name=f"{spec.name}: retrain ({word})"
        if word != "daily"
        else f"{spec.name}: daily retrain",
        description=spec.model.description
        or f"Retrain {spec.name} and promote it if the gate lets it through",
        doc_md=retrain_doc(spec),
        schedule=at(spec.training.schedule),
        catchup=False,
        max_active_runs=1,
        default_args=default_args(spec, shared),
        params=retrain_params(),
        tags=["windsock", f"model:{spec.name}"],
    ) as dag:
        build_retrain(spec, shared)
    return dag


def _pulled(task_id: str, key: str) -> str:
    """Return the template of what a task pushed; empty where one of an older release pushed no such key."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}', key='{key}') or '' }}}}"


def build_retrain(spec: ModelSpec, shared: SharedSpec, *, recent: bool = False) -> None:
    """Add the retrain tasks to the DAG that is open; every DAG that retrains uses these.

    The first task claims the model, so that one retrain runs at a time, whichever DAG holds it; the last one
    gives it back, whatever became of the others.

    :param spec: the model.
    :param shared: compute classes and approvers.
    :param recent: whether labelled rows of the prediction log are mixed in, and decide at the gate.
    """
    content = spec.model_dump(mode="json")
    compute = shared.compute_class(spec.training.compute)
    heavy = {"pool": compute.pool, **HEAVY}
    place = {**heavy, "queue": compute.queue}
    approvers = shared.approvers.for_tier(spec.model.tier)
    claim = ClaimRetrainOperator(task_id="claim_retrain", spec=content, approvers=approvers)
    mixed = XComArg(claim, key=RECENT) if recent else None
    onset = _pulled(claim.task_id, ONSET) if recent else None
    snapshot = SnapshotDataOperator(task_id="take_snapshot", spec=content, recent=mixed, onset=onset, **heavy)
    validation = ValidateDataOperator(
        task_id="validate_data", spec=content, snapshot=snapshot.output, **heavy
    )
    trained = TrainModelOperator.partial(
        task_id="train_model",
        spec=content,
        snapshot=snapshot.output,
        validation=validation.output,
        map_index_template="{{ task.candidate_label }}",
        **place,
    ).expand(candidate=list(range(len(spec.candidates))))
    evaluation = EvaluateModelOperator(
        task_id="evaluate_model", spec=content, snapshot=snapshot.output, candidates=trained.output, **place
    )
    gate = GovernanceGateOperator(
        task_id="gate_model",
        spec=content,
        validation=validation.output,
        evaluation=evaluation.output,
        approvers=shared.approvers.for_tier(spec.model.tier),
    )
    version = RegisterModelOperator(
        task_id="register_model", spec=content, decision=gate.output, evaluation=evaluation.output
    )
    approvals = [
        ApproveModelOperator(
            task_id="approve_model" if number == 0 else f"approve_model_{number + 1}",
            spec=content,
            version=version.output,
            decision=gate.output,
            number=number + 1,
            of=APPROVALS[spec.model.tier],
            approvers=approvers,
            retries=ASKED_AGAIN,
            **PROMPT,
        )
        for number in range(APPROVALS[spec.model.tier])
    ]
    deployment = DeployModelOperator(task_id="deploy_model", spec=content, version=version.output, **PROMPT)
    promotion = PromoteModelOperator(
        task_id="promote_model",
        spec=content,
        version=version.output,
        outlets=[sometimes(challenger_asset(spec.name))] if spec.rollout.strategy != "direct" else [],
        **PROMPT,
    )
    tail: list[Any] = [version, *approvals, deployment, promotion]
    chain(claim, snapshot)
    chain(gate, *tail)
    close = CloseRetrainOperator(
        task_id="close_retrain",
        spec=content,
        claim=claim.output,
        approve_task_ids=[task.task_id for task in approvals],
    )
    chain(promotion, close.as_teardown(setups=claim))
