"""``include/windsock.yaml``: what all models of an installation share."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from windsock.exceptions import SpecError
from windsock.spec.base import Frozen
from windsock.spec.durations import Duration, parse_duration
from windsock.spec.faults import NotAllowedError
from windsock.spec.model import GateBlock, ModelSpec, Tier


class ComputeClass(Frozen):
    """How much machine a training task gets, and where Airflow runs it."""

    cpus: float = Field(default=1.0, gt=0, description="processor cores (later)")
    memory_gb: float = Field(default=2.0, gt=0, description="memory in gigabytes (later)")
    pool: str = Field(default="default_pool", description="Airflow pool that bounds how many run at once")
    queue: str = Field(default="default", description="Airflow queue, for the Celery executor")
    price_per_hour: float = Field(default=0.0, ge=0, description="price of an hour, for cost reports (later)")


class Approvers(Frozen):
    """Who may approve a version, by Airflow user id; empty: anyone with the permission."""

    low: tuple[str, ...] = Field(default=(), description="for models of tier low")
    medium: tuple[str, ...] = Field(default=(), description="for models of tier medium")
    high: tuple[str, ...] = Field(default=(), description="for models of tier high")

    def for_tier(self, tier: Tier) -> tuple[str, ...]:
        """Return the user ids that may approve a model of this tier."""
        users: tuple[str, ...] = getattr(self, tier)
        return users


class StagingBlock(Frozen):
    """Where a version is tried before production; unused until a server is named."""

    server_url: str | None = Field(default=None, description="address of the staging server")


_ONE = r"[^\s@,;:<>()\"\\]+@[^\s@,;:<>()\"\\]+"
MAIL_ADDRESS = re.compile(rf"{_ONE}|[^\r\n@,;:<>()\"\\]+ <{_ONE}>")
"""One address, with a name before it or not. It ends up in a mail's head: it begins no other line there."""


def is_address(text: str) -> bool:
    """Return whether a text is one mail address, such as ``ds@company.com`` or ``Team <ds@company.com>``."""
    return text.isprintable() and MAIL_ADDRESS.fullmatch(text) is not None


ChannelKind = Literal["apprise", "slack", "smtp", "pagerduty"]
DEFAULT_CONNECTIONS: dict[ChannelKind, str] = {
    "apprise": "windsock_alerts",
    "slack": "slack_default",
    "smtp": "smtp_default",
    "pagerduty": "pagerduty_events_default",
}
KINDS: dict[str, ChannelKind] = {
    "slackwebhook": "slack",
    "smtp": "smtp",
    "email": "smtp",
    "pagerduty_events": "pagerduty",
}
"""What a connection of a type is sent by where no channel says it; every other type by Apprise, where its
extra names a service."""


class AlertChannel(Frozen):
    """Where alerts go: one of Airflow's providers, and the connection that holds its secrets."""

    kind: ChannelKind = Field(
        description="what sends: Apprise (over 100 services), a Slack webhook, e-mail, or PagerDuty events"
    )
    conn_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=250,
        description="the Airflow connection; default: windsock_alerts, slack_default, smtp_default or "
        "pagerduty_events_default",
    )
    to: tuple[str, ...] = Field(
        default=(), max_length=50, description="for smtp: the addresses; default: the model's owner"
    )
    tag: str | None = Field(
        default=None, min_length=1, description="for apprise: the services of this tag; default: all"
    )
    minimum: Literal["low", "medium", "high", "critical"] = Field(
        default="low", description="less severe alerts are kept in the history only"
    )

    @property
    def connection(self) -> str:
        """The Airflow connection's id."""
        return self.conn_id or DEFAULT_CONNECTIONS[self.kind]

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        for key, kind in (("to", "smtp"), ("tag", "apprise")):
            if getattr(self, key) and self.kind != kind:
                raise NotAllowedError(f"`{key}` is for {kind}", cure="take it out", at=(key,))
        if wrong := [address for address in self.to if not is_address(address)]:
            raise NotAllowedError(f"no address: {wrong[0]!r}", allowed="NAME@HOST, one each", at=("to",))
        return self


class InstallationBlock(Frozen):
    """Who is told what is about the installation, and not about a single model."""

    owner: str = Field(
        default="windsock", min_length=1, max_length=200, description="who answers for the installation"
    )
    alert_channel: str | None = Field(
        default=None, description="where its alerts go; default: the connection windsock_alerts"
    )


DEFAULT_COMPUTE = {
    "cpu-small": ComputeClass(cpus=1, memory_gb=2),
    "cpu-medium": ComputeClass(cpus=2, memory_gb=8),
    "cpu-large": ComputeClass(cpus=8, memory_gb=32),
}


class RetentionBlock(Frozen):
    """How long things are kept that nothing needs any more; `null`: for ever."""

    trainings: Duration | None = Field(
        default="90d",
        description="trainings that never became a version: the bundle and its run in MLflow; at least 1d",
    )
    reports: Duration | None = Field(
        default="180d", description="runs in MLflow that hold a drift report; at least 1d"
    )
    snapshots: Duration | None = Field(
        default="180d",
        description="snapshots that no version and no training that is kept was made of; at least 1d",
    )
    evidence: Duration | None = Field(
        default="30d", description="evidence packs that no row of the ledger names; at least 1d"
    )
    predictions: Duration | None = Field(
        default=None, description="hours of the archived prediction log; null: as keep_predictions_days says"
    )
    logs: Duration | None = Field(
        default="30d", description="logs of a shipped stack's tasks, and its programs' full ones; at least 1d"
    )

    def days(self, kind: str) -> float:
        """Return how many days a kind of thing is kept; 0: for ever.

        :param kind: name of a key.
        """
        text: str | None = getattr(self, kind)
        return parse_duration(text).total_seconds() / 86_400 if text else 0.0

    @model_validator(mode="after")
    def _nothing_young(self) -> Self:
        for kind in ("trainings", "reports", "snapshots", "evidence", "logs"):
            if 0 < self.days(kind) < 1:
                raise NotAllowedError(
                    f"`{kind}` is {getattr(self, kind)}: what is younger than a day may be in use",
                    allowed="1d or more, or null",
                    at=(kind,),
                )
        return self


class SharedSpec(Frozen):
    """The shared words; an unknown one in a model's file is refused with the known ones."""

    compute: dict[str, ComputeClass] = Field(
        default_factory=lambda: dict(DEFAULT_COMPUTE), description="compute classes by name; three ship"
    )
    gate_policies: dict[str, GateBlock] = Field(
        default_factory=dict, description="gates by name, for models that say `gate: {policy: NAME}`"
    )
    alert_channels: dict[str, AlertChannel] = Field(
        default_factory=dict, description="where alerts go, by name"
    )
    installation: InstallationBlock = Field(
        default=InstallationBlock(), description="who is told what is about no single model"
    )
    approvers: Approvers = Field(default=Approvers(), description="who may approve, by tier")
    staging: StagingBlock = Field(
        default=StagingBlock(), description="where a version is tried before production"
    )
    sensitive_words: tuple[str, ...] = Field(
        default=(),
        max_length=200,
        description="further words in a column's name by which `windsock init` proposes it as sensitive",
    )
    keep_predictions_days: float = Field(
        default=0.0, ge=0, description="days that the archived prediction log is kept; 0 keeps all"
    )
    retention: RetentionBlock = Field(
        default=RetentionBlock(), description="how long things are kept that nothing needs any more"
    )

    @property
    def predictions_kept_days(self) -> float:
        """Days that the archived prediction log is kept; 0: for ever."""
        return self.retention.days("predictions") or self.keep_predictions_days

    @property
    def compute_classes(self) -> dict[str, ComputeClass]:
        """Every compute class by name: those that ship, unless redefined, and the file's own."""
        return {**DEFAULT_COMPUTE, **self.compute}

    def compute_class(self, name: str) -> ComputeClass:
        """Return a compute class; the three that ship are known unless redefined.

        :raises SpecError: if the name is unknown.
        """
        known = self.compute_classes
        if name not in known:
            raise SpecError(
                f"unknown compute class {name!r}; known: {', '.join(sorted(known))}",
                key="training.compute",
                code="WS-SPEC-003",
            )
        return known[name]

    def alert_channel(self, name: str | None) -> AlertChannel | None:
        """Return a channel by its name; ``None``: the default connection, if there is one.

        While the shared file names no channel at all, every name means the default connection.

        :raises SpecError: if the name is unknown among those that there are.
        """
        if name is None or not self.alert_channels:
            return None
        if name not in self.alert_channels:
            raise SpecError(
                f"unknown alert channel {name!r}; known: {', '.join(sorted(self.alert_channels))}",
                key="monitoring.alert_channel",
                code="WS-SPEC-003",
            )
        return self.alert_channels[name]

    def apply(self, spec: ModelSpec) -> ModelSpec:
        """Return the spec with its named gate policy filled in and its shared names checked.

        What the model's own file says wins over the policy.

        :raises SpecError: if the compute class, the alert channel or the policy is unknown.
        :raises ValidationError: if the policy does not fit the model, such as a metric of another task.
        """
        self.compute_class(spec.training.compute)
        self.alert_channel(spec.monitoring.alert_channel)
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
        blocks = {name: getattr(spec, name) for name in spec.model_fields_set}
        return ModelSpec(**{**blocks, "gate": merged})
