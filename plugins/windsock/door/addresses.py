"""Addresses of slots: only those that a deployment of the target made are handed to the server."""

from __future__ import annotations

import logging

from windsock.exceptions import SlotAddressError
from windsock.ports import Ports
from windsock.records import RoutePlan, SlotPlan

log = logging.getLogger(__name__)


def require_deployed(ports: Ports, plan: RoutePlan) -> None:
    """See that every address in a plan is one that a deployment of the target made.

    :raises SlotAddressError: if one is not; the server has not been asked anything then.
    """
    for slot in plan.slots:
        if slot.url is not None:
            ports.slots.require(plan.model, slot)


def with_proved_addresses(ports: Ports, plan: RoutePlan) -> RoutePlan:
    """Return a plan in which versions whose address no deployment made are loaded in the server's process.

    So a slot that is lost, or from before deployments were signed, does not hold up a roll back.
    """
    return plan.replace(slots=tuple(_proved(ports, plan.model, slot) for slot in plan.slots))


def _proved(ports: Ports, model: str, slot: SlotPlan) -> SlotPlan:
    try:
        if slot.url is not None:
            ports.slots.require(model, slot)
    except SlotAddressError as error:
        log.warning("%s: %s; it is loaded in the server's process", error.code, error.message)
        return slot.replace(url=None)
    return slot
