"""What requests of the version that a training makes may hold: the champion's contract goes on."""

from __future__ import annotations

import logging

from windsock.exceptions import UnverifiedBundleError
from windsock.ports import Ports
from windsock.records import TrainModelInput
from windsock.records.request_contract import RequestContract, next_contract
from windsock.spec import digest_of
from windsock.training.target import feature_fields

log = logging.getLogger(__name__)


def contract_of(step: TrainModelInput, ports: Ports) -> RequestContract:
    """Return what requests of the new version may hold: what the champion's may, and the snapshot's fields.

    Of a champion whose bundle is not what was signed nothing is taken over: the version is trained as a first
    one is. Judging it against that champion is refused, until the bundle is restored or another one serves.

    :raises TrainingRefusedError: if no column can be a feature.
    """
    offered = feature_fields(step.snapshot, step.spec)
    champion = ports.ledger.champion(step.spec.name)
    if champion is None:
        return next_contract(offered, None)
    try:
        schema = ports.bundles.describe(champion.bundle_uri, champion.digest).schema
    except UnverifiedBundleError as error:
        log.warning(
            "%s: the champion's request contract cannot be read, and is not taken over: %s",
            error.code,
            error.message,
        )
        return next_contract(offered, None)
    return next_contract(offered, schema, step.spec.data.required)


def contract_parts(step: TrainModelInput, ports: Ports) -> dict[str, str]:
    """Return what a training's key holds of the contract: nothing where it is that of a first model.

    The contract is that of the version to come: trained again on the same data, a champion's is its own.
    """
    contract = contract_of(step, ports)
    if contract == next_contract(feature_fields(step.snapshot, step.spec), None):
        return {}
    return {"requests": digest_of(contract.content)}
