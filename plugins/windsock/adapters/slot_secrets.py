"""Secrets of slots: each slot has its own, derived from a key of the server; no secret is ever sent.

The server proves each request and the slot each answer by an HMAC over what is sent, so that neither talks
with anybody else. The admin token has no part in it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from pydantic import ValidationError

from windsock.exceptions import SettingsError
from windsock.records import SlotDeployment
from windsock.spec import canonical_json

SLOT_KEY = "slots.key"
SLOT_FILE = "slot.json"
KEY_BYTES = 32
OTHERS = 0o077
"""Bits of the mode of a file with a secret that must not be set."""
PURPOSE = b"windsock slot secret 1\n"
REQUEST = b"windsock slot request 1"
ANSWER = b"windsock slot answer 1"
READY_PATH = "/slot/ready"
SCORES_PATH = "/slot/scores"
"""Where a slot says which version it is, and where it answers."""
SCHEME = "Windsock-Slot"
NONCE_HEADER = "X-Windsock-Slot-Nonce"
PROOF_HEADER = "X-Windsock-Slot-Proof"
NONCE_DIGITS = 32


class SlotSecretError(SettingsError):
    """The key of the slots, or the file with a slot's own secret, cannot be used."""

    default_code = "WS-SLOT-002"
    default_next = "Copy slots.key of the machine that deploys into the keys folder of the server, mode 0600."


class SlotSecret:
    """The secret of one slot; it shows itself nowhere.

    :param key: 32 bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("a slot's secret has 32 bytes")
        self._key = key

    def __repr__(self) -> str:
        return "SlotSecret(hidden)"

    def __reduce__(self) -> str:
        raise TypeError("a slot's secret is never copied")

    def request_headers(self, method: str, path: str, body: bytes) -> tuple[str, dict[str, str]]:
        """Return a new nonce and the headers that prove a request."""
        nonce = secrets.token_hex(NONCE_DIGITS // 2)
        proof = self._proof(REQUEST, nonce, method, path, body=body)
        return nonce, {"Authorization": f"{SCHEME} {proof}", NONCE_HEADER: nonce}

    def proves_request(self, proof: str, nonce: str, method: str, path: str, body: bytes) -> bool:
        """Return whether a request comes from the server; takes the same time for every wrong proof."""
        return _same(proof, self._proof(REQUEST, nonce, method, path, body=body))

    def answer_proof(self, nonce: str, status: int, body: bytes) -> str:
        """Return what proves the answer to the request with this nonce."""
        return self._proof(ANSWER, nonce, str(status), body=body)

    def proves_answer(self, proof: str | None, nonce: str, status: int, body: bytes) -> bool:
        """Return whether the slot itself has answered this very request."""
        return _same(proof or "", self.answer_proof(nonce, status, body))

    def write(self, folder: Path, deployment: SlotDeployment) -> Path:
        """Write the file that the slot starts from: mode 0600, for its own user."""
        content = {"deployment": deployment.model_dump(mode="json"), "secret": self._key.hex()}
        return _write_private(folder / SLOT_FILE, json.dumps(content).encode())

    def _proof(self, purpose: bytes, *words: str, body: bytes) -> str:
        said = b"\n".join([purpose, *(word.encode() for word in words), hashlib.sha256(body).digest()])
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()


def _same(given: str, known: str) -> bool:
    # Digests of equal length: the comparison takes the same time for every wrong proof.
    pair = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, known)]
    return hmac.compare_digest(*pair)


def read_slot_file(file: Path) -> tuple[SlotDeployment, SlotSecret]:
    """Read what a slot starts from.

    :raises SlotSecretError: if it cannot be read, others may read it, or it holds something else.
    """
    content = _read_private(file)
    try:
        said = json.loads(content)
        return SlotDeployment.model_validate(said["deployment"]), SlotSecret(bytes.fromhex(said["secret"]))
    except (ValueError, KeyError, TypeError, ValidationError):
        raise _unusable(file, "it is not what the target writes") from None  # its text may repeat the secret


class SlotKey:
    """The key that the secrets of all slots are derived from; the target and the server in front hold it.

    :param keys_dir: folder that ``windsock keys init`` made.
    """

    def __init__(self, keys_dir: Path) -> None:
        self.file = keys_dir / SLOT_KEY

    def make(self) -> None:
        """Make the key where there is none; of two that do it at once one wins."""
        if self.file.exists():
            return
        made = _write_private(self.file, secrets.token_hex(KEY_BYTES).encode() + b"\n", temporary=True)
        try:
            with suppress(FileExistsError):
                os.link(made, self.file)
        except OSError as error:
            raise _unusable(self.file, f"it cannot be made ({error.strerror})") from error
        finally:
            made.unlink()

    def secret_of(self, deployment: SlotDeployment) -> SlotSecret:
        """Return a slot's secret: bound to its id, model, version, bundle and address.

        :raises SlotSecretError: if the key cannot be used.
        """
        content = _read_private(self.file)
        try:
            key = bytes.fromhex(content.decode().strip())
        except ValueError:
            raise _unusable(self.file, "it holds no key") from None
        if len(key) != KEY_BYTES:
            raise _unusable(self.file, "it holds no key")
        bound = PURPOSE + canonical_json(deployment.model_dump(mode="json")).encode()
        return SlotSecret(hmac.new(key, bound, hashlib.sha256).digest())


def _write_private(file: Path, content: bytes, *, temporary: bool = False) -> Path:
    """Write a file of mode 0600 whole; return it, or the temporary one that shall become it."""
    made: str | None = None
    try:
        descriptor, made = mkstemp(prefix=f".{file.name}-", dir=file.parent)  # mode 0600 from the start
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        if temporary:
            written, made = Path(made), None
            return written
        os.replace(made, file)
        made = None
    except OSError as error:
        raise _unusable(file, f"it cannot be written ({error.strerror})") from error
    finally:
        if made is not None:
            with suppress(OSError):
                os.unlink(made)
    return file


def _read_private(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read()
    except OSError as error:
        raise _unusable(file, f"it cannot be read ({error.strerror or type(error).__name__})") from error
    if mode & OTHERS:
        raise SlotSecretError(
            f"the file {file} has mode {mode:04o}: others than its owner may use it",
            next_action=f"Run `chmod 600 {file}`; if others may have read it, remove it and deploy again.",
        )
    return content


def _unusable(file: Path, why: str) -> SlotSecretError:
    return SlotSecretError(f"the file {file} cannot be used: {why}")
