"""``ColumnCipher``: values of sensitive fields as Fernet tokens in the prediction log.

The key file ``log.key`` holds one Fernet key a line. The first encrypts, all decrypt, so a new key is put
before the old ones and what is archived stays readable.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from windsock.exceptions import SettingsError
from windsock.spec import canonical_json

LOG_KEY = "log.key"
PREFIX = "fernet:"
UNAVAILABLE = f"{PREFIX}unavailable"
"""Stands for a value that was not to be written in clear while no key could be used."""
RIGHTS = 0o177
"""Bits of a key file's mode that must not be set."""


class ColumnCipher:
    """Encrypts and decrypts single values.

    :param keys: Fernet keys, each 32 bytes in URL-safe base64; the first encrypts.
    :raises ValueError: if there is none, or one is no such key.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        from cryptography.fernet import Fernet, MultiFernet

        self._fernet = MultiFernet([Fernet(key) for key in keys])

    @classmethod
    def from_folder(cls, keys_dir: Path) -> ColumnCipher | None:
        """Read the log key; ``None`` if there is none.

        :param keys_dir: folder that ``windsock keys init`` made.
        :raises SettingsError: if there is one and it cannot be read, others may read it, or it holds no keys.
        """
        file = keys_dir / LOG_KEY
        keys = _read_keys(file)
        if keys is None:
            return None
        try:
            return cls(keys)
        except ValueError:
            raise _unusable(file, "it does not hold one Fernet key a line") from None

    def encrypt(self, value: Any) -> str:
        """Return ``fernet:TOKEN`` of a value's canonical JSON.

        :param value: text, number, boolean or ``None``.
        """
        return PREFIX + self._fernet.encrypt(canonical_json(value).encode()).decode()

    def decrypt(self, text: str) -> Any:
        """Return the value that a sensitive field's text stands for.

        :param text: ``fernet:TOKEN``, as :meth:`encrypt` made it.
        :returns: the value; ``None`` also for one that could not be encrypted and was never written.
        :raises SettingsError: if none of the keys made the token.
        """
        from cryptography.fernet import InvalidToken

        if text == UNAVAILABLE:
            return None
        try:
            return json.loads(self._fernet.decrypt(text.removeprefix(PREFIX).encode()))
        except InvalidToken:
            raise SettingsError(
                "a value of the prediction log cannot be decrypted: none of the log keys made it",
                code="WS-SERVING-035",
                next_action=f"Put the key it was written with back as a line of {LOG_KEY}.",
            ) from None


def make_log_key(keys_dir: Path) -> int:
    """Make the log key; where there is one, put a new one before it.

    The file changes in one rename, with mode 0600.

    :param keys_dir: folder that ``windsock keys init`` made.
    :returns: how many keys the file holds now.
    :raises SettingsError: if the folder is not there, the file there is no key file, or it cannot be written.
    """
    from cryptography.fernet import Fernet

    file = keys_dir / LOG_KEY
    if not keys_dir.is_dir():
        raise _not_made(file, "the keys folder is not there", "Run `windsock keys init` first.")
    ColumnCipher.from_folder(keys_dir)
    keys = [Fernet.generate_key(), *(_read_keys(file) or ())]
    made = keys_dir / f".{LOG_KEY}-{uuid4().hex}"
    try:
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(b"".join(key + b"\n" for key in keys))
            stream.flush()
            os.fsync(descriptor)
        made.replace(file)
        folder = os.open(keys_dir, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        made.unlink(missing_ok=True)
        why = error.strerror or type(error).__name__
        raise _not_made(file, why, "Give this user the right to write there.") from error
    return len(keys)


def _read_keys(file: Path) -> list[bytes] | None:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(file, error.strerror or type(error).__name__) from error
    if mode & RIGHTS:
        raise _unusable(file, f"it has mode {mode:04o}; only its owner may read and write it (0600)")
    return [line.strip() for line in content.splitlines() if line.strip()]


def _unusable(file: Path, why: str) -> SettingsError:
    return SettingsError(
        f"the log key {file} cannot be used: {why}",
        code="WS-SERVING-034",
        next_action=f"Mend it, or put the copy of {LOG_KEY} back; until then values are not written.",
    )


def _not_made(file: Path, why: str, cure: str) -> SettingsError:
    return SettingsError(f"the log key {file} cannot be made: {why}", code="WS-SERVING-036", next_action=cure)
