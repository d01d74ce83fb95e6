"""``Installation``: who this installation is, for others that use the same MLflow."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

from windsock.adapters.signing import PUBLIC_KEY, RETIRED, TRUSTED, cure_of
from windsock.exceptions import SettingsError


class Installation:
    """An installation is known by the SHA-256 of its public signing key.

    :param keys_dir: folder of the keys.
    """

    def __init__(self, keys_dir: Path) -> None:
        self.keys_dir = keys_dir

    @cached_property
    def identity(self) -> str:
        """The digest of ``signing.pub``.

        :raises SettingsError: if there is none, or it is no key.
        """
        file = self.keys_dir / PUBLIC_KEY
        if not file.exists():
            raise SettingsError(
                f"{file} is not there: this installation cannot say who it is",
                code="WS-SETTINGS-035",
                next_action=cure_of(file, FileNotFoundError()),
            )
        return _digest_of(file)

    @cached_property
    def trusted(self) -> frozenset[str]:
        """The digests of the keys in ``retired/`` and ``trusted/``: its own older ones, and others'."""
        folders = (self.keys_dir / RETIRED, self.keys_dir / TRUSTED)
        return frozenset(_digest_of(file) for folder in folders for file in sorted(folder.glob("*.pub")))


def _digest_of(file: Path) -> str:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"the key {file} cannot be read: {error.strerror or type(error).__name__}",
            code="WS-SETTINGS-032",
            next_action=cure_of(file, error),
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"{file} holds no public key in PEM form",
            code="WS-SETTINGS-034",
            next_action="Put the right file there, or remove it.",
        ) from error
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
