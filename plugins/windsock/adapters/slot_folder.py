"""The folder that a slot starts from: its secret, its one bundle, the public keys; nothing else of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.signing import PUBLIC_KEY, TRUSTED
from windsock.adapters.slot_secrets import SlotSecret
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import SlotDeployment
from windsock.settings import Settings

BUNDLES_FOLDER = "bundles"
KEYS_FOLDER = "keys"


def write_slot_folder(
    settings: Settings, folder: Path, deployment: SlotDeployment, secret: SlotSecret, bundle_uri: str
) -> None:
    """Write what a slot starts from.

    The file with the secret comes last: a folder without one is none.

    :param folder: made here, mode 0700.
    :param bundle_uri: where the bundle lies under the storage root; a verified copy of it is written.
    :raises UnverifiedBundleError: if the bundle is not what was signed.
    :raises StorageError: if the folder cannot be written.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        keys = folder / KEYS_FOLDER
        keys.mkdir()
        shutil.copyfile(settings.keys_dir / PUBLIC_KEY, keys / PUBLIC_KEY)
        if (trusted := settings.keys_dir / TRUSTED).is_dir():
            shutil.copytree(trusted, keys / TRUSTED)
    except OSError as error:
        raise StorageError(
            f"cannot write the folder of a slot {folder}: {error.strerror or type(error).__name__}"
        ) from error
    store = SignedBundleStore(Storage(settings.storage_url), settings.keys_dir)
    store.fetch_bundle(bundle_uri, deployment.digest, folder / BUNDLES_FOLDER)
    secret.write(folder, deployment)
