"""Ed25519 keys of an installation: made once; they sign bundles and evidence."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from windsock.exceptions import SettingsError
from windsock.private_files import make_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE_KEY = "signing.key"
PUBLIC_KEY = "signing.pub"
ADMIN_TOKEN = "admin_token"  # noqa: S105 - the name of a file
TRUSTED = "trusted"
"""Folder of public keys of other installations: their bundles and documents are trusted."""
RETIRED = "retired"
"""Folder of this installation's older public keys: what they signed goes on being its own."""
SIGNATURE_SIZE = 64
READABLE_BY_OTHERS = 0o077
WRITABLE_BY_ALL = 0o002
MAKE_KEYS = "Run `windsock keys init`."
MAKE_MISSING = "Run `windsock keys init`: it makes what is missing beside the signing key."


def create_keys(keys_dir: Path) -> Path:
    """Make an installation's signing key, its public key and the admin token, all at once or not at all.

    The folder (mode 0700) appears in one rename, so of two processes one wins, and a crash leaves nothing.
    Where the signing key is there, a missing public key is made from it, and a missing admin token anew.

    :param keys_dir: folder that is not there yet, or is empty.
    :returns: the folder.
    :raises SettingsError: if the folder holds something already, or cannot be made.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret, public = _pem_of(Ed25519PrivateKey.generate())
    if missing := _missing(keys_dir):
        return _add_missing(keys_dir, missing)
    contents = {
        PRIVATE_KEY: secret,
        PUBLIC_KEY: public,
        ADMIN_TOKEN: _new_token(),
    }
    _refuse_taken(keys_dir)
    made: Path | None = None
    try:
        make_folder(keys_dir.parent)
        made = Path(mkdtemp(prefix=f".{keys_dir.name}-", dir=keys_dir.parent))
        made.chmod(0o700)
        for name, content in contents.items():
            _write(made / name, content, 0o644 if name == PUBLIC_KEY else 0o600)
        _sync(made)
        made.rename(keys_dir)
        _sync(keys_dir.parent)
    except OSError as error:
        _refuse_taken(keys_dir)
        raise SettingsError(
            f"cannot make keys in {keys_dir}: {error.strerror or type(error).__name__}",
            code="WS-SETTINGS-031",
            next_action="Give this user the right to write there, or set WINDSOCK_HOME.",
        ) from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
    return keys_dir


def _missing(keys_dir: Path) -> tuple[str, ...]:
    """Return what can be made again where the signing key is there; nothing where it is not."""
    if not (keys_dir / PRIVATE_KEY).is_file():
        return ()
    return tuple(name for name in (PUBLIC_KEY, ADMIN_TOKEN) if not (keys_dir / name).exists())


def _add_missing(keys_dir: Path, missing: Iterable[str]) -> Path:
    for name in missing:
        content, mode = _new_token(), 0o600
        if name == PUBLIC_KEY:
            content, mode = _pem_of(Signer(keys_dir).private_key())[1], 0o644
        try:
            _write(keys_dir / name, content, mode)
            _sync(keys_dir)
        except FileExistsError:
            continue  # another process has made it at this very moment
        except OSError as error:
            raise SettingsError(
                f"cannot make {name} in {keys_dir}: {error.strerror or type(error).__name__}",
                code="WS-SETTINGS-031",
                next_action="Give this user the right to write there.",
            ) from error
    return keys_dir


def _new_token() -> bytes:
    return secrets.token_urlsafe(32).encode() + b"\n"


def replace_signing_key(keys_dir: Path) -> str:
    """Make a new signing key; what the old one signed goes on being this installation's own.

    Both public keys stand in ``retired/`` before the key changes, so that a crash between leaves nothing that
    cannot be verified. The admin token stays.

    :returns: the new key's fingerprint.
    :raises SettingsError: if the folder holds no key, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    old = _read_key(keys_dir / PUBLIC_KEY, WRITABLE_BY_ALL, "644")
    private = Ed25519PrivateKey.generate()
    secret, public = _pem_of(private)
    retired = keys_dir / RETIRED
    try:
        retired.mkdir(mode=0o700, exist_ok=True)
        for content in (old, public):
            file = retired / f"{fingerprint(content)}.pub"
            if not file.exists():
                _write(file, content, 0o644)
        _sync(retired)
        for name, content, mode in ((PRIVATE_KEY, secret, 0o600), (PUBLIC_KEY, public, 0o644)):
            made = keys_dir / f".{name}-{secrets.token_hex(4)}"
            _write(made, content, mode)
            made.rename(keys_dir / name)
        _sync(keys_dir)
        (retired / f"{fingerprint(public)}.pub").unlink()  # it was there for a crash between the two
    except OSError as error:
        raise SettingsError(
            f"cannot replace the key in {keys_dir}: {error.strerror or type(error).__name__}",
            code="WS-SETTINGS-031",
            next_action="Give this user the right to write there, then run it again.",
        ) from error
    return fingerprint(public)


def fingerprint(public: bytes) -> str:
    """Return what tells a public key from others: the beginning of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def _pem_of(private: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives import serialization

    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return secret, public


def _refuse_taken(keys_dir: Path) -> None:
    try:
        names = sorted(entry.name for entry in keys_dir.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(
            f"cannot look into {keys_dir}: {error.strerror}", code="WS-SETTINGS-031"
        ) from error
    if names:
        raise SettingsError(
            f"{keys_dir} holds {', '.join(names[:10])} already; a key is never overwritten",
            code="WS-SETTINGS-030",
            next_action="Use the keys that are there. To replace the signing key, run "
            "`windsock keys rotate`.",
        )


def _write(file: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_key(file: Path, refused: int, cure: str) -> bytes:
    """Return a key file's content, unless others have rights on it that they must not have."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"the key {file} cannot be read: {error.strerror or type(error).__name__}",
            code="WS-SETTINGS-032",
            next_action=cure_of(file, error),
        ) from error
    if mode & refused:
        raise SettingsError(
            f"the key {file} has mode {mode:04o}: others than its owner may use it",
            code="WS-SETTINGS-033",
            next_action=f"Run `chmod {cure} {file}`; if others may have used it, make new keys.",
        )
    return content


def cure_of(file: Path, error: OSError) -> str:
    """Return what to do about a key file that cannot be read: what works depends on what the folder holds."""
    folder = file.parent
    if not isinstance(error, FileNotFoundError):
        return f"Let the user that runs this read {file}: `ls -l {folder}` shows whose it is."
    try:
        held = {entry.name for entry in folder.iterdir()}
    except FileNotFoundError:
        return MAKE_KEYS
    except OSError:
        return f"Let the user that runs this read {folder}."
    if not held:
        return MAKE_KEYS
    if PRIVATE_KEY in held:
        return MAKE_MISSING
    if PUBLIC_KEY in held and file.name == PRIVATE_KEY:
        return f"Put {file.name} back from its copy; if it is lost, `windsock keys rotate` makes a new one."
    return f"Put {file.name} back from its copy. If there is none, move {folder} away. {MAKE_KEYS}"


def _not_a_key(file: Path) -> SettingsError:
    return SettingsError(
        f"{file} holds no Ed25519 key in PEM form",
        code="WS-SETTINGS-034",
        next_action="Put the right file there, or remove it.",
    )


class Signer:
    """Signs with the installation's private key.

    :param keys_dir: folder that ``windsock keys init`` made.
    """

    def __init__(self, keys_dir: Path) -> None:
        self.keys_dir = keys_dir
        self._read: tuple[object, Ed25519PrivateKey] | None = None

    def sign(self, content: bytes) -> bytes:
        """Return the Ed25519 signature of some content: 64 bytes.

        :raises SettingsError: if there is no private key, or others than its owner may read it.
        """
        return self.private_key().sign(content)

    def private_key(self) -> Ed25519PrivateKey:
        """Return the key that is there now: a process may outlive ``windsock keys rotate``."""
        state = _state_of([self.keys_dir / PRIVATE_KEY])
        if self._read is None or self._read[0] != state:
            self._read = state, self._load()
        return self._read[1]

    def _load(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        file = self.keys_dir / PRIVATE_KEY
        key = _parse(load_pem_private_key, file, _read_key(file, READABLE_BY_OTHERS, "600"), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise _not_a_key(file)
        return key


class Verifier:
    """Checks signatures against public keys: ``signing.pub``, ``retired/*.pub`` and ``trusted/*.pub``.

    :param keys_dir: folder of the keys; a machine that only verifies needs no private key in it.
    :param own: whether only this installation's own keys count, the present one and the retired ones.
    """

    def __init__(self, keys_dir: Path, *, own: bool = False) -> None:
        self.keys_dir = keys_dir
        self._folders = (RETIRED,) if own else (RETIRED, TRUSTED)
        self._read: tuple[object, tuple[Ed25519PublicKey, ...]] | None = None

    def verify(self, content: bytes, signature: bytes) -> bool:
        """Return whether one of the trusted keys signed this very content.

        :raises SettingsError: if there is no trusted key, or one of them cannot be used.
        """
        return _one_signed(self._keys(), content, signature)

    def state(self) -> object:
        """Return what changes when a key is changed, added or taken away."""
        return _state_of(self._files())

    def _keys(self) -> tuple[Ed25519PublicKey, ...]:
        """Return the keys that count now: one that was added or taken away counts at once."""
        state = self.state()
        if self._read is None or self._read[0] != state:
            self._read = state, self._load()
        return self._read[1]

    def _load(self) -> tuple[Ed25519PublicKey, ...]:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        found = []
        for file in self._files():
            key = _parse(load_pem_public_key, file, _read_key(file, WRITABLE_BY_ALL, "644"))
            if not isinstance(key, Ed25519PublicKey):
                raise _not_a_key(file)
            found.append(key)
        if not found:
            raise SettingsError(
                f"no trusted public key: {self.keys_dir} holds neither {PUBLIC_KEY} nor "
                f"{' nor '.join(f'{folder}/*.pub' for folder in self._folders)}",
                code="WS-SETTINGS-035",
                next_action=f"{cure_of(self.keys_dir / PUBLIC_KEY, FileNotFoundError())} "
                f"A machine that only serves needs a copy of {PUBLIC_KEY}.",
            )
        return tuple(found)

    def _files(self) -> Iterator[Path]:
        own = self.keys_dir / PUBLIC_KEY
        if own.exists():
            yield own
        for folder in self._folders:
            yield from sorted((self.keys_dir / folder).glob("*.pub"))


def _one_signed(keys: Iterable[Ed25519PublicKey], content: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    for key in keys:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        return True
    return False


def _state_of(files: Iterable[Path]) -> tuple[object, ...]:
    """Return what changes when a key file is changed, added or taken away."""
    found: list[object] = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            found.append((file.name, None))
        else:
            found.append((file.name, state.st_ino, state.st_mtime_ns, state.st_size))
    return tuple(found)


def _parse(load: Any, file: Path, content: bytes, **options: Any) -> Any:
    try:
        return load(content, **options)
    except (ValueError, TypeError) as error:
        raise _not_a_key(file) from error
