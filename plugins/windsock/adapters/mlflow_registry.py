"""``MlflowRegistry``: version numbers in MLflow, one for each key. Its aliases mirror the ledger.

A registered model belongs to one installation, and a number is never given twice (see ``mlflow_owner`` and
``mlflow_numbers``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from windsock.adapters.installation import Installation
from windsock.adapters.mlflow_client import MlflowService
from windsock.adapters.mlflow_model import ready_model
from windsock.adapters.mlflow_nested import KEY_TAG
from windsock.adapters.mlflow_numbers import highest, raise_counter, remove_placeholders
from windsock.adapters.mlflow_owner import BUNDLE_TAG, ModelOwner
from windsock.exceptions import ForeignModelError, MissingModelError, TrackingUnavailableError
from windsock.ports import ModelAbout, VersionNumbers

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

READY_SECONDS = 10.0
ATTEMPTS = 5
"""How often a version is made anew because others changed the registered model meanwhile."""
MLMODEL = "MLmodel"
ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


class MlflowRegistry:
    """Versions of models in MLflow's registry.

    :param tracking_uri: MLflow.
    :param home: Windsock's folder.
    :param installation: who registers.
    """

    def __init__(self, tracking_uri: str, home: Path, installation: Installation) -> None:
        self.service = MlflowService(tracking_uri, home)
        self.owner = ModelOwner(installation)

    def register(
        self,
        *,
        model: str,
        key: str,
        run_id: str,
        tags: Mapping[str, str],
        used: VersionNumbers,
        about: ModelAbout | None = None,
    ) -> str:
        """Return the version that carries this key, making it if there is none.

        Of two that were made by a lost answer, the lowest number stands and the others are removed.

        :param run_id: run whose model the version is.
        :param used: the numbers that the ledger knows, with the bundles that they name.
        :param about: what people read of the model and the version; ``None``: nothing is changed.
        :raises ForeignModelError: if the model is another installation's, or nobody can tell whose.
        :raises TrackingRefusedError: if no number is left that was never used.
        :raises TrackingUnavailableError: if MLflow does not answer.
        :raises MissingModelError: if the run has no finished model there.
        """
        bundle = tags.get(BUNDLE_TAG)
        with self.service.reach("register a version") as client:
            self.owner.create_or_claim(client, model, used)
            for _ in range(ATTEMPTS):
                if found := _standing(client, model, key, bundle, used):
                    remove_placeholders(client, model)
                    self._require_still_ours(client, found, used)
                    if about is not None:
                        _describe(client, found, about)
                    return _wait_until_ready(client, found)
                raise_counter(client, model, run_id, used)
                self._create(client, model, run_id, {**tags, KEY_TAG: key})
        raise TrackingUnavailableError(
            f"{model}: {ATTEMPTS} versions were made, and none has a number above {highest(used)} that stays",
            code="WS-TRACKING-006",
            next_action="See who deletes versions or the model in MLflow, then clear this task.",
        )

    def claim(self, model: str, used: VersionNumbers) -> None:
        """See that a registered model is this installation's; one that names none is claimed by its versions.

        :raises ForeignModelError: if it is another installation's, or nobody can tell whose.
        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        from mlflow.exceptions import MlflowException

        with self.service.reach("see whose a model is") as client:
            try:
                client.get_registered_model(model)
            except MlflowException as error:
                if error.error_code not in ABSENT:
                    raise
                return
            self.owner.claim(client, model, used)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version.

        :raises ForeignModelError: if the model is another installation's.
        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        with self.service.reach("set an alias") as client:
            self.owner.require(client, model)
            from mlflow.exceptions import MlflowException

            try:
                client.set_registered_model_alias(model, alias, version)
            except MlflowException as error:
                if error.error_code != "BAD_REQUEST":
                    raise
                # Of two that set a new alias at once, one fails in MLflow's tables; then it is there.
                client.set_registered_model_alias(model, alias, version)

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at, or ``None``.

        :raises TrackingUnavailableError: if MLflow does not answer: this is never "no alias".
        """
        with self.service.reach("read an alias") as client:
            from mlflow.exceptions import MlflowException

            try:
                return str(client.get_model_version_by_alias(model, alias).version)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return None
                raise

    def _require_still_ours(self, client: MlflowClient, version: ModelVersion, used: VersionNumbers) -> None:
        """Take a version back if another installation has claimed the model in the same moment."""
        try:
            self.owner.require(client, version.name)
        except ForeignModelError:
            if str(version.version) not in used:
                client.delete_model_version(version.name, version.version)
            raise

    def _create(self, client: MlflowClient, model: str, run_id: str, tags: Mapping[str, str]) -> None:
        source = ready_model(client, client.get_run(run_id))
        if source is None or not _has_files(client, source):
            raise MissingModelError(
                f"run {run_id} of {model} has no finished model in MLflow at {self.service.shown}"
            )
        from mlflow.exceptions import MlflowException

        try:
            made = client.create_model_version(
                model,
                source.artifact_location,
                run_id=run_id,
                tags=dict(tags),
                model_id=source.model_id,
                await_creation_for=0,
            )
        except MlflowException:
            if not _versions(client, model, tags[KEY_TAG]):  # it may have been made, and its answer lost
                raise
            return
        if not self.service.is_server:  # a server notes this itself
            note = json.dumps([{"name": made.name, "version": made.version}])
            client.set_logged_model_tags(source.model_id, {"mlflow.modelVersions": note})


def _describe(client: MlflowClient, version: ModelVersion, about: ModelAbout) -> None:
    """Write what people read of a model and of a version; what is there already is not written again."""
    model = client.get_registered_model(version.name)
    if about.description and model.description != about.description:
        client.update_registered_model(version.name, description=about.description)
    for name, value in {"windsock.owner": about.owner, "windsock.tier": about.tier}.items():
        if model.tags.get(name) != value:
            client.set_registered_model_tag(version.name, name, value)
    if about.version and version.description != about.version:
        client.update_model_version(version.name, version.version, description=about.version)


def _standing(
    client: MlflowClient, model: str, key: str, bundle: str | None, used: VersionNumbers
) -> ModelVersion | None:
    """Return the version that stands for a key: never one whose number names another bundle in the ledger.

    Others of the key that the ledger does not know are removed.
    """
    own = [
        version
        for version in _versions(client, model, key)
        if str(version.version) not in used or bundle in used[str(version.version)]
    ]
    if not own:
        return None
    own.sort(key=lambda version: (str(version.version) not in used, int(version.version)))
    for version in own[1:]:
        if str(version.version) not in used:
            client.delete_model_version(model, version.version)
    return own[0]


def _versions(client: MlflowClient, model: str, key: str) -> list[ModelVersion]:
    """Return the versions that carry a key, the lowest first."""
    if "'" in key:
        raise ValueError("an idempotency key holds no quotes")
    found = client.search_model_versions(f"name = '{model}' AND tags.`{KEY_TAG}` = '{key}'")
    return sorted(found, key=lambda version: int(version.version))


def _has_files(client: MlflowClient, source: LoggedModel) -> bool:
    """Return whether the model's files are there: MLflow registers what does not exist."""
    return any(file.path == MLMODEL for file in client.list_logged_model_artifacts(source.model_id))


def _wait_until_ready(client: MlflowClient, version: ModelVersion) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while version.status != "READY":
        if time.monotonic() > deadline:
            raise TrackingUnavailableError(
                f"version {version.version} of {version.name} is {version.status} after {READY_SECONDS:g} s",
                code="WS-TRACKING-006",
                next_action="See what keeps MLflow's registry, then clear this task.",
            )
        time.sleep(0.2)
        version = client.get_model_version(version.name, version.version)
    return str(version.version)
