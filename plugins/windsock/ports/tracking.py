"""Ports: MLflow, the record of runs and versions, and the pictures in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from windsock.records import DataSnapshot
from windsock.records.retention import TrackedRun

if TYPE_CHECKING:
    import pandas as pd


VersionNumbers = Mapping[str, Collection[str]]
"""Version numbers that the ledger knows -> digests of the bundles that they name there."""


NOTE = "mlflow.note.content"
"""The tag that a tracker shows as the description of a run."""
MODEL_VERSION = "windsock.model_version"
"""The tag of a run with the number of the version that it is about. Runs of before have ``windsock.version``,
which also named the release of Windsock that trained; that is ``windsock.code`` now."""


@dataclass(frozen=True, kw_only=True)
class ParentDraft:
    """The run that others lie beneath, such as that of a retrain.

    :param key: idempotency key, as of :class:`RunDraft`.
    """

    key: str
    run_name: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrialDraft:
    """One setting that a search has tried; it becomes a run beneath that of its candidate.

    :param rank: its place among all, the best first.
    :param error: why it has no score; empty: it has one.
    """

    number: int
    rank: int = 0
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelAbout:
    """What a registry tells people of a model and of one version.

    :param description: of the model; empty: the one that is there stays.
    :param version: of the version.
    """

    owner: str
    tier: str
    description: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class RunDraft:
    """What is written to one tracking run.

    :param key: idempotency key: a run with it is found and completed, never made twice.
    :param files: artifact path -> content.
    :param pipeline: fitted pipeline to log as the run's model, with its input example.
    :param dataset: name and digest of the snapshot, logged as the run's dataset input.
    :param parent: the run that it lies beneath; ``None``: it lies beneath none.
    :param trials: what a search has tried for it.
    """

    key: str
    model: str
    run_name: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    pipeline: Any = None
    example: pd.DataFrame | None = None
    dataset: DataSnapshot | None = None
    bundle_uri: str | None = None
    parent: ParentDraft | None = None
    trials: Sequence[TrialDraft] = ()


class ExperimentTracker(Protocol):
    """Writes runs to MLflow. Each call bounds its own time."""

    def record_run(self, draft: RunDraft) -> str:
        """Write a whole run and finish it; return its id. A finished run with this key is returned as it is.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        ...

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
        ...

    def add_to_parent(self, run_id: str, *, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Add to the run that this one lies beneath; where it lies beneath none, nothing is done.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        ...

    def tags(self, run_id: str) -> Mapping[str, str]:
        """Return the tags of a run; empty where there is no such run any more.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        ...

    def open_runs(self, model: str) -> Sequence[str]:
        """Return the names of Windsock's runs of a model that are not ended.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        ...

    def close_stale_runs(self, models: Sequence[str], older_than: datetime) -> int:
        """Mark runs still open since before a time as killed; return how many."""
        ...

    def tracked_runs(self, model: str) -> tuple[TrackedRun, ...]:
        """Return all runs of a model's experiment, the oldest first; none where there is none.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        ...

    def mark_for_removal(self, run_id: str, told: str) -> None:
        """Write on a run's page that it is being removed, and why; a run that is gone is fine.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        ...

    def remove_run(self, run_id: str) -> int:
        """Remove a run's files and models, then the run; return how many bytes its files had.

        It may be called again after it was killed; a run that is gone is fine.

        :raises TrackingUnavailableError: if MLflow does not answer, or its files cannot be removed.
        """
        ...

    def run_link(self, model: str, run_id: str) -> str | None:
        """Return the run's page, where the tracker has a web address."""
        ...

    def artifact_link(self, model: str, run_id: str, path: str) -> str | None:
        """Return the page that shows a file of a run, where the tracker has a web address.

        :raises TrackingUnavailableError: if MLflow does not answer.
        """
        ...

    def version_link(self, model: str, version: str) -> str | None:
        """Return the version's page, where the tracker has a web address."""
        ...


class ModelRegistry(Protocol):
    """Numbers versions. Its aliases are a mirror of the ledger, never the truth.

    A registered model belongs to one installation.
    """

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

        :param tags: of the version; ``windsock.bundle`` is the digest of its bundle.
        :param used: the numbers that the ledger knows: a new version's is higher than all of them, and a
            version that has one of them is this one only if it names the same bundle.
        :param about: what people read of the model and the version; ``None``: nothing is changed.
        :raises ForeignModelError: if the model is another installation's, or nobody can tell whose.
        :raises TrackingRefusedError: if no number is left that was never used.
        :raises TrackingUnavailableError: if MLflow does not answer.
        :raises MissingModelError: if the run has no finished model there.
        """
        ...

    def claim(self, model: str, used: VersionNumbers) -> None:
        """See that a registered model is this installation's; one that names none is claimed by its versions.

        :param used: the numbers that the ledger knows.
        :raises ForeignModelError: if it is another installation's, or nobody can tell whose.
        """
        ...

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version.

        :raises ForeignModelError: if the model is another installation's.
        """
        ...

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at, or ``None``."""
        ...


class Charts(Protocol):
    """Draws the evaluation's pictures as PNG."""

    def confusion_matrix(self, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> bytes:
        """Draw a confusion matrix; rows are the truth."""
        ...

    def curves(
        self, roc: tuple[Sequence[float], Sequence[float]], pr: tuple[Sequence[float], Sequence[float]]
    ) -> bytes:
        """Draw the ROC curve (false, true positive rate) and the PR curve (recall, precision)."""
        ...

    def residuals(self, predicted: Sequence[float], residual: Sequence[float]) -> bytes:
        """Draw residuals over predictions."""
        ...

    def importances(self, names: Sequence[str], means: Sequence[float], sds: Sequence[float]) -> bytes:
        """Draw the most important features, largest first."""
        ...
