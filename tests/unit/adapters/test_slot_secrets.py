from __future__ import annotations

import copy
import json
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest

from support.builders import NOON, digest
from support.slots import make_deployment
from windsock.adapters.slot_secrets import SlotKey, SlotSecret, SlotSecretError, read_slot_file

ADDRESS = "http://127.0.0.1:8182"
DEPLOYMENT = make_deployment(digest("a"), ADDRESS, slot="0" * 32)


@pytest.fixture
def key(tmp_path: Path) -> SlotKey:
    made = SlotKey(tmp_path)
    made.make()
    return made


def test_the_key_is_made_once_and_private(key: SlotKey, tmp_path: Path) -> None:
    before = key.file.read_bytes()
    key.make()
    assert key.file.read_bytes() == before
    assert stat.S_IMODE(key.file.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["slots.key"]


def test_of_two_that_make_the_key_at_once_one_wins(
    key: SlotKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key.file.read_bytes()
    monkeypatch.setattr(Path, "exists", lambda _: False)
    SlotKey(tmp_path).make()
    assert key.file.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"slot": "1" * 32},
        {"model": "spend"},
        {"version": "2"},
        {"digest": digest("b")},
        {"address": "http://127.0.0.1:8183"},
        {"made_at": NOON.replace(second=1)},
    ],
)
def test_another_slot_has_another_secret(key: SlotKey, change: dict[str, Any]) -> None:
    other = DEPLOYMENT.model_copy(update=change)
    proof = key.secret_of(DEPLOYMENT).answer_proof("n", 200, b"")
    assert key.secret_of(DEPLOYMENT).proves_answer(proof, "n", 200, b"")
    assert not key.secret_of(other).proves_answer(proof, "n", 200, b"")


def test_another_installation_has_other_secrets(key: SlotKey, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = SlotKey(tmp_path / "other")
    other.make()
    proof = key.secret_of(DEPLOYMENT).answer_proof("n", 200, b"")
    assert not other.secret_of(DEPLOYMENT).proves_answer(proof, "n", 200, b"")


def test_a_proof_holds_for_one_message(key: SlotKey) -> None:
    secret = key.secret_of(DEPLOYMENT)
    nonce, headers = secret.request_headers("POST", "/slot/scores", b"body")
    proof = headers["Authorization"].partition(" ")[2]
    assert secret.proves_request(proof, nonce, "POST", "/slot/scores", b"body")
    for changed in (
        ("0" * 64, nonce, "POST", "/slot/scores", b"body"),
        (proof, "0" * 32, "POST", "/slot/scores", b"body"),
        (proof, nonce, "GET", "/slot/scores", b"body"),
        (proof, nonce, "POST", "/slot/ready", b"body"),
        (proof, nonce, "POST", "/slot/scores", b"other"),
        ("", nonce, "POST", "/slot/scores", b"body"),
        ("ünï", nonce, "POST", "/slot/scores", b"body"),
    ):
        assert not secret.proves_request(*changed)
    answer = secret.answer_proof(nonce, 200, b"body")
    assert answer != proof
    assert not secret.proves_answer(answer, nonce, 422, b"body")
    assert not secret.proves_answer(proof, nonce, 200, b"body")
    assert not secret.proves_answer(None, nonce, 200, b"body")


def test_a_secret_shows_itself_nowhere(key: SlotKey) -> None:
    secret = SlotSecret(bytes(range(32)))
    shown = bytes(range(32)).hex()
    assert shown not in f"{secret!r} {secret} {[secret]}"
    assert repr(bytes(range(32))) not in f"{secret!r}"
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(secret)
    with pytest.raises(ValueError, match="32 bytes"):
        SlotSecret(b"short")
    _, headers = secret.request_headers("GET", "/slot/ready", b"")
    assert shown not in json.dumps(headers)


def test_the_file_of_a_slot_is_private_and_read_back(key: SlotKey, tmp_path: Path) -> None:
    secret = key.secret_of(DEPLOYMENT)
    file = secret.write(tmp_path, DEPLOYMENT)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    read, known = read_slot_file(file)
    assert read == DEPLOYMENT
    assert known.answer_proof("n", 200, b"") == secret.answer_proof("n", 200, b"")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"deployment": {}, "secret": "planted"}', '{"secret": 3}']
)
def test_a_file_that_holds_something_else(tmp_path: Path, content: str) -> None:
    file = tmp_path / "slot.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(SlotSecretError) as refused:
        read_slot_file(file)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602])
def test_what_others_may_use_is_refused(key: SlotKey, tmp_path: Path, mode: int) -> None:
    file = key.secret_of(DEPLOYMENT).write(tmp_path, DEPLOYMENT)
    for private in (file, key.file):
        private.chmod(mode)
    with pytest.raises(SlotSecretError, match="others"):
        read_slot_file(file)
    with pytest.raises(SlotSecretError, match="others"):
        key.secret_of(DEPLOYMENT)


@pytest.mark.parametrize("content", [b"", b"zz", b"00" * 31, b"\xff"])
def test_a_key_that_is_none(key: SlotKey, content: bytes) -> None:
    key.file.write_bytes(content)
    with pytest.raises(SlotSecretError, match="holds no key"):
        key.secret_of(DEPLOYMENT)


def test_a_key_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(SlotSecretError) as refused:
        SlotKey(tmp_path).secret_of(DEPLOYMENT)
    assert refused.value.code == "WS-SLOT-002"
