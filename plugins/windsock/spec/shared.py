"""``include/windsock.yaml``: what all models of an installation share."""

from __future__ import annotations

from pydantic import Field

from windsock.exceptions import SpecError
from windsock.spec.base import Frozen
from windsock.spec.model import GateBlock, ModelSpec, Tier


class ComputeClass(Frozen):
    """How much machine a training task gets, and where Airflow runs it."""

    cpus: float = Field(default=1.0, gt=0)
    memory_gb: float = Field(default=2.0, gt=0)
    pool: str = "default_pool"
    queue: str = "default"
    price_per_hour: float = Field(default=0.0, ge=0)


class Approvers(Frozen):
    """Who may approve a version, by Airflow user id; empty: anyone with the permission."""

    low: tuple[str, ...] = ()
    medium: tuple[str, ...] = ()
    high: tuple[str, ...] = ()

    def for_tier(self, tier: Tier) -> tuple[str, ...]:
        """Return the user ids that may approve a model of this tier."""
        users: tuple[str, ...] = getattr(self, tier)
        return users


class StagingBlock(Frozen):
    """Where a version is tried before production; unused until a server is named."""

    server_url: str | None = None


DEFAULT_COMPUTE = {
    "cpu-small": ComputeClass(cpus=1, memory_gb=2),
    "cpu-medium": ComputeClass(cpus=2, memory_gb=8),
    "cpu-large": ComputeClass(cpus=8, memory_gb=32),
}


class SharedSpec(Frozen):
    """The shared words; an unknown one in a model's file is refused with the known ones."""

    compute: dict[str, ComputeClass] = Field(default_factory=lambda: dict(DEFAULT_COMPUTE))
    gate_policies: dict[str, GateBlock] = Field(default_factory=dict)
    alert_channels: dict[str, dict[str, str]] = Field(default_factory=dict)
    approvers: Approvers = Approvers()
    staging: StagingBlock = StagingBlock()

    def compute_class(self, name: str) -> ComputeClass:
        """Return a compute class; the three that ship are known unless redefined.

        :raises SpecError: if the name is unknown.
        """
        known = {**DEFAULT_COMPUTE, **self.compute}
        if name not in known:
            raise SpecError(
                f"unknown compute class {name!r}; known: {', '.join(sorted(known))}",
                key="training.compute",
                code="WS-SPEC-003",
            )
        return known[name]

    def apply(self, spec: ModelSpec) -> ModelSpec:
        """Return the spec with its named gate policy filled in and its shared names checked.

        What the model's own file says wins over the policy.

        :raises SpecError: if the compute class or the policy is unknown.
        """
        self.compute_class(spec.training.compute)
        policy = spec.gate.policy
        if policy is None:
            return spec
        if policy not in self.gate_policies:
            known = ", ".join(sorted(self.gate_policies)) or "none"
            raise SpecError(
                f"unknown gate policy {policy!r}; known: {known}", key="gate.policy", code="WS-SPEC-003"
            )
        base = self.gate_policies[policy].model_dump(exclude_unset=True)
        own = spec.gate.model_dump(exclude_unset=True)
        merged = GateBlock.model_validate({**base, **own})
        return spec.model_copy(update={"gate": merged})
