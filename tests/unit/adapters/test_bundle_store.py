from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler

from support.builders import NOON, digest
from windsock.adapters import bundle_files, bundle_store, skops_codec
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.signing import PRIVATE_KEY, PUBLIC_KEY, Signer, create_keys
from windsock.adapters.storage import Storage
from windsock.exceptions import LostBundleError, SettingsError, StorageError, UnverifiedBundleError
from windsock.ports import BundleDraft
from windsock.records import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    PROFILE_FILE,
    SCHEMA_FILE,
    SIGNATURE_FILE,
    Answer,
    ColumnKind,
    ColumnProfile,
    DriftProfile,
    GoldenPredictions,
    InputField,
    InputSchema,
)
from windsock.spec import canonical_json

KEY = digest("c")
FEATURES = pd.DataFrame({"spend": [0.0, 1.0, 2.0, 3.0], "visits": [3.0, 1.0, 2.0, 0.0]})
PROFILE = DriftProfile(
    rows=4, columns=(ColumnProfile(name="spend", kind=ColumnKind.NUMBER, rows=4, nulls=0),)
)
SIGNED = (MODEL_FILE, SCHEMA_FILE, GOLDEN_FILE, PROFILE_FILE)
ALL = (*SIGNED, MANIFEST_FILE, SIGNATURE_FILE)


def fitted(scale: float = 1.0) -> LogisticRegression:
    return LogisticRegression(C=scale).fit(FEATURES, [0, 0, 1, 1])


def make_draft(**fields) -> BundleDraft:
    pipeline = fields.pop("pipeline", None) or fitted()
    schema = InputSchema(
        model="churn",
        fields=(
            InputField(name="spend", kind=ColumnKind.NUMBER),
            InputField(name="visits", kind=ColumnKind.INTEGER),
        ),
        answer=Answer.CLASS,
        classes=(0, 1),
        positive=1,
    )
    made = {
        "model": "churn",
        "key": KEY,
        "snapshot_digest": digest("1"),
        "spec_digest": digest("2"),
        "pipeline": pipeline,
        "schema": schema,
        "golden": GoldenPredictions(rows=({"spend": 1.0, "visits": None},), scores=((0.25, 0.75),)),
        "profile": PROFILE,
        "versions": {"python": "3.11"},
        "facts": {"train_score": 0.1 + 0.2, "params": {"C": 1e-17, "penalty": None}},
        "created_at": NOON,
    }
    return BundleDraft(**{**made, **fields})


@pytest.fixture(params=["folder", "object-store"])
def root(request, tmp_path):
    if request.param == "folder":
        yield str(tmp_path / "storage")
        return
    import fsspec

    url = f"memory://{tmp_path.name}"
    yield url
    memory = fsspec.filesystem("memory")
    if memory.exists(f"/{tmp_path.name}"):
        memory.rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def keys(tmp_path):
    return create_keys(tmp_path / "keys")


@pytest.fixture
def store(root, keys):
    return SignedBundleStore(Storage(root), keys)


@pytest.fixture
def local(tmp_path, keys):
    return SignedBundleStore(Storage(str(tmp_path / "storage")), keys)


def answers(pipeline) -> np.ndarray:
    return pipeline.predict_proba(FEATURES)


def assert_refused(store, uri, asked, *codes) -> UnverifiedBundleError:
    """Every door refuses the bundle, and nothing of it was parsed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_store.skops_codec, "load", lambda content: pytest.fail("it was parsed"))
        with pytest.raises(UnverifiedBundleError) as caught:
            store.load(uri, asked)
        assert caught.value.code in codes, str(caught.value)
        local = store.storage.local_path(uri)
        if local is not None:
            with pytest.raises(UnverifiedBundleError) as in_folder:
                store.load_folder(local, asked)
            assert in_folder.value.code in codes
            with pytest.raises(UnverifiedBundleError) as fetched:
                store.fetch_bundle(uri, asked, local.parent / "copies")
            assert fetched.value.code in codes
            assert not (local.parent / "copies" / asked).exists()
    return caught.value


# --- honest bundles


def test_what_was_put_is_loaded(store):
    draft = make_draft()
    stored = store.put(draft)
    loaded = store.load(stored.uri, stored.digest)
    np.testing.assert_array_equal(answers(loaded.pipeline), answers(draft.pipeline))
    assert (loaded.schema, loaded.golden, loaded.digest) == (draft.schema, draft.golden, stored.digest)
    assert loaded.manifest.facts == draft.facts
    assert loaded.manifest.versions == {"python": "3.11"}
    assert "sklearn.linear_model._logistic.LogisticRegression" in loaded.manifest.types
    assert set(loaded.manifest.files) == set(SIGNED)


def test_the_digest_is_that_of_the_manifest(store):
    stored = store.put(make_draft())
    signed = store.storage.read_bytes(f"{stored.uri}/{MANIFEST_FILE}")
    assert hashlib.sha256(signed).hexdigest() == stored.digest
    assert store.load(stored.uri, stored.digest).manifest.content_digest() == stored.digest
    assert canonical_json(json.loads(signed)).encode() == signed


def test_the_first_bundle_of_a_key_stands(store):
    first = store.put(make_draft())
    assert store.put(make_draft(pipeline=fitted(9.0))) == first
    assert store.find("churn", KEY) == first
    np.testing.assert_array_equal(answers(store.load(first.uri, first.digest).pipeline), answers(fitted()))


def test_keys_and_models_have_bundles_of_their_own(store):
    first = store.put(make_draft())
    second = store.put(make_draft(key=digest("d"), pipeline=fitted(9.0)))
    assert first.digest != second.digest
    assert store.find("churn", digest("e")) is None
    assert store.find("other", KEY) is None


def test_a_bundle_without_profile_is_whole(store):
    stored = store.put(make_draft(profile=None))
    assert set(store.load(stored.uri, stored.digest).manifest.files) == set(SIGNED) - {PROFILE_FILE}


def test_the_writer_that_comes_second_gets_what_stands(local, monkeypatch):
    draft, won = make_draft(), []
    honest = Storage.put_tree

    def other_was_faster(self, folder, path, *, last):
        if not won:
            won.append(None)
            won[0] = SignedBundleStore(local.storage, local.keys_dir).put(
                replace(draft, pipeline=fitted(9.0))
            )
        return honest(self, folder, path, last=last)

    monkeypatch.setattr(Storage, "put_tree", other_was_faster)
    assert local.put(draft) == won[0]


def test_nothing_half_written_stays_behind(local, monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise StorageError("the disk is full", code="WS-STORAGE-002")

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "put_tree", full)
        with pytest.raises(StorageError):
            local.put(make_draft())
    assert [file for file in (tmp_path / "storage").rglob("*") if file.is_file()] == []
    assert local.find("churn", KEY) is None
    assert local.put(make_draft())


def test_a_half_copied_folder_counts_for_nothing_and_is_written_anew(local):
    stored = local.put(make_draft())
    (Path(stored.uri) / MANIFEST_FILE).unlink()
    assert local.find("churn", KEY) is None
    again = local.put(make_draft())
    assert local.load(again.uri, again.digest)


def test_without_a_signing_key_nothing_is_written(local, keys):
    (keys / PRIVATE_KEY).unlink()
    with pytest.raises(SettingsError, match="windsock keys rotate"):
        local.put(make_draft())
    assert local.find("churn", KEY) is None


def test_a_pipeline_of_foreign_types_is_not_written(store):
    with pytest.raises(UnverifiedBundleError, match="MinMaxScaler"):
        store.put(make_draft(pipeline=MinMaxScaler().fit(FEATURES)))
    assert store.find("churn", KEY) is None


@pytest.mark.parametrize(
    ("model", "key"), [("../churn", KEY), ("churn", "../x"), ("churn", ""), ("Churn", KEY)]
)
def test_names_that_lead_elsewhere_are_refused(store, model, key):
    with pytest.raises(SettingsError):
        store.find(model, key)


def test_a_missing_bundle_is_lost(store):
    stored = store.put(make_draft())
    with pytest.raises(LostBundleError):
        store.load(stored.uri.replace(KEY, digest("f")), stored.digest)


@pytest.mark.parametrize("before", ["/old/storage", "/proc/self/cwd/storage", "s3://bucket/place"])
def test_a_bundle_of_a_root_that_was_moved_is_found_and_verified(store, tmp_path, before):
    stored = store.put(make_draft())
    address = f"{before}/bundles/churn/{KEY}"
    assert store.load(address, stored.digest).digest == stored.digest
    assert store.describe(address, stored.digest).digest == stored.digest
    assert (store.fetch_bundle(address, stored.digest, tmp_path / "copies") / MANIFEST_FILE).exists()
    with pytest.raises(UnverifiedBundleError):
        store.load(address, digest("f"))
    with pytest.raises(LostBundleError):
        store.load(address.replace(KEY, digest("f")), stored.digest)


def test_another_version_of_the_estimators_is_said(local, caplog):
    stored = local.put(make_draft(versions={"scikit-learn": "0.1"}))
    local.load(stored.uri, stored.digest)
    assert "WS-BUNDLE-011" in caplog.text


# --- copies beside the server


def test_a_copy_is_verified_and_whole(store, tmp_path):
    stored = store.put(make_draft())
    copy = store.fetch_bundle(stored.uri, stored.digest, tmp_path / "copies")
    assert copy == tmp_path / "copies" / stored.digest
    assert {file.name for file in copy.iterdir()} == set(ALL)
    store.storage.remove(stored.uri)
    assert store.fetch_bundle(stored.uri, stored.digest, tmp_path / "copies") == copy
    np.testing.assert_array_equal(answers(store.load_folder(copy, stored.digest).pipeline), answers(fitted()))


def test_a_broken_copy_is_replaced(store, tmp_path, caplog):
    stored = store.put(make_draft())
    copy = store.fetch_bundle(stored.uri, stored.digest, tmp_path / "copies")
    (copy / MODEL_FILE).write_bytes(b"rubbish")
    with pytest.raises(UnverifiedBundleError):
        store.load_folder(copy, stored.digest)
    assert store.fetch_bundle(stored.uri, stored.digest, tmp_path / "copies") == copy
    assert "WS-BUNDLE-005" in caplog.text
    assert store.load_folder(copy, stored.digest)


def test_a_copy_is_loaded_with_the_public_key_alone(store, keys, tmp_path):
    stored = store.put(make_draft())
    serving = tmp_path / "serving-keys"
    serving.mkdir()
    shutil.copy(keys / PUBLIC_KEY, serving)
    served = SignedBundleStore(store.storage, serving)
    copy = served.fetch_bundle(stored.uri, stored.digest, tmp_path / "copies")
    assert served.load_folder(copy, stored.digest)


# --- bundles that were tampered with; accepted: 0


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("name", ALL)
def test_a_flipped_bit_in_any_file_is_refused(store, name, where):
    stored = store.put(make_draft())
    content = bytearray(store.storage.read_bytes(f"{stored.uri}/{name}"))
    content[{"first": 0, "middle": len(content) // 2, "last": -1}[where]] ^= 1
    store.storage.write_bytes(f"{stored.uri}/{name}", bytes(content))
    code = "WS-BUNDLE-005" if name in SIGNED else "WS-BUNDLE-002"
    assert_refused(store, stored.uri, stored.digest, code)
    with pytest.raises(UnverifiedBundleError):
        store.find("churn", KEY)
    with pytest.raises(UnverifiedBundleError):
        store.put(make_draft())


@pytest.mark.parametrize("name", ALL)
def test_a_removed_file_is_refused(store, name):
    stored = store.put(make_draft())
    store.storage.remove(f"{stored.uri}/{name}")
    assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-004")


@pytest.mark.parametrize(
    "name", ["extra.txt", "model.pkl", ".hidden", "code.py", "__init__.py", "compiled.so"]
)
def test_an_added_file_is_refused(store, name):
    stored = store.put(make_draft())
    store.storage.write_bytes(f"{stored.uri}/{name}", b"")
    error = assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-004")
    assert name in error.message


def test_a_known_file_that_the_manifest_does_not_list_is_refused(store):
    stored = store.put(make_draft(profile=None))
    store.storage.write_bytes(f"{stored.uri}/{PROFILE_FILE}", b"{}")
    assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-004")


def test_a_renamed_file_is_refused(store):
    stored = store.put(make_draft())
    content = store.storage.read_bytes(f"{stored.uri}/{GOLDEN_FILE}")
    store.storage.remove(f"{stored.uri}/{GOLDEN_FILE}")
    store.storage.write_bytes(f"{stored.uri}/golden2.json", content)
    assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-004")


def test_two_files_in_each_others_place_are_refused(store):
    stored = store.put(make_draft())
    schema, golden = (store.storage.read_bytes(f"{stored.uri}/{name}") for name in (SCHEMA_FILE, GOLDEN_FILE))
    store.storage.write_bytes(f"{stored.uri}/{SCHEMA_FILE}", golden)
    store.storage.write_bytes(f"{stored.uri}/{GOLDEN_FILE}", schema)
    assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-005")


@pytest.mark.parametrize("name", ALL)
def test_a_link_is_refused_even_to_the_same_content(local, tmp_path, name):
    stored = local.put(make_draft())
    file, elsewhere = Path(stored.uri) / name, tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert_refused(local, stored.uri, stored.digest, "WS-BUNDLE-004")


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST_FILE, "pipe"])
def test_a_pipe_is_refused_without_waiting_for_it(local, name):
    stored = local.put(make_draft())
    (Path(stored.uri) / name).unlink(missing_ok=True)
    os.mkfifo(Path(stored.uri) / name)
    assert_refused(local, stored.uri, stored.digest, "WS-BUNDLE-004")


@pytest.mark.parametrize("inside", ["", "file.txt"])
def test_a_subfolder_is_refused(local, inside):
    stored = local.put(make_draft())
    (Path(stored.uri) / "code").mkdir()
    if inside:
        (Path(stored.uri) / "code" / inside).write_text("x")
    assert_refused(local, stored.uri, stored.digest, "WS-BUNDLE-004")


def test_a_prefix_below_the_bundle_is_refused(store):
    stored = store.put(make_draft())
    store.storage.write_bytes(f"{stored.uri}/code/run.py", b"")
    assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-004")


def resigned(store, uri, keys_dir, change) -> str:
    """Change a manifest and sign it with the key of a folder; return its digest."""
    manifest = json.loads(store.storage.read_bytes(f"{uri}/{MANIFEST_FILE}"))
    content = canonical_json(change(manifest)).encode()
    store.storage.write_bytes(f"{uri}/{MANIFEST_FILE}", content)
    store.storage.write_bytes(f"{uri}/{SIGNATURE_FILE}", Signer(keys_dir).sign(content))
    return hashlib.sha256(content).hexdigest()


def test_an_edited_manifest_is_refused(store):
    stored = store.put(make_draft())
    manifest = json.loads(store.storage.read_bytes(f"{stored.uri}/{MANIFEST_FILE}"))
    content = canonical_json({**manifest, "snapshot_digest": digest("f")}).encode()
    store.storage.write_bytes(f"{stored.uri}/{MANIFEST_FILE}", content)
    edited = hashlib.sha256(content).hexdigest()
    for asked in (stored.digest, edited):
        assert_refused(store, stored.uri, asked, "WS-BUNDLE-002")


def test_a_manifest_signed_by_another_key_is_refused(store, tmp_path):
    stored = store.put(make_draft())
    foreign = create_keys(tmp_path / "foreign")
    edited = resigned(store, stored.uri, foreign, lambda manifest: {**manifest, "facts": {}})
    for asked in (stored.digest, edited):
        assert_refused(store, stored.uri, asked, "WS-BUNDLE-002")


def test_the_signature_of_another_bundle_is_refused(store):
    stored = store.put(make_draft())
    other = store.put(make_draft(key=digest("d")))
    signature = store.storage.read_bytes(f"{other.uri}/{SIGNATURE_FILE}")
    store.storage.write_bytes(f"{stored.uri}/{SIGNATURE_FILE}", signature)
    assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-002")


def test_another_honest_bundle_in_its_place_is_refused(store):
    stored = store.put(make_draft())
    other = store.put(make_draft(key=digest("d"), pipeline=fitted(9.0)))
    for name in ALL:
        store.storage.write_bytes(f"{stored.uri}/{name}", store.storage.read_bytes(f"{other.uri}/{name}"))
    assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-003")
    with pytest.raises(UnverifiedBundleError, match="WS-BUNDLE-009"):
        store.find("churn", KEY)


def test_a_signed_bundle_about_another_model_is_refused(local, keys):
    stored = local.put(make_draft())
    asked = resigned(local, stored.uri, keys, lambda manifest: {**manifest, "model": "credit"})
    for load in (local.load, lambda uri, digest: local.load_folder(Path(uri), digest)):
        with pytest.raises(UnverifiedBundleError, match="WS-BUNDLE-009"):
            load(stored.uri, asked)


def signed_with(store, uri, keys_dir, name, content) -> str:
    """Put a file into a bundle and sign it honestly, as a thief of the key would; return the digest."""
    store.storage.write_bytes(f"{uri}/{name}", content)
    files = {name: hashlib.sha256(content).hexdigest()}
    return resigned(
        store, uri, keys_dir, lambda manifest: {**manifest, "files": {**manifest["files"], **files}}
    )


class Opens:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.write_text, (self.target, "owned"))


@pytest.mark.parametrize("signed", [False, True])
def test_a_pickle_in_place_of_the_model_is_never_run(store, keys, tmp_path, signed):
    stored, proof = store.put(make_draft()), tmp_path / "owned"
    content, asked = pickle.dumps(Opens(proof)), stored.digest
    if signed:
        asked = signed_with(store, stored.uri, keys, MODEL_FILE, content)
    else:
        store.storage.write_bytes(f"{stored.uri}/{MODEL_FILE}", content)
    with pytest.raises(UnverifiedBundleError) as caught:
        store.load(stored.uri, asked)
    assert caught.value.code == ("WS-BUNDLE-007" if signed else "WS-BUNDLE-005")
    assert not proof.exists()


def crafted_model(proof: Path) -> bytes:
    """Return a skops file that runs a command when it is loaded with everything trusted."""
    command = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "is_json": True}
    command |= {"content": json.dumps(f"touch {proof}"), "__id__": 3}
    empty = {
        "__class__": "dict",
        "__module__": "builtins",
        "__loader__": "DictNode",
        "__id__": 4,
        "content": {},
    }
    empty["key_types"] = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    empty["key_types"] |= {"content": [], "__id__": 5}
    args = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "__id__": 6}
    schema = {
        "__class__": "system",
        "__module__": "os",
        "__loader__": "ConstructorFromReduceNode",
        "content": {**args, "content": [command]},
        "__id__": 1,
        "protocol": 2,
        "_skops_version": "0.16",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    return out.getvalue()


def test_the_crafted_model_would_run_code_where_all_is_trusted(tmp_path):
    import skops.io

    skops.io.loads(crafted_model(tmp_path / "owned"), trusted=["os.system"])
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize("signed", [False, True])
def test_a_crafted_model_never_runs(store, keys, tmp_path, signed):
    stored, proof = store.put(make_draft()), tmp_path / "owned"
    content, asked = crafted_model(proof), stored.digest
    if signed:
        asked = signed_with(store, stored.uri, keys, MODEL_FILE, content)
    else:
        store.storage.write_bytes(f"{stored.uri}/{MODEL_FILE}", content)
    with pytest.raises(UnverifiedBundleError) as caught:
        store.load(stored.uri, asked)
    assert caught.value.code == ("WS-BUNDLE-006" if signed else "WS-BUNDLE-005")
    assert not proof.exists()


@pytest.mark.parametrize("name", ["model.pkl", "../model.skops", "code/run.py"])
def test_a_manifest_that_lists_unknown_files_is_refused(local, keys, name):
    stored = local.put(make_draft())
    asked = resigned(
        local, stored.uri, keys, lambda made: {**made, "files": {**made["files"], name: digest("0")}}
    )
    assert_refused(local, stored.uri, asked, "WS-BUNDLE-004")


@pytest.mark.parametrize("name", [SCHEMA_FILE, GOLDEN_FILE, PROFILE_FILE])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"rows": NaN}', b"[" * 100_000, b"\xff"])
def test_signed_files_that_cannot_be_read_are_refused(local, keys, name, content):
    stored = local.put(make_draft())
    asked = signed_with(local, stored.uri, keys, name, content)
    with pytest.raises(UnverifiedBundleError) as caught:
        local.load(stored.uri, asked)
    assert caught.value.code == "WS-BUNDLE-007"


@pytest.mark.parametrize("change", [lambda m: [m], lambda m: {**m, "new": 1}, lambda m: {}])
def test_signed_manifests_that_cannot_be_read_are_refused(local, keys, change):
    stored = local.put(make_draft())
    asked = resigned(local, stored.uri, keys, change)
    assert_refused(local, stored.uri, asked, "WS-BUNDLE-007")


def test_golden_rows_without_answers_are_refused(local, keys):
    stored = local.put(make_draft())
    content = canonical_json(
        {"rows": [{"spend": 1.0}, {}], "scores": [[0.5, 0.5]], "tolerance": 0.1}
    ).encode()
    asked = signed_with(local, stored.uri, keys, GOLDEN_FILE, content)
    with pytest.raises(UnverifiedBundleError, match="WS-BUNDLE-009"):
        local.load(stored.uri, asked)


@pytest.mark.parametrize("name", ALL)
def test_files_over_their_limit_are_refused(store, monkeypatch, name):
    stored = store.put(make_draft())
    monkeypatch.setitem(bundle_files.LIMITS, name, 10)
    assert_refused(store, stored.uri, stored.digest, "WS-BUNDLE-008")


@pytest.mark.parametrize("asked", ["", "a", digest("A"), "../../etc", digest("a") + "\n"])
def test_what_is_no_digest_is_refused(local, asked, tmp_path):
    stored = local.put(make_draft())
    with pytest.raises(UnverifiedBundleError):
        local.load(stored.uri, asked)
    with pytest.raises(UnverifiedBundleError):
        local.fetch_bundle(stored.uri, asked, tmp_path / "copies")


def test_a_bundle_outside_the_storage_root_is_refused(local, tmp_path):
    stored = local.put(make_draft())
    shutil.copytree(stored.uri, tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="WS-STORAGE-005"):
        local.load(str(tmp_path / "elsewhere"), stored.digest)


def test_no_error_shows_what_the_files_hold(local, keys):
    stored = local.put(make_draft())
    content = canonical_json({"rows": [{"name": "Jane Secret"}], "scores": "Jane Secret"}).encode()
    asked = signed_with(local, stored.uri, keys, GOLDEN_FILE, content)
    with pytest.raises(UnverifiedBundleError) as caught:
        local.load(stored.uri, asked)
    assert "Secret" not in str(caught.value)


def test_loading_checks_the_types_again(local, monkeypatch):
    stored = local.put(make_draft())
    monkeypatch.setattr(skops_codec, "allowed_types", lambda: frozenset({"builtins.dict"}))
    with pytest.raises(UnverifiedBundleError, match="WS-BUNDLE-006"):
        local.load(stored.uri, stored.digest)


# --- documents

DOCUMENT = "evidence/churn/pack.json"


def test_a_document_is_signed_and_the_first_content_stands(store):
    first = store.put_document(DOCUMENT, b'{"gate": "promote"}')
    assert first == hashlib.sha256(b'{"gate": "promote"}').hexdigest()
    assert store.put_document(DOCUMENT, b"other") == first
    signature = store.storage.read_bytes(f"{DOCUMENT}.sig")
    assert Signer(store.keys_dir).sign(b'{"gate": "promote"}') == signature


@pytest.mark.parametrize("written", ["none", "signature"])
def test_a_document_whose_writer_was_killed_is_completed(store, written):
    if written == "signature":
        store.storage.write_bytes(f"{DOCUMENT}.sig", Signer(store.keys_dir).sign(b"other"))
    assert store.put_document(DOCUMENT, b"content")
    assert store.put_document(DOCUMENT, b"x") == hashlib.sha256(b"content").hexdigest()


def test_the_signature_of_a_lost_race_is_mended_by_the_content_that_stands(store):
    store.put_document(DOCUMENT, b"content")
    store.storage.write_bytes(f"{DOCUMENT}.sig", Signer(store.keys_dir).sign(b"other"))
    store.put_document(DOCUMENT, b"content")
    assert store.storage.read_bytes(f"{DOCUMENT}.sig") == Signer(store.keys_dir).sign(b"content")


@pytest.mark.parametrize("signature", [None, b"", b"x" * 64, "foreign"])
def test_a_document_that_was_changed_is_never_signed(store, tmp_path, signature):
    store.put_document(DOCUMENT, b"content")
    store.storage.write_bytes(DOCUMENT, b"changed")
    if signature is None:
        store.storage.remove(f"{DOCUMENT}.sig")
    elif signature:
        made = (
            Signer(create_keys(tmp_path / "foreign")).sign(b"changed")
            if signature == "foreign"
            else signature
        )
        store.storage.write_bytes(f"{DOCUMENT}.sig", made)
    with pytest.raises(UnverifiedBundleError) as caught:
        store.put_document(DOCUMENT, b"content")
    assert caught.value.code == "WS-BUNDLE-010"


def test_a_document_is_read_as_it_was_signed(store):
    told = store.put_document(DOCUMENT, b"content")
    assert store.read_document(DOCUMENT, told) == b"content"


@pytest.mark.parametrize("fault", ["changed", "another digest", "no signature", "foreign", "gone"])
def test_a_document_that_is_not_what_was_signed_is_not_read(store, tmp_path, fault):
    told = store.put_document(DOCUMENT, b"content")
    if fault == "changed":
        store.storage.write_bytes(DOCUMENT, b"changed")
    elif fault == "another digest":
        told = hashlib.sha256(b"other").hexdigest()
    elif fault == "no signature":
        store.storage.remove(f"{DOCUMENT}.sig")
    elif fault == "foreign":
        foreign = Signer(create_keys(tmp_path / "foreign")).sign(b"content")
        store.storage.write_bytes(f"{DOCUMENT}.sig", foreign)
    else:
        store.storage.remove(DOCUMENT)
    with pytest.raises(UnverifiedBundleError) as caught:
        store.read_document(DOCUMENT, told)
    assert caught.value.code == "WS-BUNDLE-010"
