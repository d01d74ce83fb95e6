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

    @property
    def most(self) -> SlotPlan:
        """The slot with the most traffic; while none has any, the last one."""
        return max(reversed(self.plan.slots), key=lambda slot: slot.share)

    @cached_property
    def most_slot(self) -> Slot:
        """What serves :attr:`most`."""
        return self.slots[self.most.digest]

    @cached_property
    def only(self) -> Slot | None:
        """The slot that has all traffic; ``None`` if several share it, or none has any."""
        return self.most_slot if self.most.share == BASIS_POINTS else None

    def stand_in(self, failed: Slot) -> Slot | None:
        """Return the version that answers instead of one that failed; ``None``: there is none."""
        plan = self.plan.stand_in(failed.plan.digest)
        return self.slots[plan.digest] if plan is not None else None

    @cached_property
    def shadows(self) -> tuple[Slot, ...]:
        """The slots that get a copy of each request."""
        return tuple(self.slots[slot.digest] for slot in self.plan.shadows)

    @cached_property
    def absent(self) -> dict[str, str]:
        """Why versions could not be loaded, by version."""
        return {slot.plan.version: slot.why for slot in self.slots.values() if isinstance(slot, AbsentSlot)}

    @cached_property
    def reader(self) -> PlainReader | None:
        """Reads usual requests; ``None`` while versions with different features answer or are shadows."""
        used = [self.slots[slot.digest] for slot in self.plan.slots if slot.share]
        fields = {self.schema_of(slot).fields for slot in (*used, *self.shadows)}
        return PlainReader(self.schema_of(self.most_slot)) if used and len(fields) == 1 else None

    @cached_property
    def _schemas(self) -> dict[Digest, InputSchema]:
        schemas = {slot.digest: self.slots[slot.digest].schema for slot in self.plan.slots}
        return {
            digest: shared_schema(schema, [one for other, one in schemas.items() if other != digest])
            for digest, schema in schemas.items()
        }

    def schema_of(self, slot: Slot) -> InputSchema:
        """Return what requests that a slot answers may hold: also what other versions of the plan know."""
        return self._schemas[slot.plan.digest]

    @cached_property
    def _variants(self) -> dict[Digest, str]:
        return {slot.digest: self.plan.variant(slot.digest) for slot in self.plan.slots}

    def variant(self, slot: Slot) -> str:
        """Return ``champion``, ``challenger`` or ``shadow``."""
        return self._variants[slot.plan.digest]

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
