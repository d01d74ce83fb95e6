from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from windsock.adapters.installation import Installation
from windsock.adapters.signing import create_keys
from windsock.exceptions import SettingsError


def test_an_installation_is_known_by_its_public_key(tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys")
    key = load_pem_public_key((keys / "signing.pub").read_bytes())
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert Installation(keys).identity == hashlib.sha256(der).hexdigest()
    assert Installation(create_keys(tmp_path / "others")).identity != Installation(keys).identity


def test_another_machine_with_the_public_key_alone_is_the_same_installation(tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys")
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(keys / "signing.pub", copy)
    assert Installation(copy).identity == Installation(keys).identity
    assert Installation(copy).trusted == frozenset()


def test_trusted_keys_are_those_in_their_folder(tmp_path: Path) -> None:
    keys, old = create_keys(tmp_path / "keys"), create_keys(tmp_path / "old")
    (keys / "trusted").mkdir()
    shutil.copy(old / "signing.pub", keys / "trusted" / "old.pub")
    assert Installation(keys).trusted == {Installation(old).identity}


@pytest.mark.parametrize(("content", "code"), [(None, "WS-SETTINGS-035"), (b"nonsense", "WS-SETTINGS-034")])
def test_without_a_key_nobody_is_known(tmp_path: Path, content: bytes | None, code: str) -> None:
    if content is not None:
        (tmp_path / "signing.pub").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        assert Installation(tmp_path).identity
    assert caught.value.code == code
