from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from windsock.adapters.signing import (
    ADMIN_TOKEN,
    PRIVATE_KEY,
    PUBLIC_KEY,
    SIGNATURE_SIZE,
    Signer,
    Verifier,
    create_keys,
    replace_signing_key,
)
from windsock.exceptions import SettingsError
from windsock.settings import Settings

PLUGINS = Path(__file__).parents[3] / "plugins"


@pytest.fixture
def keys(tmp_path):
    return create_keys(tmp_path / "home" / "keys")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_private_and_complete(keys):
    assert mode(keys) == 0o700
    assert {file.name: mode(file) for file in keys.iterdir()} == {
        PRIVATE_KEY: 0o600,
        PUBLIC_KEY: 0o644,
        ADMIN_TOKEN: 0o600,
    }
    assert list(keys.parent.iterdir()) == [keys]


def test_the_token_is_what_the_settings_read(keys):
    settings = Settings.from_environment({"WINDSOCK_HOME": str(keys.parent)})
    assert len(settings.read_admin_token()) == 43


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_do_not_hang_on_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        keys = create_keys(tmp_path / "keys")
    finally:
        os.umask(before)
    assert (mode(keys), mode(keys / PRIVATE_KEY), mode(keys / PUBLIC_KEY)) == (0o700, 0o600, 0o644)


def test_an_existing_key_is_never_overwritten(keys):
    before = {file.name: file.read_bytes() for file in keys.iterdir()}
    with pytest.raises(SettingsError) as caught:
        create_keys(keys)
    assert caught.value.code == "WS-SETTINGS-030"
    assert "keys rotate" in caught.value.next_action
    assert {file.name: file.read_bytes() for file in keys.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as caught:
        create_keys(tmp_path / "file" / "keys")
    assert caught.value.code == "WS-SETTINGS-031"


def test_of_many_processes_one_makes_the_keys(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from windsock.adapters.signing import create_keys\n"
        "from windsock.exceptions import SettingsError\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    create_keys(pathlib.Path(sys.argv[1]))\n"
        "    print('made')\n"
        "except SettingsError as error:\n"
        "    print(error.code)\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "keys")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        )
        for _ in range(6)
    ]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate()[0].strip() for process in started]
    assert sorted(answers) == ["WS-SETTINGS-030"] * 5 + ["made"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]
    keys = tmp_path / "keys"
    assert Verifier(keys).verify(b"x", Signer(keys).sign(b"x"))


def test_signatures_hold_for_their_content_only(keys):
    signature = Signer(keys).sign(b"content")
    assert len(signature) == SIGNATURE_SIZE
    assert Verifier(keys).verify(b"content", signature)
    assert not Verifier(keys).verify(b"contenu", signature)
    assert not Verifier(keys).verify(b"content", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not Verifier(keys).verify(b"content", b"")


def test_another_key_counts_once_it_is_trusted(keys, tmp_path):
    other = create_keys(tmp_path / "other")
    signature = Signer(other).sign(b"content")
    assert not Verifier(keys).verify(b"content", signature)
    (keys / "trusted").mkdir()
    (keys / "trusted" / "2025.pub").write_bytes((other / PUBLIC_KEY).read_bytes())
    assert Verifier(keys).verify(b"content", signature)


def test_a_machine_that_only_verifies_needs_no_private_key(keys):
    signature = Signer(keys).sign(b"content")
    (keys / PRIVATE_KEY).unlink()
    assert Verifier(keys).verify(b"content", signature)


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o660])
def test_a_private_key_that_others_may_read_is_refused(keys, loose):
    (keys / PRIVATE_KEY).chmod(loose)
    with pytest.raises(SettingsError) as caught:
        Signer(keys).sign(b"content")
    assert caught.value.code == "WS-SETTINGS-033"
    assert f"chmod 600 {keys / PRIVATE_KEY}" in caught.value.next_action


def test_a_public_key_that_all_may_write_is_refused(keys):
    (keys / PUBLIC_KEY).chmod(0o646)
    with pytest.raises(SettingsError) as caught:
        Verifier(keys).verify(b"content", b"")
    assert caught.value.code == "WS-SETTINGS-033"


def test_without_keys_the_cure_is_named(tmp_path):
    with pytest.raises(SettingsError) as signing:
        Signer(tmp_path).sign(b"content")
    with pytest.raises(SettingsError) as verifying:
        Verifier(tmp_path).verify(b"content", b"")
    assert (signing.value.code, verifying.value.code) == ("WS-SETTINGS-032", "WS-SETTINGS-035")
    assert "windsock keys init" in signing.value.next_action
    assert "windsock keys init" in verifying.value.next_action


def write_private(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o600)


def test_what_is_no_key_of_this_kind_is_refused(keys):
    wrong = generate_private_key(SECP256R1())
    pem = wrong.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content in (b"rubbish", pem):
        write_private(keys / PRIVATE_KEY, content)
        with pytest.raises(SettingsError, match="WS-SETTINGS-034"):
            Signer(keys).sign(b"content")
    public = wrong.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for content in (b"rubbish", public):
        (keys / PUBLIC_KEY).write_bytes(content)
        with pytest.raises(SettingsError, match="WS-SETTINGS-034"):
            Verifier(keys).verify(b"content", b"")


def test_no_error_shows_a_secret(keys):
    token = (keys / ADMIN_TOKEN).read_text().strip()
    private = (keys / PRIVATE_KEY).read_text().splitlines()[1]
    (keys / PRIVATE_KEY).chmod(0o644)
    for action in (lambda: create_keys(keys), lambda: Signer(keys).sign(b"")):
        with pytest.raises(SettingsError) as caught:
            action()
        assert token not in str(caught.value)
        assert private not in str(caught.value)


class TestReplacing:
    def test_what_the_old_key_signed_stays_its_own(self, tmp_path: Path) -> None:
        keys = create_keys(tmp_path / "keys")
        before = Signer(keys).sign(b"row")
        token = (keys / "admin_token").read_bytes()
        made = replace_signing_key(keys)
        assert Verifier(keys, own=True).verify(b"row", before)
        assert Verifier(keys, own=True).verify(b"new", Signer(keys).sign(b"new"))
        assert len(_stems(keys)) == 1
        assert made not in _stems(keys), "the present key is none of before"
        assert (keys / "admin_token").read_bytes() == token
        assert (keys / "signing.key").stat().st_mode & 0o777 == 0o600

    def test_again_and_again_all_of_them_verify(self, tmp_path: Path) -> None:
        keys = create_keys(tmp_path / "keys")
        signed = []
        for number in range(3):
            signed.append((f"{number}".encode(), Signer(keys).sign(f"{number}".encode())))
            replace_signing_key(keys)
        verifier = Verifier(keys, own=True)
        assert all(verifier.verify(content, signature) for content, signature in signed)

    def test_a_key_of_another_installation_is_none_of_its_own(self, tmp_path: Path) -> None:
        keys, other = create_keys(tmp_path / "keys"), create_keys(tmp_path / "other")
        (keys / "trusted").mkdir()
        (keys / "trusted" / "other.pub").write_bytes((other / "signing.pub").read_bytes())
        signature = Signer(other).sign(b"row")
        assert Verifier(keys).verify(b"row", signature)
        assert not Verifier(keys, own=True).verify(b"row", signature)

    def test_without_a_key_there_is_nothing_to_replace(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError) as caught:
            replace_signing_key(tmp_path)
        assert caught.value.code == "WS-SETTINGS-032"
        assert list(tmp_path.iterdir()) == []


def _stems(keys: Path) -> list[str]:
    return [file.stem for file in (keys / "retired").iterdir()]
