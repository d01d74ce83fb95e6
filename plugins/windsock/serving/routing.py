"""The routing table: what the server serves each model by; its epochs only ever grow."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, model_validator

from windsock.exceptions import DeploymentRefusedError, StaleEpochError
from windsock.records import BASIS_POINTS, Digest, Record, RoutePlan
from windsock.spec import MODEL_NAME

DIGEST = re.compile(r"[0-9a-f]{64}")
KEPT_CHAMPIONS = 2


class MixedRolloutError(DeploymentRefusedError):
    """A plan would move units of the rollout that is under way, so it could not be judged any more."""

    default_code = "WS-SERVING-050"
    default_next = (
        "Nothing was changed; end the rollout first (`windsock rollback NAME`), or begin one of another name."
    )


class RoutingTable(Record):
    """What the server shall serve.

    :param models: plan by model name.
    :param champions: bundles that had all of a model's traffic, last first; the server keeps their copies.
    :param challengers: bundles that share the traffic of a model's rollout with its champion, in their order;
        they stay its challengers while none of them has traffic.
    """

    models: dict[str, RoutePlan] = Field(default_factory=dict)
    champions: dict[str, tuple[Digest, ...]] = Field(default_factory=dict)
    challengers: dict[str, tuple[Digest, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for name, plan in self.models.items():
            if name != plan.model or not MODEL_NAME.fullmatch(name):
                raise ValueError("a plan stands under a name that is not its model's")
            if not all(DIGEST.fullmatch(slot.digest) for slot in plan.slots):
                raise ValueError("a digest is not 64 hexadecimal digits")
        return self

    def with_plan(self, plan: RoutePlan) -> Self:
        """Return the table with a model's new plan.

        :raises StaleEpochError: if the table's plan is of a later epoch, or of the same one and different.
        :raises MixedRolloutError: if the plan would move units of its rollout.
        """
        self.require_newer(plan)
        champions = list(self.champions.get(plan.model, ()))
        for slot in plan.slots:
            if slot.share == BASIS_POINTS:
                champions = [slot.digest, *(known for known in champions if known != slot.digest)]
        return self.replace(
            models={**self.models, plan.model: plan},
            champions={**self.champions, plan.model: tuple(champions[:KEPT_CHAMPIONS])},
            challengers=self._challengers_with(plan),
        )

    def _challengers_with(self, plan: RoutePlan) -> dict[str, tuple[Digest, ...]]:
        others = {name: known for name, known in self.challengers.items() if name != plan.model}
        known = _challengers(plan) or self._challengers_of(plan)
        return {**others, plan.model: known} if known and plan.experiment else others

    def _challengers_of(self, plan: RoutePlan) -> tuple[Digest, ...]:
        """Return the challengers that a plan's rollout has had so far."""
        stands = self.models.get(plan.model)
        if stands is None or stands.experiment != plan.experiment:
            return ()
        return self.challengers.get(plan.model) or _challengers(stands)

    def require_newer(self, plan: RoutePlan) -> None:
        """See that a plan may replace the one that stands: later epoch, or the very same plan.

        Within one rollout the assignment stays: the same salt, the same champion and challengers.

        :raises StaleEpochError: if its epoch is not later.
        :raises MixedRolloutError: if it would move units of its rollout.
        """
        stands = self.models.get(plan.model)
        if stands is None or plan == stands:
            return
        if plan.epoch > stands.epoch:
            self._require_same_arms(stands, plan)
            return
        seen = (
            "another plan has this epoch"
            if plan.epoch == stands.epoch
            else f"the server is at {stands.epoch}"
        )
        raise StaleEpochError(f"{plan.model}: epoch {plan.epoch} is refused: {seen}", code="WS-SERVING-006")

    def _require_same_arms(self, stands: RoutePlan, plan: RoutePlan) -> None:
        if plan.experiment is None or plan.experiment != stands.experiment:
            return
        about = f"{plan.model}: epoch {plan.epoch} is refused: rollout {plan.experiment} is under way"
        if plan.salt != stands.salt:
            raise MixedRolloutError(f"{about}, and another salt would assign its units anew")
        before, after = self._challengers_of(plan), _challengers(plan)
        if _champion(plan) != _champion(stands) or (before and after and before != after):
            raise MixedRolloutError(
                f"{about} with {_names(stands, before)}; {_names(plan, after)} would move its units",
                code="WS-SERVING-051",
            )

    def digests(self) -> frozenset[Digest]:
        """Return the bundles whose copies the server keeps: those in slots and the last champions."""
        slots = {slot.digest for plan in self.models.values() for slot in plan.slots}
        return frozenset(slots.union(*self.champions.values()))


def _champion(plan: RoutePlan) -> Digest | None:
    return plan.champion_slot.digest if plan.champion_slot else None


def _challengers(plan: RoutePlan) -> tuple[Digest, ...]:
    return tuple(slot.digest for slot in plan.challengers)


def _names(plan: RoutePlan, challengers: tuple[Digest, ...]) -> str:
    """Return a rollout's arms for people."""
    champion = f"champion {plan.champion_slot.version}" if plan.champion_slot else "no champion"
    slots = (plan.slot(digest) for digest in challengers)
    versions = ", ".join(slot.version if slot else "one that is gone" for slot in slots)
    return f"{champion} and {f'challenger {versions}' if versions else 'no challenger'}"
