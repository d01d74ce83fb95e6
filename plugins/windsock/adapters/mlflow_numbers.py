"""Numbers of versions in MLflow that never come twice: its counter is raised above what the ledger knows.

MLflow counts from one again after a registered model was deleted. A version that is made and deleted keeps
its number, so as many placeholders as are missing raise the counter.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from windsock.exceptions import TrackingRefusedError
from windsock.ports import VersionNumbers

if TYPE_CHECKING:
    from mlflow import MlflowClient

PLACEHOLDER_TAG = "windsock.placeholder"
MOST = 10_000
"""Most placeholders that are made for one registration."""


def highest(used: VersionNumbers) -> int:
    """Return the highest number that the ledger knows; 0 if it knows none."""
    return max((int(number) for number in used if number.isascii() and number.isdecimal()), default=0)


def raise_counter(client: MlflowClient, model: str, run_id: str, used: VersionNumbers) -> None:
    """Make MLflow's next number of a model higher than all that the ledger knows.

    A second try goes on where the first one ended.

    :param run_id: run that placeholders name as theirs.
    :raises TrackingRefusedError: if too many are missing.
    """
    floor = highest(used)
    newest = client.search_model_versions(
        f"name = '{model}'", max_results=1, order_by=["version_number DESC"]
    )
    number = int(newest[0].version) if newest else 0
    if floor - number > MOST:
        raise TrackingRefusedError(
            f"the ledger of {model} knows version {floor}, MLflow's last one is {number}: more than {MOST:,} "
            "numbers are missing",
            next_action="See with `windsock ledger NAME` where that number comes from; restore MLflow's "
            "registry, or give the model another name.",
        )
    if number >= floor:
        return
    place = client.get_run(run_id).info.artifact_uri
    while number < floor:
        made = client.create_model_version(
            model, place, run_id=run_id, tags={PLACEHOLDER_TAG: "true"}, await_creation_for=0
        )
        number = int(made.version)
        _delete(client, model, str(made.version))


def remove_placeholders(client: MlflowClient, model: str) -> None:
    """Remove placeholders that a killed try left."""
    for left in client.search_model_versions(f"name = '{model}' AND tags.`{PLACEHOLDER_TAG}` = 'true'"):
        _delete(client, model, str(left.version))


def _delete(client: MlflowClient, model: str, version: str) -> None:
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):  # a twin may have removed it; what is left is removed by the next one
        client.delete_model_version(model, version)
