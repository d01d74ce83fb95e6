"""The ports: what the rooms need of the outside world. Adapters implement them, tests fake them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from windsock.records import (
    BundleManifest,
    ChainCheck,
    Champion,
    CheckResult,
    ColumnSchema,
    DataSnapshot,
    GoldenPredictions,
    InputSchema,
    LedgerEntry,
    LedgerRow,
    ProbeResult,
    RoutePlan,
    RouteState,
    StoredBundle,
)
from windsock.spec import Source

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SourceRead:
    """What a source gave.

    :param frame: the rows as the source has them; every column of a CSV is text, blanks are empty strings.
    :param described: kind and place, without credentials, for records and logs.
    :param untyped: whether the values are all text and their types must be inferred (CSV).
    """

    frame: pd.DataFrame
    described: str
    untyped: bool


class SourceReader(Protocol):
    """Reads a model's rows from wherever they are."""

    def read(self, source: Source) -> SourceRead:
        """Read all rows.

        :raises DataRefusedError: if the source is wrong for good: missing, empty, duplicate column names.
        :raises SourceUnavailableError: if it did not answer.
        :raises NotBuiltError: if the kind cannot be read yet.
        """
        ...


class SnapshotStore(Protocol):
    """Keeps snapshots by content under the storage root."""

    def find(self, model: str, digest: str) -> DataSnapshot | None:
        """Return the stored snapshot of this content, or ``None``."""
        ...

    def latest(self, model: str) -> DataSnapshot | None:
        """Return the snapshot that was stored last, to tell what has changed since, or ``None``."""
        ...

    def put(self, snapshot: DataSnapshot, frame: pd.DataFrame) -> DataSnapshot:
        """Write the rows and, last, the manifest; return the record with its ``uri``.

        If the content is there already, nothing is written and the first record is returned.

        :raises StorageError: if it cannot be written; nothing half-written is left.
        """
        ...

    def load(self, snapshot: DataSnapshot) -> pd.DataFrame:
        """Read the rows back, after they were checked against the snapshot's digest.

        :raises StorageError: if they cannot be read.
        :raises UnverifiedSnapshotError: if they are not what was written.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Suite:
    """An expectation suite.

    :param content: the suite in Great Expectations' JSON form: ``{"name", "expectations": [{"type",
        "kwargs"}]}``.
    :param origin: ``file`` or ``inferred``.
    :param uri: where it lies.
    """

    content: Mapping[str, Any]
    origin: str
    uri: str | None = None


class ExpectationEngine(Protocol):
    """Checks a frame against an expectation suite."""

    def suite(self, model: str) -> Suite | None:
        """Return the suite that people wrote for this model, or ``None``.

        :raises DataRefusedError: if the file is no suite.
        """
        ...

    def infer(self, model: str, frame: pd.DataFrame, columns: Sequence[ColumnSchema]) -> Suite:
        """Write a suite from a frame, keep it under the storage root by its digest for people to adopt."""
        ...

    def check(self, frame: pd.DataFrame, suite: Suite) -> tuple[CheckResult, ...]:
        """Run the suite; one result for each expectation. One that raised has status error, never pass."""
        ...


@dataclass(frozen=True, kw_only=True)
class BundleDraft:
    """A bundle about to be written.

    :param pipeline: the fitted scikit-learn pipeline.
    :param profile: drift profile as JSON value, where there is one.
    :param compiled: files of the compiled form, by name; none where there is no such form.
    :param facts: what the training found out, as JSON values; kept in the signed manifest as it is.
    """

    model: str
    key: str
    snapshot_digest: str
    spec_digest: str
    pipeline: Any
    schema: InputSchema
    golden: GoldenPredictions
    profile: Mapping[str, Any] | None = None
    compiled: Mapping[str, bytes] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime


class CompiledModel(Protocol):
    """A fitted pipeline in a form that answers in microseconds: no frame, no transformer, no estimator object.

    :param engine: what computes: ``linear`` or ``trees``.
    """

    engine: str

    def answers(self, rows: Sequence[Sequence[Any]]) -> list[list[float]]:
        """Answer rows: values in the order of the schema's fields, of the kinds a client may send.

        :returns: for each row the class probabilities in the order of the classes, or the one number; may
            hold values that are not finite, as the pipeline's would.
        """
        ...


class ModelCompiler(Protocol):
    """Turns fitted pipelines into their compiled form, where it can."""

    def compile(self, pipeline: Any, schema: InputSchema) -> Mapping[str, bytes]:
        """Return the files of the compiled form, by name.

        :raises NotCompilableError: if this pipeline has no compiled form; the message says why.
        """
        ...

    def load(self, files: Mapping[str, bytes], schema: InputSchema) -> CompiledModel:
        """Return the compiled model that verified files hold.

        :raises UnverifiedBundleError: if they hold none, or one that does not fit the schema.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LoadedBundle:
    """A bundle whose signature and digests were verified before anything in it was parsed."""

    manifest: BundleManifest
    digest: str
    pipeline: Any
    schema: InputSchema
    golden: GoldenPredictions
    compiled: CompiledModel | None = None


class BundleStore(Protocol):
    """Keeps signed model bundles under the storage root."""

    def find(self, model: str, key: str) -> StoredBundle | None:
        """Return the verified bundle that a training key made, or ``None``."""
        ...

    def put(self, draft: BundleDraft) -> StoredBundle:
        """Write, sign and store; the first bundle of a key stands and is returned.

        :raises UnverifiedBundleError: if the pipeline needs types that are not on the allow-list.
        :raises StorageError: if it cannot be written; nothing half-written is left.
        """
        ...

    def load(self, uri: str, digest: str) -> LoadedBundle:
        """Verify signature, digests and types, then load.

        :raises UnverifiedBundleError: if anything is not what was signed or not allowed.
        """
        ...

    def put_document(self, uri: str, content: bytes) -> str:
        """Store a document (an evidence pack) with its signature beside it; the first content stands.

        :param uri: path under the storage root.
        :returns: SHA-256 of the stored content.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RunDraft:
    """What is written to one tracking run.

    :param key: idempotency key: a run with it is found and completed, never made twice.
    :param files: artifact path -> content.
    :param pipeline: fitted pipeline to log as the run's model, with its input example.
    :param dataset: name and digest of the snapshot, logged as the run's dataset input.
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

    def close_stale_runs(self, models: Sequence[str], older_than: datetime) -> int:
        """Mark runs still open since before a time as killed; return how many."""
        ...

    def run_link(self, model: str, run_id: str) -> str | None:
        """Return the run's page, where the tracker has a web address."""
        ...

    def version_link(self, model: str, version: str) -> str | None:
        """Return the version's page, where the tracker has a web address."""
        ...


class ModelRegistry(Protocol):
    """Numbers versions. Its aliases are a mirror of the ledger, never the truth."""

    def register(self, *, model: str, key: str, run_id: str, tags: Mapping[str, str]) -> str:
        """Return the version that carries this key, making it if there is none.

        Of two that were made by a lost answer, the lowest number stands and the others are removed.

        :raises TrackingUnavailableError: if MLflow does not answer.
        :raises MissingModelError: if the run has no finished model there.
        """
        ...

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        ...

    def alias(self, model: str, alias: str) -> str | None:
        """Return the version an alias points at, or ``None``."""
        ...


class Ledger(Protocol):
    """The append-only, hash-chained truth about routes and champions."""

    def rows(self, model: str) -> tuple[LedgerRow, ...]:
        """Return all rows of a model in order."""
        ...

    def champion(self, model: str) -> Champion | None:
        """Return the version of the last commit, or ``None`` if there never was one.

        :raises DatabaseUnavailableError: if the database does not answer: this is never "no champion".
        """
        ...

    def append(self, entry: LedgerEntry, *, after_seq: int) -> LedgerRow:
        """Append a row if the model's last row is still ``after_seq`` (0: no row yet).

        :raises StaleEpochError: if another row came first.
        """
        ...

    def verify(self, model: str) -> ChainCheck:
        """Recompute the hash chain of a model."""
        ...

    def models(self) -> tuple[str, ...]:
        """Return the names of all models that have rows."""
        ...


class StepRecords(Protocol):
    """The first record of each idempotency key."""

    def find(self, key: str) -> dict[str, Any] | None:
        """Return the stored record's JSON, or ``None``."""
        ...

    def add(self, key: str, *, step: str, model: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Store a record unless the key has one; return the one that stands."""
        ...


class Router(Protocol):
    """The serving app, seen from outside: its routing table and its slots."""

    def state(self, model: str) -> RouteState | None:
        """Return what is served for a model, or ``None`` if nothing is.

        :raises ServerUnavailableError: if the server does not answer.
        """
        ...

    def apply(self, plan: RoutePlan) -> RouteState:
        """Hand over a plan; answers once every worker serves by it. The same plan twice changes nothing.

        :raises StaleEpochError: if the server already serves by a later epoch.
        :raises DeploymentRefusedError: if a slot's bundle does not verify, load or match its golden
            predictions.
        :raises ServerUnavailableError: if the server does not answer.
        """
        ...

    def probe(self, model: str, digest: str) -> ProbeResult:
        """Ask one slot for its golden predictions, past the shares.

        :raises DeploymentRefusedError: if the server has no such slot.
        :raises ServerUnavailableError: if the server does not answer.
        """
        ...


class PredictionArchive(Protocol):
    """Closed segments of the prediction log."""

    def close_segments(self) -> int:
        """Turn the segments of hours that are over into Parquet under the storage root; return how many."""
        ...

    def remove_older(self, than: datetime) -> int:
        """Remove closed segments of hours before a time; return how many."""
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


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a step may use of the outside world.

    :param pause: waits that many seconds.
    """

    sources: SourceReader
    snapshots: SnapshotStore
    expectations: ExpectationEngine
    bundles: BundleStore
    tracker: ExperimentTracker
    registry: ModelRegistry
    ledger: Ledger
    records: StepRecords
    router: Router
    predictions: PredictionArchive
    charts: Charts
    now: Callable[[], datetime] = utc_now
    pause: Callable[[float], None] = time.sleep
