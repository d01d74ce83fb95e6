"""What requests of the version that a training makes may hold: the champion's contract goes on."""

from __future__ import annotations

from windsock.ports import Ports
from windsock.records import TrainModelInput
from windsock.records.request_contract import RequestContract, next_contract
from windsock.spec import digest_of
from windsock.training.target import feature_fields


def contract_of(step: TrainModelInput, ports: Ports) -> RequestContract:
    """Return what requests of the new version may hold: what the champion's may, and the snapshot's fields.

    :raises TrainingRefusedError: if no column can be a feature.
    :raises UnverifiedBundleError: if the champion's bundle is not what was signed.
    """
    offered = feature_fields(step.snapshot, step.spec)
    champion = ports.ledger.champion(step.spec.name)
    if champion is None:
        return next_contract(offered, None)
    schema = ports.bundles.describe(champion.bundle_uri, champion.digest).schema
    return next_contract(offered, schema, step.spec.data.required)


def contract_parts(step: TrainModelInput, ports: Ports) -> dict[str, str]:
    """Return what a training's key holds of the contract: nothing where it is that of a first model.

    The contract is that of the version to come: trained again on the same data, a champion's is its own.
    """
    contract = contract_of(step, ports)
    if contract == next_contract(feature_fields(step.snapshot, step.spec), None):
        return {}
    return {"requests": digest_of(contract.content)}
