"""The compiled form in a bundle: it comes back as it was put; a fault in it refuses the bundle."""

from __future__ import annotations

import hashlib
import json

import pytest

from support.builders import NOON, digest
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.signing import Signer, create_keys
from windsock.adapters.storage import Storage
from windsock.exceptions import UnverifiedBundleError
from windsock.ports import BundleDraft
from windsock.records import (
    COMPILED_FILE,
    MANIFEST_FILE,
    SIGNATURE_FILE,
    TREES_FILE,
    GoldenPredictions,
)
from windsock.spec import canonical_json

ROW = {"age": 40.0, "city": "Rome", "visits": None, "member": True}


@pytest.fixture
def store(tmp_path):
    return SignedBundleStore(Storage(str(tmp_path / "storage")), create_keys(tmp_path / "keys"))


@pytest.fixture
def draft(cases):
    def make(estimator="hist_gradient_boosting", compiled=None):
        case = cases(estimator)
        row = {**dict.fromkeys(field.name for field in case.schema.fields), **ROW}
        return BundleDraft(
            model="churn",
            key=digest("c"),
            snapshot_digest=digest("1"),
            spec_digest=digest("2"),
            pipeline=case.pipeline,
            schema=case.schema,
            golden=GoldenPredictions(rows=(row,), scores=(tuple(case.original([row])[0].tolist()),)),
            compiled=case.files if compiled is None else compiled,
            created_at=NOON,
        )

    return make


def folder_of(store, stored):
    return store.storage.local_path(stored.uri)


def sign_again(store, folder):
    """Sign what stands there, as who holds the key could."""
    manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    names = [entry.name for entry in folder.iterdir() if entry.name not in (MANIFEST_FILE, SIGNATURE_FILE)]
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    content = canonical_json(manifest).encode()
    (folder / MANIFEST_FILE).write_bytes(content)
    (folder / SIGNATURE_FILE).write_bytes(Signer(store.keys_dir).sign(content))
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "logistic_regression"])
def test_what_was_put_answers_after_it_was_loaded(store, draft, cases, other_rows, estimator):
    stored = store.put(draft(estimator))
    loaded = store.load(stored.uri, stored.digest)
    case = cases(estimator)
    values = [case.schema.values_of(row) for row in other_rows]
    assert loaded.compiled.engine == case.model.engine
    assert loaded.compiled.answers(values) == case.model.answers(values)
    assert set(case.files) <= set(loaded.manifest.files)


def test_a_bundle_without_a_compiled_form_is_whole(store, draft):
    stored = store.put(draft(compiled={}))
    assert store.load(stored.uri, stored.digest).compiled is None


@pytest.mark.parametrize("name", [COMPILED_FILE, TREES_FILE])
def test_a_changed_or_missing_file_is_refused(store, draft, name):
    stored = store.put(draft())
    file = folder_of(store, stored) / name
    content = file.read_bytes()
    file.write_bytes(bytes([*content[:-1], content[-1] ^ 1]))
    with pytest.raises(UnverifiedBundleError) as changed:
        store.load(stored.uri, stored.digest)
    file.unlink()
    with pytest.raises(UnverifiedBundleError) as missing:
        store.load(stored.uri, stored.digest)
    assert (changed.value.code, missing.value.code) == ("WS-BUNDLE-005", "WS-BUNDLE-004")


def test_a_form_that_was_added_is_refused(store, draft, cases):
    stored = store.put(draft(compiled={}))
    for name, content in cases("hist_gradient_boosting").files.items():
        (folder_of(store, stored) / name).write_bytes(content)
    with pytest.raises(UnverifiedBundleError) as added:
        store.load(stored.uri, stored.digest)
    assert added.value.code == "WS-BUNDLE-004"


@pytest.mark.parametrize(
    "break_it",
    [
        lambda folder: (folder / COMPILED_FILE).write_bytes(b"{}"),
        lambda folder: (folder / COMPILED_FILE).unlink(),
        lambda folder: (folder / TREES_FILE).unlink(),
        lambda folder: (folder / TREES_FILE).write_bytes(b"trees"),
    ],
    ids=["no form", "trees alone", "tables alone", "no trees"],
)
def test_a_signed_form_that_is_broken_is_never_replaced_by_the_original(store, draft, break_it):
    stored = store.put(draft())
    folder = folder_of(store, stored)
    break_it(folder)
    signed = sign_again(store, folder)
    with pytest.raises(UnverifiedBundleError) as broken:
        store.load(stored.uri, signed)
    assert broken.value.code == "WS-BUNDLE-012"
