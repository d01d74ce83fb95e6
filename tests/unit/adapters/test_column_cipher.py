from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from windsock.adapters import column_cipher
from windsock.adapters.column_cipher import LOG_KEY, UNAVAILABLE, ColumnCipher, make_log_key
from windsock.exceptions import SettingsError

CIPHER = ColumnCipher([Fernet.generate_key()])
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(VALUES | TEXT)
def test_every_value_comes_back_with_its_kind(value: Any) -> None:
    text = CIPHER.encrypt(value)
    assert text.startswith("fernet:")
    back = CIPHER.decrypt(text)
    assert (back, type(back)) == (value, type(value))


def test_equal_values_do_not_look_equal() -> None:
    assert CIPHER.encrypt("female") != CIPHER.encrypt("female")


def test_what_was_never_written_is_unknown() -> None:
    assert CIPHER.decrypt(UNAVAILABLE) is None


@pytest.mark.parametrize(
    "text",
    ["planted", "fernet:planted", CIPHER.encrypt("planted")[:-8]],
    ids=["plain", "no token", "cut off"],
)
def test_what_no_key_made_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        CIPHER.decrypt(text)
    assert caught.value.code == "WS-SERVING-035"
    assert "planted" not in str(caught.value)
    assert text not in str(caught.value)


def test_a_new_key_encrypts_and_the_old_ones_decrypt(tmp_path: Path) -> None:
    assert ColumnCipher.from_folder(tmp_path) is None
    assert make_log_key(tmp_path) == 1
    old = ColumnCipher.from_folder(tmp_path)
    assert old is not None
    before = old.encrypt("secret")
    assert make_log_key(tmp_path) == 2
    both = ColumnCipher.from_folder(tmp_path)
    assert both is not None
    assert both.decrypt(before) == "secret"
    with pytest.raises(SettingsError, match="none of the log keys"):
        old.decrypt(both.encrypt("secret"))


@pytest.mark.parametrize("content", [b"", b"\n", b"nonsense\n", b"\xff\xfe\n", b"c2hvcnQ=\n"])
def test_a_file_that_holds_no_keys(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / LOG_KEY
    file.write_bytes(content)
    file.chmod(0o600)
    for read in (ColumnCipher.from_folder, make_log_key):
        with pytest.raises(SettingsError) as caught:
            read(tmp_path)
        assert caught.value.code == "WS-SERVING-034"
    assert file.read_bytes() == content


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o700])
def test_a_key_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    make_log_key(tmp_path)
    (tmp_path / LOG_KEY).chmod(mode)
    with pytest.raises(SettingsError, match=f"mode {mode:04o}"):
        ColumnCipher.from_folder(tmp_path)


def test_a_key_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / LOG_KEY).mkdir()
    with pytest.raises(SettingsError, match="cannot be used"):
        ColumnCipher.from_folder(tmp_path)


def test_a_folder_that_is_not_there_or_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="windsock keys init"):
        make_log_key(tmp_path / "none")
    make_log_key(tmp_path)
    before = (tmp_path / LOG_KEY).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(column_cipher.os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left") as caught:
        make_log_key(tmp_path)
    assert caught.value.code == "WS-SERVING-036"
    assert os.listdir(tmp_path) == [LOG_KEY]
    assert (tmp_path / LOG_KEY).read_bytes() == before
