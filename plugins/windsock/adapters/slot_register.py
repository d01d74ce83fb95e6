"""``SlotRegister``: the signed deployments of slots; addresses come from nowhere else."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from windsock.adapters.signing import Signer, Verifier
from windsock.adapters.slot_secrets import SlotKey, SlotSecret
from windsock.adapters.storage import Storage
from windsock.exceptions import SlotAddressError
from windsock.records import SlotDeployment, SlotPlan, slot_port
from windsock.settings import Settings
from windsock.spec import MODEL_NAME, canonical_json

PURPOSE = b"windsock slot deployment 1\n"
"""What is signed begins with it: no other signed document of the installation is taken for a deployment."""
LONGEST = 4096
DIGEST = re.compile(r"[0-9a-f]{64}")


class SlotRegister:
    """Signed deployments, one for each bundle and port.

    :param storage: the storage root.
    :param keys_dir: folder of the signing key, its public key and the key of the slots.
    """

    def __init__(self, storage: Storage, keys_dir: Path) -> None:
        self.storage = storage
        self.keys_dir = keys_dir
        self.key = SlotKey(keys_dir)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the register of an installation."""
        return cls(Storage(settings.storage_url), settings.keys_dir)

    def add(self, deployment: SlotDeployment) -> None:
        """Sign a deployment and store it; one that stood at the same address before is over.

        :raises StorageError: if it cannot be written.
        :raises SettingsError: if there is no signing key.
        """
        said = _signed_part(deployment)
        signature = Signer(self.keys_dir).sign(PURPOSE + said).hex().encode()
        place = _place(deployment.model, deployment.digest, deployment.address)
        self.storage.write_bytes(place, said + b"\n" + signature + b"\n")

    def remove(self, deployment: SlotDeployment) -> None:
        """Forget a slot that runs no longer, so that its address leads nowhere."""
        self.storage.remove(_place(deployment.model, deployment.digest, deployment.address))

    def find(self, model: str, plan: SlotPlan) -> SlotDeployment:
        """Return the deployment by which a plan's slot has its address.

        :raises SlotAddressError: if no deployment that the installation has signed made this address for
            this model, version and bundle.
        :raises StorageError: if the storage root does not answer.
        """
        if plan.url is None or slot_port(plan.url) is None:
            raise _refused(model, plan, "it is no address that a target of this installation can make")
        if not MODEL_NAME.fullmatch(model) or not DIGEST.fullmatch(plan.digest):
            raise _refused(model[:60], plan, "model or bundle have no name that a deployment could have")
        place = _place(model, plan.digest, plan.url)
        if not self.storage.exists(place):
            raise _refused(model, plan, "no deployment made it")
        deployment = self._read(self.storage.read_bytes(place))
        if deployment is None:
            raise _refused(model, plan, "its deployment is not signed by this installation")
        if not deployment.is_of(model, plan):
            raise _refused(model, plan, "its deployment is about another version")
        return deployment

    def secret_of(self, deployment: SlotDeployment) -> SlotSecret:
        """Return the secret that the server and this slot share.

        :raises SlotSecretError: if the key of the slots cannot be used.
        """
        return self.key.secret_of(deployment)

    @cached_property
    def _verifier(self) -> Verifier:
        return Verifier(self.keys_dir, own=True)

    def _read(self, content: bytes) -> SlotDeployment | None:
        said, _, signature = content[:LONGEST].strip().partition(b"\n")
        try:
            if not self._verifier.verify(PURPOSE + said, bytes.fromhex(signature.decode("ascii"))):
                return None
            deployment = SlotDeployment.model_validate_json(said)
        except (ValueError, ValidationError):
            return None
        return deployment if _signed_part(deployment) == said else None


def _signed_part(deployment: SlotDeployment) -> bytes:
    return canonical_json(deployment.model_dump(mode="json")).encode()


def _place(model: str, digest: str, address: str) -> str:
    return f"slots/{model}/{digest}/{slot_port(address)}.signed"


def _refused(model: str, plan: SlotPlan, why: str) -> SlotAddressError:
    return SlotAddressError(
        f"{model} version {plan.version}: {(plan.url or '')[:80]!r} is refused as the address of its slot: "
        f"{why}"
    )
