"""Whose a registered model is: a tag names the installation, and only that one makes versions and aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windsock.adapters.installation import Installation
from windsock.exceptions import ForeignModelError
from windsock.ports import VersionNumbers

if TYPE_CHECKING:
    from mlflow import MlflowClient

OWNER_TAG = "windsock.installation"
BUNDLE_TAG = "windsock.bundle"
ABSENT = "RESOURCE_DOES_NOT_EXIST"
TAKEN = ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")
SHOWN = 12


class ModelOwner:
    """Says whether this installation owns a registered model.

    :param installation: who it is.
    """

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def create_or_claim(self, client: MlflowClient, model: str, used: VersionNumbers) -> None:
        """Make the registered model in this installation's name, or see that it is this installation's.

        :raises ForeignModelError: if it is another's, or nobody knows whose.
        """
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(model, tags={OWNER_TAG: self.installation.identity})
        except MlflowException as error:
            if error.error_code not in TAKEN:
                raise
            self.claim(client, model, used)

    def claim(self, client: MlflowClient, model: str, used: VersionNumbers) -> None:
        """See that a registered model is this installation's, and write that down where nothing says whose.

        It is, where a version's tags name the bundle that the ledger knows by that number, or where it has no
        version at all. The same shows that a key which is trusted now was this installation's own before.

        :param used: what the ledger knows.
        :raises ForeignModelError: if it is another's, or nobody knows whose.
        """
        owner = owner_of(client, model)
        if owner == self.installation.identity:
            return
        if owner is not None and owner not in self.installation.trusted:
            raise self._foreign(model, owner)
        versions = client.search_model_versions(f"name = '{model}'")
        known = [one for one in versions if one.tags.get(BUNDLE_TAG) in used.get(str(one.version), ())]
        if not known and (versions or owner is not None):
            raise self._foreign(model, owner, versions=len(versions))
        client.set_registered_model_tag(model, OWNER_TAG, self.installation.identity)
        self.require(client, model)

    def require(self, client: MlflowClient, model: str) -> None:
        """See that a registered model is not another installation's; one that is nobody's is let pass.

        :raises ForeignModelError: if it is.
        """
        owner = owner_of(client, model)
        if owner is not None and owner not in {self.installation.identity, *self.installation.trusted}:
            raise self._foreign(model, owner)

    def _foreign(self, model: str, owner: str | None, versions: int = 0) -> ForeignModelError:
        own = self.installation.identity
        if owner is None:
            return ForeignModelError(
                f"registered model {model} in MLflow names no installation, and none of its {versions:,} "
                f"versions is one that the ledger of this installation ({own[:SHOWN]}) knows",
                next_action=f"If it is this installation's, set its tag {OWNER_TAG} to {own} in MLflow; "
                "else give the model another name, or this installation another MLflow.",
            )
        return ForeignModelError(
            f"registered model {model} in MLflow belongs to installation {owner[:SHOWN]}; "
            f"this is installation {own[:SHOWN]}",
            next_action="Give the model another name, or this installation another MLflow. If the other one "
            f"is gone for good, set the tag {OWNER_TAG} of the registered model to {own}.",
        )


def owner_of(client: MlflowClient, model: str) -> str | None:
    """Return the installation that a registered model names; ``None``: none, or there is no such model."""
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_registered_model(model).tags
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return None
    owner = tags.get(OWNER_TAG)
    return str(owner) if owner else None
