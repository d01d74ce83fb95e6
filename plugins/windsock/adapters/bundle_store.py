"""``SignedBundleStore``: model bundles and evidence packs, signed when written and verified when read."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from windsock.adapters import skops_codec
from windsock.adapters.bundle_files import (
    LocalBundle,
    bundle_place,
    is_gone,
    open_bundle,
    read_verified,
    unreadable,
)
from windsock.adapters.compiled import PipelineCompiler
from windsock.adapters.kept_things import StoredThings
from windsock.adapters.signing import Signer, Verifier
from windsock.adapters.storage import Storage
from windsock.exceptions import LostBundleError, SettingsError, StorageError, UnverifiedBundleError
from windsock.ports import BundleDraft, LoadedBundle
from windsock.records import (
    COMPILED_FILES,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    PROFILE_FILE,
    SCHEMA_FILE,
    SIGNATURE_FILE,
    BundleManifest,
    DriftProfile,
    GoldenPredictions,
    InputSchema,
    Record,
    StoredBundle,
)
from windsock.spec import MODEL_NAME, canonical_json

log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Record)

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"[0-9a-f]{64}")
ESTIMATORS = "scikit-learn"


class SignedBundleStore:
    """Bundles under ``bundles/MODEL/KEY/`` of the storage root; a manifest's SHA-256 is a bundle's identity.

    :param storage: the storage root.
    :param keys_dir: folder of the signing key and of the trusted public keys.
    """

    def __init__(self, storage: Storage, keys_dir: Path) -> None:
        self.storage = storage
        self.keys_dir = keys_dir

    def find(self, model: str, key: str) -> StoredBundle | None:
        """Return the bundle that a training key made, with its digests verified, or ``None``.

        :raises UnverifiedBundleError: if what lies there is not what was signed, or is another one's bundle.
        """
        path = _path(model, key)
        if not self.storage.exists(f"{path}/{MANIFEST_FILE}"):
            return None
        manifest, files = read_verified(open_bundle(self.storage, path), self._verifier, None)
        if (manifest.model, manifest.key) != (model, key):
            raise UnverifiedBundleError(
                f"{path} holds the bundle of {manifest.model}, key {manifest.key[:12]}", code="WS-BUNDLE-009"
            )
        return StoredBundle(uri=self.storage.uri(path), digest=_digest(files[MANIFEST_FILE]))

    def put(self, draft: BundleDraft) -> StoredBundle:
        """Write, sign and store; the first bundle of a key stands and is returned.

        :raises UnverifiedBundleError: if the pipeline needs types that are not on the list.
        :raises StorageError: if it cannot be written; nothing half-written is left.
        :raises SettingsError: if there is no signing key.
        """
        if (standing := self.find(draft.model, draft.key)) is not None:
            return standing
        files = _files_of(draft)
        size = sum(len(content) for content in files.values())
        manifest = canonical_json(_manifest_of(draft, files).model_dump(mode="json")).encode()
        files |= {MANIFEST_FILE: manifest, SIGNATURE_FILE: Signer(self.keys_dir).sign(manifest)}
        path = _path(draft.model, draft.key)
        written = _write(self.storage, path, files)
        stored = self.find(draft.model, draft.key)
        if stored is None:
            raise StorageError(
                f"the bundle at {path} is not there after it was written",
                code="WS-STORAGE-004",
                next_action="See that nothing else removes files there, then clear this task.",
            )
        log.info(
            "bundle %s: %s bytes, %s", stored.digest[:12], f"{size:,}", "stored" if written else "was there"
        )
        return stored

    def load(self, uri: str, digest: str) -> LoadedBundle:
        """Verify signature, digests and types, then load.

        :param uri: folder of the bundle under the storage root, or under the one it was written under.
        :param digest: the bundle's digest.
        :raises UnverifiedBundleError: if anything is not what was signed or not allowed.
        :raises LostBundleError: if its folder is gone though the storage root is there.
        :raises StorageError: if the storage does not answer.
        """
        manifest, files = self._read(uri, digest)
        return _parse(manifest, files, digest)

    def describe(self, uri: str, digest: str) -> LoadedBundle:
        """Verify a bundle and read what describes it, without pipeline and compiled form.

        It raises as :meth:`load` does.
        """
        manifest, files = self._read(uri, digest)
        return _described(manifest, files, digest)

    def _read(self, uri: str, digest: str) -> tuple[BundleManifest, dict[str, bytes]]:
        folder = open_bundle(self.storage, uri)
        try:
            return read_verified(folder, self._verifier, _require_digest(digest))
        except UnverifiedBundleError:
            self._require_not_removed(uri, digest)
            raise
        except StorageError as error:
            self._require_not_removed(uri, digest)
            if not is_gone(error) or not self.storage.exists(self.storage.root):
                raise
            place = bundle_place(self.storage, uri)
            raise LostBundleError(
                f"bundle {digest[:12]} is gone: there is nothing at {self.storage.uri(place)}",
                next_action="Bring its folder back from a backup; in place of a champion an earlier one "
                "serves after `windsock rollback NAME`.",
            ) from None

    def _require_not_removed(self, uri: str, digest: str) -> None:
        """See that what is not there whole was not removed by the retention.

        :raises LostBundleError: if it was.
        """
        place = self.storage.uri(bundle_place(self.storage, uri))
        model, name = place.split("/")[-2:]
        if self.storage.exists(f"bundles/{model}/{name}/{MANIFEST_FILE}"):
            return
        if (note := StoredThings(self.storage).note("bundles", model, name)) is not None:
            raise LostBundleError(
                f"bundle {digest[:12]} of {model} is gone: {note.told}",
                code="WS-DATA-182",
                next_action="Clear take_snapshot and all that follows it: it is trained again. "
                "`retention.trainings` in include/windsock.yaml says how long such bundles are kept.",
            ) from None

    def load_folder(self, folder: Path, digest: str, *, whole: bool = True) -> LoadedBundle:
        """Verify and load a bundle from a folder of this machine, such as :meth:`fetch_bundle` made.

        :param whole: whether the fitted pipeline is loaded too where there is a compiled form, and with it
            scikit-learn, which takes most of a server's memory.
        :raises UnverifiedBundleError: if anything is not what was signed or not allowed.
        """
        manifest, files = read_verified(LocalBundle(folder), self._verifier, _require_digest(digest))
        return _parse(manifest, files, digest, whole=whole)

    def fetch_bundle(self, uri: str, digest: str, into: Path) -> Path:
        """Copy a bundle to ``into/DIGEST/``; only what was verified is written, whole or not at all.

        A copy that is there already and verifies is left as it is; one that does not is replaced.

        :param into: folder of copies on this machine.
        :returns: folder of the copy.
        :raises UnverifiedBundleError: if the bundle is not what was signed.
        :raises StorageError: if it cannot be read or written.
        """
        copies, target = Storage(str(into)), into / _require_digest(digest)
        if target.exists():
            if self._verifies(target, digest):
                return target
            copies.remove(digest)
        _, files = read_verified(open_bundle(self.storage, uri), self._verifier, digest)
        _write(copies, digest, files)
        return target

    def put_document(self, uri: str, content: bytes) -> str:
        """Store a document with its signature beside it (``.sig``); the first content of a name stands.

        :param uri: path under the storage root.
        :returns: SHA-256 of the stored content.
        :raises UnverifiedBundleError: if another content stands there without a trusted signature.
        """
        signature = f"{uri}.sig"
        if not self.storage.exists(uri):
            self.storage.write_bytes(signature, Signer(self.keys_dir).sign(content))
            self.storage.write_bytes(uri, content, keep_first=True)
        stored = self.storage.read_bytes(uri)
        signed = self.storage.exists(signature) and self._verifier.verify(
            stored, self.storage.read_bytes(signature)
        )
        if not signed:
            if stored != content:
                raise UnverifiedBundleError(
                    f"the document {uri} is not signed by a trusted key",
                    code="WS-BUNDLE-010",
                    next_action="Find out who changed it; move it away to have it written again.",
                )
            self.storage.write_bytes(signature, Signer(self.keys_dir).sign(content))
        return _digest(stored)

    def read_document(self, uri: str, digest: str) -> bytes:
        """Return a document that was stored, after its signature was verified.

        :param digest: SHA-256 that it must have.
        :raises UnverifiedBundleError: if it is not there, is another one, or no trusted key has signed it.
        """
        signature = f"{uri}.sig"
        if self.storage.exists(uri) and self.storage.exists(signature):
            stored = self.storage.read_bytes(uri)
            if _digest(stored) == digest and self._verifier.verify(
                stored, self.storage.read_bytes(signature)
            ):
                return stored
        raise UnverifiedBundleError(
            f"the document {uri} is not there as it was signed",
            code="WS-BUNDLE-010",
            next_action="Find out who changed it, and restore it from a backup.",
        )

    @cached_property
    def _verifier(self) -> Verifier:
        return Verifier(self.keys_dir)

    def _verifies(self, folder: Path, digest: str) -> bool:
        try:
            read_verified(LocalBundle(folder), self._verifier, digest)
        except (UnverifiedBundleError, StorageError) as error:
            log.warning("%s: the copy in %s is replaced: %s", error.code, folder, error.message)
            return False
        return True


def _path(model: str, key: str) -> str:
    if not MODEL_NAME.fullmatch(model) or not KEY.fullmatch(key):
        raise SettingsError(f"{model[:80]!r} and {key[:80]!r} do not name a model and a key of a bundle")
    return f"bundles/{model}/{key}"


def _require_digest(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise UnverifiedBundleError(f"{digest[:80]!r} is no bundle digest", code="WS-BUNDLE-003")
    return digest


def _write(storage: Storage, path: str, files: dict[str, bytes]) -> bool:
    with storage.working_folder(sum(len(content) for content in files.values())) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return storage.put_tree(folder, path, last=MANIFEST_FILE)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(record: Record) -> bytes:
    return canonical_json(record.model_dump(mode="json")).encode()


def _files_of(draft: BundleDraft) -> dict[str, bytes]:
    files = {
        MODEL_FILE: skops_codec.dump(draft.pipeline),
        SCHEMA_FILE: _json(draft.schema),
        GOLDEN_FILE: _json(draft.golden),
    }
    if draft.profile is not None:
        files[PROFILE_FILE] = _json(draft.profile)
    return {**files, **draft.compiled}


def _manifest_of(draft: BundleDraft, files: dict[str, bytes]) -> BundleManifest:
    types = skops_codec.type_names(files[MODEL_FILE])
    return BundleManifest(
        model=draft.model,
        key=draft.key,
        snapshot_digest=draft.snapshot_digest,
        spec_digest=draft.spec_digest,
        files={name: _digest(content) for name, content in files.items()},
        types=tuple(name for name in types if not name.startswith(("builtins.", "numpy."))),
        versions=dict(draft.versions),
        facts=dict(draft.facts),
        created_at=draft.created_at,
    )


def _parse(
    manifest: BundleManifest, files: dict[str, bytes], digest: str, *, whole: bool = True
) -> LoadedBundle:
    described = _described(manifest, files, digest)
    _tell_other_version(manifest)
    form = {name: files[name] for name in COMPILED_FILES if name in files}
    compiled = PipelineCompiler().load(form, described.schema) if form else None
    pipeline = skops_codec.load(files[MODEL_FILE]) if whole or not compiled else None
    return replace(described, pipeline=pipeline, compiled=compiled)


def _described(manifest: BundleManifest, files: dict[str, bytes], digest: str) -> LoadedBundle:
    schema = _parse_json(InputSchema, SCHEMA_FILE, files)
    golden = _parse_json(GoldenPredictions, GOLDEN_FILE, files)
    if not MODEL_NAME.fullmatch(manifest.model) or schema.model != manifest.model:
        raise UnverifiedBundleError(
            f"the bundle's manifest is about {manifest.model[:80]!r}, its schema about {schema.model[:80]!r}",
            code="WS-BUNDLE-009",
        )
    if len(golden.rows) != len(golden.scores):
        raise UnverifiedBundleError(
            f"the bundle has {len(golden.rows)} golden rows and {len(golden.scores)} answers to them",
            code="WS-BUNDLE-009",
        )
    return LoadedBundle(
        manifest=manifest,
        digest=digest,
        pipeline=None,
        schema=schema,
        golden=golden,
        profile=_parse_json(DriftProfile, PROFILE_FILE, files) if PROFILE_FILE in files else None,
    )


def _parse_json(kind: type[Kind], name: str, files: dict[str, bytes]) -> Kind:
    try:
        return kind.model_validate_json(files[name])
    except (ValueError, KeyError) as error:
        raise unreadable(name, error) from None  # its text repeats the content


def _tell_other_version(manifest: BundleManifest) -> None:
    made_with = manifest.versions.get(ESTIMATORS)
    try:
        installed = version(ESTIMATORS)
    except PackageNotFoundError:
        return
    if made_with not in (None, installed):
        log.warning(
            "WS-BUNDLE-011: %s was made with %s %s, here is %s; golden predictions tell if it still holds",
            manifest.model,
            ESTIMATORS,
            made_with,
            installed,
        )
