"""Ports: the model bundle, its compiled form and where both are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from windsock.records import BundleManifest, DriftProfile, GoldenPredictions, InputSchema, StoredBundle


@dataclass(frozen=True, kw_only=True)
class BundleDraft:
    """A bundle about to be written.

    :param pipeline: the fitted scikit-learn pipeline.
    :param profile: drift profile, where there is one.
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
    profile: DriftProfile | None = None
    compiled: Mapping[str, bytes] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime


class CompiledModel(Protocol):
    """A fitted pipeline in a form that answers in microseconds: no frame, no transformers, no estimator.

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
    """A bundle whose signature and digests were verified before anything in it was parsed.

    :param pipeline: the fitted scikit-learn pipeline; ``None`` where only the compiled form was asked for.
    :param compiled: its compiled form, where it has one.
    :param profile: its drift profile, where it has one.
    """

    manifest: BundleManifest
    digest: str
    pipeline: Any
    schema: InputSchema
    golden: GoldenPredictions
    compiled: CompiledModel | None = None
    profile: DriftProfile | None = None


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
        :raises LostBundleError: if its folder is gone though the storage is there.
        """
        ...

    def describe(self, uri: str, digest: str) -> LoadedBundle:
        """Verify signature and digests, and read schema, golden predictions and profile alone.

        :returns: a bundle whose ``pipeline`` and ``compiled`` are ``None``: a moment's work, no scikit-learn.
        :raises UnverifiedBundleError: if anything is not what was signed.
        """
        ...

    def put_document(self, uri: str, content: bytes) -> str:
        """Store a document (an evidence pack) with its signature beside it; the first content stands.

        :param uri: path under the storage root.
        :returns: SHA-256 of the stored content.
        """
        ...

    def read_document(self, uri: str, digest: str) -> bytes:
        """Return a document that was stored, after its signature was verified.

        :param uri: path under the storage root.
        :param digest: SHA-256 that it must have.
        :raises UnverifiedBundleError: if it is not there, is another one, or no trusted key has signed it.
        :raises StorageError: if it cannot be read.
        """
        ...
