"""``MlflowTracker``: runs in MLflow, one for each idempotency key, whatever was killed or answered twice."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from windsock.adapters.mlflow_client import MlflowService, web_address
from windsock.adapters.mlflow_model import log_model
from windsock.adapters.mlflow_nested import KEY_TAG, parent_of, put_beneath, run_of_key, write_trials
from windsock.adapters.mlflow_removal import mark_run, remove_run, runs_of
from windsock.adapters.mlflow_values import write_values
from windsock.ports import RunDraft
from windsock.private_files import make_folder
from windsock.records import ColumnKind, DataSnapshot
from windsock.records.retention import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

log = logging.getLogger(__name__)

UI_URL = "WINDSOCK_TRACKING_UI_URL"
TWINS = 2
"""How often a run may turn out to be another process's while it is written."""
SHARED_BY_TRIALS = (
    "windsock.model",
    "windsock.candidate",
    "windsock.snapshot",
    "windsock.owner",
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
)
"""Tags of a candidate's run that its trials have, too."""
DATASET_DIGEST = 36
"""Longest dataset digest that MLflow keeps; the whole one stands in the dataset's source."""
COLSPEC = {
    ColumnKind.NUMBER: "double",
    ColumnKind.INTEGER: "long",
    ColumnKind.BOOLEAN: "boolean",
    ColumnKind.CATEGORY: "string",
    ColumnKind.DATETIME: "datetime",
}
"""MLflow's words for the kinds of columns."""


class MlflowTracker:
    """Writes runs to MLflow, in one experiment for each model, named like it.

    :param tracking_uri: MLflow.
    :param home: Windsock's folder; artifacts of a database without a server lie in its ``mlartifacts``.
    :param ui_url: where MLflow's pages are shown, if not at the tracking URI; default: the environment's
        ``WINDSOCK_TRACKING_UI_URL``.
    """

    def __init__(self, tracking_uri: str, home: Path, ui_url: str | None = None) -> None:
        self.service = MlflowService(tracking_uri, home)
        self.ui_url = ui_url

    def record_run(self, draft: RunDraft) -> str:
        """Write a whole run and finish it; return its id. A finished run with this key is returned as it is.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        from mlflow.exceptions import MlflowException

        with self.service.reach("record a run") as client, self.service.alone(draft.model):
            experiment = self._experiment(client, draft.model)
            for _ in range(TWINS):
                run = run_of_key(client, experiment, draft.key, draft.run_name)
                try:
                    return _finish(client, run, draft)
                except MlflowException:
                    if not _is_deleted(client, run):
                        raise
                    log.info("run %s was begun twice; the other one stands", run.info.run_id)
            return _finish(client, run_of_key(client, experiment, draft.key, draft.run_name), draft)

    def add_to_run(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        files: Mapping[str, bytes],
    ) -> None:
        """Add to a finished run; the same call twice leaves the same state.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        with self.service.reach("add to a run") as client:
            write_values(client, client.get_run(run_id), {}, metrics, tags)
            _write_files(client, run_id, files)

    def add_to_parent(self, run_id: str, *, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Add to the run that this one lies beneath; where it lies beneath none, nothing is done.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        with self.service.reach("add to the run of a retrain") as client:
            if (parent := parent_of(client, run_id)) is not None:
                write_values(client, parent, {}, metrics, tags)

    def tags(self, run_id: str) -> Mapping[str, str]:
        """Return the tags of a run; empty where there is no such run any more.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        from mlflow.exceptions import MlflowException

        with self.service.reach("read the tags of a run") as client:
            try:
                return dict(client.get_run(run_id).data.tags)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return {}

    def open_runs(self, model: str) -> Sequence[str]:
        """Return the names of Windsock's runs of a model that are not ended.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        with self.service.reach("look for open runs") as client:
            experiment = client.get_experiment_by_name(model)
            if experiment is None:
                return ()
            found = client.search_runs(
                [experiment.experiment_id], filter_string="attributes.status = 'RUNNING'", max_results=1000
            )
        return tuple(str(run.info.run_name) for run in found if KEY_TAG in run.data.tags)

    def close_stale_runs(self, models: Sequence[str], older_than: datetime) -> int:
        """Mark Windsock's runs that are open since before a time as killed; return how many.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        begun = int(older_than.timestamp() * 1000)
        closed = 0
        with self.service.reach("close stale runs") as client:
            for model in models:
                experiment = client.get_experiment_by_name(model)
                if experiment is None:
                    continue
                found = client.search_runs(
                    [experiment.experiment_id],
                    filter_string=f"attributes.status = 'RUNNING' AND attributes.start_time < {begun}",
                    max_results=1000,
                )
                for run in found:
                    if KEY_TAG in run.data.tags:
                        client.set_terminated(run.info.run_id, "KILLED")
                        closed += 1
        return closed

    def tracked_runs(self, model: str) -> tuple[TrackedRun, ...]:
        """Return all runs of a model's experiment, the oldest first; none where there is none.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        with self.service.reach("list runs") as client:
            experiment = client.get_experiment_by_name(model)
            return runs_of(client, experiment.experiment_id) if experiment else ()

    def mark_for_removal(self, run_id: str, told: str) -> None:
        """Write on a run's page that it is being removed, and why; a run that is gone is fine.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        with self.service.reach("mark a run for removal") as client:
            mark_run(client, run_id, told)

    def remove_run(self, run_id: str) -> int:
        """Remove a run's files and models, then the run; return how many bytes its files had.

        :raises TrackingUnavailableError: if MLflow does not answer, or its files cannot be removed.
        """
        with self.service.reach("remove an old run") as client:
            return remove_run(client, run_id)

    def run_link(self, model: str, run_id: str) -> str | None:
        """Return the run's page, where MLflow has a web address. Nothing is contacted."""
        address = self._web_address
        return f"{address}/#/runs/{run_id}" if address else None

    def artifact_link(self, model: str, run_id: str, path: str) -> str | None:
        """Return MLflow's page that shows a file of a run, where MLflow has a web address.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        address = self._web_address
        if address is None:
            return None
        with self.service.reach("find a run's experiment") as client:
            experiment = client.get_run(run_id).info.experiment_id
        return f"{address}/#/experiments/{experiment}/runs/{run_id}/artifacts/{quote(path)}"

    def version_link(self, model: str, version: str) -> str | None:
        """Return the version's page, where MLflow has a web address. Nothing is contacted."""
        address = self._web_address
        return f"{address}/#/models/{quote(model, safe='')}/versions/{version}" if address else None

    @property
    def _web_address(self) -> str | None:
        return web_address(self.service.tracking_uri, self.ui_url or os.environ.get(UI_URL))

    def _experiment(self, client: MlflowClient, model: str) -> str:
        """Return the id of a model's experiment, made if there is none; of two makers one wins."""
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(model)
        if found is not None and found.lifecycle_stage != "active":
            log.warning("experiment %s was deleted in MLflow; it is restored", model)
            client.restore_experiment(found.experiment_id)
        if found is None:
            root = self.service.artifact_root
            if root is not None:
                make_folder(root)  # MLflow makes what lies in it by the umask
            try:
                made = client.create_experiment(model, artifact_location=str(root / model) if root else None)
                found = client.get_experiment(made)
            except MlflowException as error:
                found = client.get_experiment_by_name(model)
                if found is None or error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        return str(found.experiment_id)


def _finish(client: MlflowClient, run: Run, draft: RunDraft) -> str:
    """Write what a run lacks and finish it; return its id. A finished one is left as it is."""
    run_id: str = run.info.run_id
    if run.info.status == "FINISHED":
        return run_id
    if run.info.status != "RUNNING":
        client.update_run(run_id, status="RUNNING")
    write_values(client, run, draft.params, draft.metrics, _tags_of(draft))
    if draft.dataset is not None:
        client.log_inputs(run_id, datasets=[_dataset_input(draft.dataset)])
    _write_files(client, run_id, draft.files)
    if draft.pipeline is not None:
        log_model(client, run, draft)
    write_trials(client, run, draft, _shared_by_trials(draft))
    if draft.parent is not None:
        put_beneath(client, run, draft.parent)
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _is_deleted(client: MlflowClient, run: Run) -> bool:
    """Return whether a twin, which saw an older run of the same key, deleted this one."""
    return str(client.get_run(run.info.run_id).info.lifecycle_stage) == "deleted"


def _tags_of(draft: RunDraft) -> dict[str, str]:
    tags = {**draft.tags, KEY_TAG: draft.key}
    return tags | {"windsock.bundle_uri": draft.bundle_uri} if draft.bundle_uri else tags


def _shared_by_trials(draft: RunDraft) -> dict[str, str]:
    return {name: value for name, value in draft.tags.items() if name in SHARED_BY_TRIALS}


def _write_files(client: MlflowClient, run_id: str, files: Mapping[str, bytes]) -> None:
    if not files:
        return
    with TemporaryDirectory(prefix="windsock-run-") as folder:
        for name, content in files.items():
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts:
                raise ValueError(f"{name!r} is no path of an artifact")
            file = Path(folder, place)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        client.log_artifacts(run_id, folder)


def _dataset_input(snapshot: DataSnapshot) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns: list[dict[str, Any]] = [
        {"name": column.name, "type": COLSPEC[column.kind], "required": column.nulls == 0}
        for column in snapshot.columns
    ]
    scheme, found, _ = snapshot.uri.partition("://")
    dataset = Dataset(
        name=snapshot.model,
        digest=snapshot.digest[:DATASET_DIGEST],
        source_type=scheme if found else "local",
        source=json.dumps({"uri": snapshot.uri, "digest": snapshot.digest}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": snapshot.rows, "num_columns": len(columns)}),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])
