"""``ServedModel``: a plan and the slots that serve it, with what every request asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from windsock.records import BASIS_POINTS, Digest, InputSchema, RoutePlan, SlotPlan
from windsock.rollout.assignment import Assignment
from windsock.serving.reader import PlainReader
from windsock.serving.shared_contract import shared_schema
from windsock.serving.slots import AbsentSlot, Slot


@dataclass(frozen=True)
class ServedModel:
    """A plan and the slots that serve it."""

    plan: RoutePlan
    slots: Mapping[Digest, Slot]

    @cached_property
    def withdrawn(self) -> Mapping[Digest, str]:
        """The arms of dropped challengers, by bundle: their units stay, and the champion answers them."""
        dropped = (slot.digest for slot in self.plan.challengers if slot.withdrawn)
        return {digest: self.plan.arm(digest) for digest in dropped}

    @cached_property
    def shares(self) -> Mapping[Digest, int]:
        """The traffic that each version answers, in basis points: the champion also that of dropped ones."""
        shares = {slot.digest: slot.share for slot in self.plan.slots}
        champion = self.plan.champion_slot
        if champion is not None:
            for digest in self.withdrawn:
                shares[champion.digest] += shares[digest]
                shares[digest] = 0
        return shares

    @property
    def most(self) -> SlotPlan:
        """The slot that answers the most traffic; while none has any, the last one."""
        return max(reversed(self.plan.slots), key=lambda slot: self.shares[slot.digest])

    @cached_property
    def most_slot(self) -> Slot:
        """What serves :attr:`most`."""
        return self.slots[self.most.digest]

    @cached_property
    def only(self) -> Slot | None:
        """The slot whose own all traffic is; ``None`` if several share it, or none has any."""
        return self.most_slot if self.most.share == BASIS_POINTS else None

    def stand_in(self, failed: Slot) -> Slot | None:
        """Return the version that answers instead of one that failed; ``None``: there is none."""
        plan = self.plan.stand_in(failed.plan.digest)
        return self.slots[plan.digest] if plan is not None else None

    def answering(self, slot: Slot) -> Slot:
        """Return the version that reads and answers a version's rows: of a dropped one the champion."""
        if slot.plan.digest not in self.withdrawn or self.plan.champion_slot is None:
            return slot
        return self.slots[self.plan.champion_slot.digest]

    @cached_property
    def shadows(self) -> tuple[Slot, ...]:
        """The slots that get a copy of each request."""
        return tuple(self.slots[slot.digest] for slot in self.plan.shadows)

    @cached_property
    def absent(self) -> dict[str, str]:
        """Why versions could not be loaded, by version; nobody asks those that were dropped."""
        found = ((plan, self.slots[plan.digest]) for plan in self.plan.slots if not plan.withdrawn)
        return {plan.version: slot.why for plan, slot in found if isinstance(slot, AbsentSlot)}

    @cached_property
    def reader(self) -> PlainReader | None:
        """Reads usual requests; ``None`` while versions with different features answer or are shadows."""
        used = [self.slots[digest] for digest, share in self.shares.items() if share]
        fields = {self.schema_of(slot).fields for slot in (*used, *self.shadows)}
        return PlainReader(self.schema_of(self.most_slot)) if used and len(fields) == 1 else None

    @cached_property
    def _schemas(self) -> dict[Digest, InputSchema]:
        schemas = {slot.digest: self.slots[slot.digest].schema for slot in self.plan.slots}
        shared = {
            digest: shared_schema(schema, [one for other, one in schemas.items() if other != digest])
            for digest, schema in schemas.items()
        }
        return {digest: shared[self.answering(self.slots[digest]).plan.digest] for digest in shared}

    def schema_of(self, slot: Slot) -> InputSchema:
        """Return what requests to a slot may hold: also what other versions of the plan know.

        Of a dropped one that is what the champion takes, which answers them.
        """
        return self._schemas[slot.plan.digest]

    @cached_property
    def _variants(self) -> dict[Digest, str]:
        return {slot.digest: self.plan.variant(slot.digest) for slot in self.plan.slots}

    def variant(self, slot: Slot) -> str:
        """Return ``champion``, ``challenger`` or ``shadow``."""
        return self._variants[slot.plan.digest]

    @cached_property
    def _roles(self) -> dict[Digest, str]:
        return {slot.digest: self.plan.role(slot.digest) for slot in self.plan.slots}

    def role(self, slot: Slot) -> str:
        """Return what people read a version's part as; see :meth:`~windsock.records.RoutePlan.role`."""
        return self._roles[slot.plan.digest]

    @cached_property
    def _arms(self) -> dict[Digest, str]:
        return {slot.digest: self.plan.arm(slot.digest) for slot in self.plan.slots}

    def arm(self, slot: Slot) -> str:
        """Return the name of a version's arm, which tells several challengers apart."""
        return self._arms[slot.plan.digest]

    @cached_property
    def _assignment(self) -> Assignment | None:
        champion, challengers = self.plan.champion_slot, self.plan.challengers
        if champion is None or not challengers:
            return None
        shares = {slot.digest: slot.share for slot in (*challengers, champion)}
        return Assignment(shares, salt=self.plan.salt, experiment=self.plan.experiment or "")

    def choose(self, unit: str) -> Slot | None:
        """Return the slot of a unit; ``None`` while no version has been promoted."""
        if self.only is not None or self._assignment is None:
            return self.only
        return self.slots[self._assignment.arm(unit)]
