from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from windsock.adapters.kept_things import StoredThings
from windsock.adapters.storage import Storage
from windsock.records.retention import RemovalNote

AT = datetime(2026, 5, 3, 2, tzinfo=UTC)
DIGEST = "d" * 64
PACK = f"{DIGEST}-{'1' * 12}.json"
CONTENT = {
    "bundles": ("k1/manifest.json", {"created_at": AT.isoformat(), "snapshot_digest": DIGEST}),
    "snapshots": (
        f"{DIGEST}/manifest.json",
        {"snapshot": {"taken_at": AT.isoformat(), "digest": DIGEST}},
    ),
    "evidence": (PACK, {"decision": {"decided_at": AT.isoformat()}, "inputs": {"bundle": DIGEST}}),
}
NAMES = {"bundles": "k1", "snapshots": DIGEST, "evidence": PACK}
KINDS = pytest.mark.parametrize("kind", list(CONTENT))


class Killed(BaseException):
    pass


@pytest.fixture(params=["folder", "memory"])
def storage(request, tmp_path):
    if request.param == "folder":
        return Storage(str(tmp_path / "root"))
    return Storage(f"memory://{uuid4().hex}")


def fill(storage, kind):
    path, content = CONTENT[kind]
    storage.write_bytes(f"{kind}/churn/{path}", json.dumps(content).encode())
    if kind == "evidence":
        storage.write_bytes(f"{kind}/churn/{path}.sig", b"signature")
    else:
        storage.write_bytes(f"{kind}/churn/{path.rpartition('/')[0]}/rows", b"rows")


def note_of(kind):
    return RemovalNote(kind=kind, model="churn", name=NAMES[kind], at=AT, days=90)


@KINDS
def test_a_thing_is_seen_with_its_time(storage, kind):
    fill(storage, kind)
    (thing,) = StoredThings(storage).things(kind, "churn")
    assert (thing.kind, thing.model, thing.name, thing.made_at) == (kind, "churn", NAMES[kind], AT)
    assert thing.snapshot == (DIGEST if kind == "bundles" else "")
    assert StoredThings(storage).size(thing) > 20
    assert StoredThings(storage).things(kind, "churn", leave=[NAMES[kind]]) == ()


@KINDS
def test_it_goes_whole_and_its_note_stays(storage, kind):
    fill(storage, kind)
    kept = StoredThings(storage)
    assert kept.note(kind, "churn", NAMES[kind]) is None
    assert kept.remove(note_of(kind)) > 20
    assert storage.names(f"{kind}/churn") == ()
    assert kept.things(kind, "churn") == ()
    assert kept.note(kind, "churn", NAMES[kind]) == note_of(kind)
    assert kept.remove(note_of(kind)) == 0


class Dying:
    """Lets a storage die after so many writes and removals."""

    def __init__(self, after):
        self.left = after

    def wrap(self, method):
        def call(*args, **kwargs):
            result = method(*args, **kwargs)
            self.left -= 1
            if not self.left:
                raise Killed
            return result

        return call


@KINDS
@pytest.mark.parametrize("after", [1, 2, 3])
def test_it_is_killed_anywhere_and_goes_on(storage, kind, monkeypatch, after):
    """A reader finds the thing whole or not at all, and the next run ends it."""
    fill(storage, kind)
    dying = Dying(after)
    with monkeypatch.context() as patch:
        for name in ("write_bytes", "remove"):
            patch.setattr(storage, name, dying.wrap(getattr(storage, name)))
        with suppress(Killed):
            StoredThings(storage).remove(note_of(kind))
    kept, head = StoredThings(storage), f"{kind}/churn/{CONTENT[kind][0]}"
    left = kept.things(kind, "churn")
    assert not storage.names(f"{kind}/churn") or storage.exists(head) or left[0].made_at is None
    for thing in left:
        kept.remove(note_of(kind).replace(name=thing.name))
    assert storage.names(f"{kind}/churn") == ()


def test_what_is_none_of_its_kind_is_left_alone(storage):
    fill(storage, "evidence")
    for path in (
        "bundles/churn/k2/model.skops",  # half written, and nobody began to remove it
        "bundles/churn/k3/manifest.json",  # unreadable
        "snapshots/churn/latest.json",
        "evidence/churn/rollout-v2-e5-7-0123456789ab.json",
        "evidence/churn/drift-profile.json",
    ):
        storage.write_bytes(path, b"no json")
    kept = StoredThings(storage)
    assert [kept.things(kind, "churn") for kind in ("bundles", "snapshots")] == [(), ()]
    assert [one.name for one in kept.things("evidence", "churn")] == [PACK]
    assert kept.things("evidence", "../churn") == ()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", note_of("bundles").model_dump_json().encode()])
def test_a_note_of_something_else_says_nothing(storage, content):
    storage.write_bytes(f"removed/snapshots/churn/{DIGEST}.json", content)
    assert StoredThings(storage).note("snapshots", "churn", DIGEST) is None


def test_the_end_of_the_last_removal_is_kept(storage):
    kept = StoredThings(storage)
    assert kept.last_removal() is None
    kept.removal_ended(AT)
    assert kept.last_removal() == AT
    storage.write_bytes("removed/last.json", b"nothing")
    assert kept.last_removal() is None


def test_the_name_of_a_bundle_is_told_by_its_address(storage):
    kept = StoredThings(storage)
    assert kept.bundle_name(storage.uri("bundles/churn/k1")) == "k1"
    assert kept.bundle_name("/moved/storage/bundles/churn/k1") == "k1"
    assert [kept.bundle_name(uri) for uri in ("", "runs:/1/model", storage.uri("bundles/churn"))] == [""] * 3
