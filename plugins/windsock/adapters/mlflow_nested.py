"""Runs of MLflow by their key, and runs beneath others: a retrain's candidates, a search's trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from windsock.adapters.mlflow_values import write_values
from windsock.ports import ParentDraft, RunDraft, TrialDraft

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KEY_TAG = "windsock.key"
PARENT_TAG = "mlflow.parentRunId"
MOST_TRIALS = 100
"""Trials of a search that become runs, the best ones; its table has them all."""
PAGE = 1000


def run_of_key(client: MlflowClient, experiment: str, key: str, run_name: str) -> Run:
    """Return the one run of a key. A lost answer, or a twin at work at the same time, may have made two.

    A finished one stands, else the older; others are deleted, with what lies beneath them.
    """
    if "'" in key:
        raise ValueError("an idempotency key holds no quotes")
    wanted = f"tags.`{KEY_TAG}` = '{key}'"
    if not client.search_runs([experiment], filter_string=wanted, max_results=1):
        client.create_run(experiment, tags={KEY_TAG: key}, run_name=run_name)
    found = client.search_runs([experiment], filter_string=wanted)
    standing, *others = sorted(
        found, key=lambda run: (run.info.status != "FINISHED", run.info.start_time, run.info.run_id)
    )
    for run in others:
        for beneath in _beneath(client, experiment, run.info.run_id):
            client.delete_run(beneath.info.run_id)
        client.delete_run(run.info.run_id)
    return standing


def put_beneath(client: MlflowClient, run: Run, draft: ParentDraft) -> None:
    """Put a run beneath the one of a key, which is made and finished if there is none."""
    parent = run_of_key(client, run.info.experiment_id, draft.key, draft.run_name)
    if parent.info.status != "FINISHED":
        write_values(client, parent, {}, {}, {**draft.tags, KEY_TAG: draft.key})
        client.set_terminated(parent.info.run_id, "FINISHED")
    write_values(client, run, {}, {}, {PARENT_TAG: parent.info.run_id})


def parent_of(client: MlflowClient, run_id: str) -> Run | None:
    """Return the run that one lies beneath; ``None``: it lies beneath none, or that one is gone."""
    from mlflow.exceptions import MlflowException

    named = client.get_run(run_id).data.tags.get(PARENT_TAG)
    if not named:
        return None
    try:
        parent = client.get_run(named)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return parent if parent.info.lifecycle_stage == "active" else None


def write_trials(client: MlflowClient, run: Run, draft: RunDraft, tags: Mapping[str, str]) -> None:
    """Write the best trials of a search as runs beneath their candidate's; those that are there stay.

    :param tags: what each of them has besides its own.
    """
    if not draft.trials:
        return
    experiment, parent = run.info.experiment_id, run.info.run_id
    there = {one.data.tags.get(KEY_TAG): one for one in _beneath(client, experiment, parent)}
    for trial in _best(draft):
        key = f"{draft.key}/trial-{trial.number}"
        made = there.get(key)
        if made is None:
            named = {**tags, KEY_TAG: key, PARENT_TAG: parent, "windsock.kind": "trial"}
            name = f"{draft.run_name}, trial {trial.number}"
            made = client.create_run(experiment, tags=named, run_name=name)
        if made.info.status == "RUNNING":
            failed = {"windsock.error": trial.error} if trial.error else {}
            write_values(client, made, trial.params, trial.metrics, failed)
            client.set_terminated(made.info.run_id, "FAILED" if trial.error else "FINISHED")


def _best(draft: RunDraft) -> list[TrialDraft]:
    """Return the trials that become runs, in their order."""
    ranked = sorted(draft.trials, key=lambda trial: (bool(trial.error), trial.rank, trial.number))
    return sorted(ranked[:MOST_TRIALS], key=lambda trial: trial.number)


def _beneath(client: MlflowClient, experiment: str, run_id: str) -> Iterator[Any]:
    wanted = f"tags.`{PARENT_TAG}` = '{run_id}'"
    yield from client.search_runs([experiment], filter_string=wanted, max_results=PAGE)


__all__ = ["KEY_TAG", "parent_of", "put_beneath", "run_of_key", "write_trials"]
