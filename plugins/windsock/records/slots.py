"""``SlotDeployment``: what a serving target says of a slot that it started itself, behind an address."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from windsock.records.base import Digest, Moment, Record
from windsock.records.deployment import SlotPlan

SLOT_HOST = "127.0.0.1"
"""Slots are published on this machine's own loopback and nowhere else."""
SLOT_ADDRESS = re.compile(r"http://127\.0\.0\.1:([1-9][0-9]{0,4})", re.ASCII)
LARGEST_PORT = 65_535


def slot_port(address: str) -> int | None:
    """Return the port of an address that the target can make; ``None`` for every other text.

    The whole text must be ``http://127.0.0.1:PORT``: another scheme or host, a user, a path, a query, a
    fragment, a port written in another way are no address of a slot.
    """
    found = SLOT_ADDRESS.fullmatch(address)
    port = int(found[1]) if found else 0
    return port if 0 < port <= LARGEST_PORT else None


class SlotDeployment(Record):
    """A version that the target has started behind an address; the installation's key signs it.

    :param form: form of this record, for readers to come.
    :param target: what runs it.
    :param slot: the slot's own id, made anew at each start.
    :param model: the model's name.
    :param version: the only version that answers there.
    :param digest: its bundle.
    :param address: where it answers.
    :param made_at: when it was started.
    """

    form: Literal[1] = 1
    target: Literal["docker"] = "docker"
    slot: str = Field(pattern=r"^[0-9a-f]{32}$")
    model: str = Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")
    version: str = Field(min_length=1, max_length=80)
    digest: Digest = Field(pattern=r"^[0-9a-f]{64}$")
    address: str
    made_at: Moment

    @model_validator(mode="after")
    def _an_address_that_the_target_can_make(self) -> Self:
        if slot_port(self.address) is None:
            raise ValueError(f"the address of a slot is http://{SLOT_HOST}:PORT and nothing else")
        return self

    def is_of(self, model: str, plan: SlotPlan) -> bool:
        """Return whether this is the very slot that a plan names."""
        named = (model, plan.version, plan.digest, plan.url)
        return (self.model, self.version, self.digest, self.address) == named
