"""How old runs are found and removed in MLflow: marked first, then their files and models, the run last.

A run that is half removed is an open page with the mark on it, and is found again; one that is removed is
deleted in MLflow's sense: its numbers stay until `mlflow gc`, and its page still says what removed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windsock.records.retention import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MARK_TAG = "windsock.removed"
KEY_TAG = "windsock.key"
BUNDLE_TAG = "windsock.bundle_uri"
PARENT_TAG = "mlflow.parentRunId"
PAGE = 1000
ABSENT = "RESOURCE_DOES_NOT_EXIST"


def runs_of(client: MlflowClient, experiment: str) -> tuple[TrackedRun, ...]:
    """Return the runs of an experiment, the oldest first."""
    found: list[TrackedRun] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment],
            order_by=["attributes.start_time ASC"],
            max_results=PAGE,
            page_token=token,
        )
        found += map(_tracked, page)
        token = page.token
        if not token:
            return tuple(found)


def _tracked(run: Run) -> TrackedRun:
    tags = run.data.tags
    return TrackedRun(
        run_id=run.info.run_id,
        key=tags.get(KEY_TAG, ""),
        begun_at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        parent=tags.get(PARENT_TAG, ""),
        bundle_uri=tags.get(BUNDLE_TAG, ""),
        is_open=run.info.status in ("RUNNING", "SCHEDULED"),
        being_removed=MARK_TAG in tags,
    )


def mark_run(client: MlflowClient, run_id: str, told: str) -> None:
    """Write on a run's page why it is removed; one that is gone is left alone."""
    run = _active(client, run_id)
    if run is not None and MARK_TAG not in run.data.tags:
        client.set_tag(run_id, MARK_TAG, told)


def remove_run(client: MlflowClient, run_id: str) -> int:
    """Remove a run's models with their files, its own files, and the run; return how many bytes they had."""
    run = _active(client, run_id)
    if run is None:
        return 0
    freed = 0
    for model in client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    ):
        freed += _remove_files(client, str(model.artifact_location))
        client.delete_logged_model(model.model_id)
    freed += _remove_files(client, run.info.artifact_uri)
    client.delete_run(run_id)
    return freed


def _active(client: MlflowClient, run_id: str) -> Run | None:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def _remove_files(client: MlflowClient, uri: str) -> int:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    files = get_artifact_repository(uri, tracking_uri=client.tracking_uri)
    freed = sum(_sizes(files))
    files.delete_artifacts()  # type: ignore[no-untyped-call]
    return freed


def _sizes(files: Any, folder: str | None = None) -> Iterator[int]:
    for entry in files.list_artifacts(folder):
        if entry.is_dir:
            yield from _sizes(files, entry.path)
        else:
            yield int(entry.file_size or 0)


__all__ = ["mark_run", "remove_run", "runs_of"]
