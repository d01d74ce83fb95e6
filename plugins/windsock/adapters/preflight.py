"""``InstallationPreflight``: what a retrain needs at its end, looked at before its training begins."""

from __future__ import annotations

from windsock.adapters.installation import Installation
from windsock.adapters.mlflow_client import MlflowService
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.signing import PRIVATE_KEY, PUBLIC_KEY, Signer, Verifier
from windsock.adapters.storage import Storage
from windsock.exceptions import ServerUnavailableError, SettingsError
from windsock.settings import Settings

PROBE = b"windsock: may this installation sign?"
FOLDERS = ("snapshots", "bundles", "evidence")
"""Below the storage root: what a retrain writes, each with a folder of the model's name."""
SERVER_SECONDS = 5.0


class InstallationPreflight:
    """Looks at an installation's keys, storage, registry and server; it writes nothing that stays.

    :param settings: its addresses and folders.
    :param storage: the storage root.
    """

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._settings = settings
        self._storage = storage

    def check(self, model: str, *, deploys: bool) -> tuple[str, ...]:
        """See :meth:`windsock.ports.Preflight.check`."""
        self._require_keys()
        self._storage.require_writable(
            *(place for folder in FOLDERS for place in (folder, f"{folder}/{model}"))
        )
        settings = self._settings
        MlflowService(settings.tracking_uri, settings.home).require_answer("record runs and number versions")
        return self._look_at_server(model) if deploys else ()

    def _require_keys(self) -> None:
        """Sign and verify once.

        :raises SettingsError: if a key is missing, cannot be read, may be used by others, or the two are no
            pair.
        """
        folder = self._settings.keys_dir
        signature = Signer(folder).sign(PROBE)
        _ = Installation(folder).identity
        if not Verifier(folder, own=True).verify(PROBE, signature):
            raise SettingsError(
                f"{PRIVATE_KEY} and {PUBLIC_KEY} in {folder} are no pair: what one signs, the other refuses",
                code="WS-SETTINGS-040",
                next_action="Put both back from the same copy; if there is none, run `windsock keys rotate`.",
            )

    def _look_at_server(self, model: str) -> tuple[str, ...]:
        """Return what is wrong with the server: hours may pass until it is needed, so nothing is refused.

        :raises SettingsError: if there is no admin token, or the server does not take it.
        """
        try:
            ServerRouter.of(self._settings).state(model, seconds=SERVER_SECONDS)
        except ServerUnavailableError as error:
            return (f"{error.code}: {error.message}; deploy_model will need it. {error.next_action}",)
        return ()
