"""Records of the deployment room and of the routing table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from windsock.records.base import Digest, Moment, Record, RunContext
from windsock.records.bundle import Answer, InputSchema
from windsock.records.governance import RegisteredVersion
from windsock.records.ledger import Champion, LedgerRow
from windsock.records.retention import RemovedKind, RetentionPolicy
from windsock.spec import ConstantAnswer, ModelSpec

BASIS_POINTS = 10_000
WITHDRAWN = "withdrawn-"
"""How the name of a challenger's arm begins that its rollout dropped; the number of its lane follows."""

Label = str | int | float | bool


def challenger_arm(lane: int) -> str:
    """Return the name of a challenger's arm: ``challenger``, and of several ``challenger-2`` and so on.

    :param lane: from 1.
    """
    return "challenger" if lane == 1 else f"challenger-{lane}"


def largest_share(challengers: int) -> int:
    """Return how much traffic each of so many challengers may have, in basis points.

    Each fills a lane of its own, so that growing never takes a unit from another challenger.
    """
    return BASIS_POINTS // max(challengers, 1)


class FallbackAnswer(Record):
    """What a request gets whose version failed: it raised, its breaker is open, or it is not loaded.

    :param policy: ``champion``: the champion answers, and where it failed itself the request fails;
        ``constant``: everybody gets the same answer; ``error``: the request fails.
    :param constant: that same answer.
    """

    policy: Literal["champion", "constant", "error"] = "champion"
    constant: Label | None = None

    @model_validator(mode="after")
    def _constant_goes_with_its_policy(self) -> Self:
        if (self.policy == "constant") != (self.constant is not None):
            raise ValueError("the policy `constant` needs a constant, and no other policy has one")
        return self

    @classmethod
    def of_spec(cls, spec: ModelSpec) -> Self:
        """Return what a model's YAML file asks for."""
        asked = spec.serving.fallback_answer
        if isinstance(asked, ConstantAnswer):
            return cls(policy="constant", constant=asked.constant)
        return cls(policy=asked)

    def constant_for(self, schema: InputSchema) -> Label | None:
        """Return the constant as an answer of a model.

        :returns: the class that it equals, or the number; ``None``: there is no constant, or the model could
            never answer with it.
        """
        if self.constant is None:
            return None
        if schema.answer is Answer.NUMBER:
            return None if isinstance(self.constant, str | bool) else float(self.constant)
        kind = _kind(self.constant)
        return next(
            (label for label in schema.classes if _kind(label) is kind and label == self.constant), None
        )


def _kind(label: Label) -> type:
    """Return what a label is: 1 and 1.0 are one label, 1 and true are two."""
    return float if type(label) is int else type(label)


class SlotPlan(Record):
    """One version behind the server.

    :param share: its traffic in basis points, 0 to 10,000.
    :param url: for a slot over HTTP, the address of the app with this version; ``None``: loaded in the
        process.
    :param shadow: whether it gets a copy of each request; its answers only go to the log. It has no traffic.
    :param withdrawn: whether its rollout dropped it: its units stay its own, and the champion answers them.
    """

    version: str
    digest: Digest
    bundle_uri: str
    share: int = Field(ge=0, le=BASIS_POINTS)
    url: str | None = None
    shadow: bool = False
    withdrawn: bool = Field(default=False, exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _shadows_do_not_answer(self) -> Self:
        if self.shadow and self.share:
            raise ValueError(f"a shadow has no traffic; its share is {self.share} and must be 0")
        return self

    @classmethod
    def idle(cls, bundle: Champion | RegisteredVersion) -> Self:
        """Return a slot for a bundle, without traffic."""
        return cls(version=bundle.version, digest=bundle.digest, bundle_uri=bundle.bundle_uri, share=0)


class RoutePlan(Record):
    """What the server shall serve for one model.

    :param epoch: the ledger's epoch; an older one than the server's is refused.
    :param slots: the versions; shares sum to 10,000, or to 0 while no version has been promoted.
    :param salt: salt of the sticky assignment.
    :param champion: the bundle that the others are challengers of; needed while several have traffic, else it
        is the one that has all.
    :param experiment: the rollout that splits the traffic; ``None`` outside of one.
    :param fallback: what a request gets whose version failed.
    """

    model: str
    epoch: int = Field(ge=1)
    slots: tuple[SlotPlan, ...] = Field(min_length=1, max_length=16)
    salt: str = ""
    champion: Digest | None = None
    experiment: str | None = None
    fallback: FallbackAnswer = FallbackAnswer()

    @model_validator(mode="after")
    def _shares_and_versions(self) -> Self:
        total = sum(slot.share for slot in self.slots)
        if total not in (0, BASIS_POINTS):
            raise ValueError(
                f"the shares sum to {total}; they must sum to {BASIS_POINTS}, "
                "or to 0 before a first promotion"
            )
        digests = [slot.digest for slot in self.slots]
        if len(set(digests)) != len(digests):
            raise ValueError("the same bundle stands in two slots")
        if self.champion is None and max(slot.share for slot in self.slots) < total:
            raise ValueError("several slots have traffic; `champion` must name one of them")
        if self.champion is not None and self.champion not in digests:
            raise ValueError("the champion stands in no slot")
        if (slot := self.champion_slot) is not None and (slot.shadow or slot.withdrawn):
            raise ValueError("the champion is a shadow, or withdrawn: nobody could answer")
        most = largest_share(len(self.challengers))
        if any(slot.share > most for slot in self.challengers):
            raise ValueError(
                f"{len(self.challengers)} challengers have traffic; each may have at most {most} basis points"
            )
        return self

    @property
    def champion_slot(self) -> SlotPlan | None:
        """The champion's slot: the named one, else the one that has all traffic; ``None``: there is none."""
        if self.champion is not None:
            return self.slot(self.champion)
        return next((slot for slot in self.slots if slot.share == BASIS_POINTS), None)

    @property
    def challengers(self) -> tuple[SlotPlan, ...]:
        """The slots that have traffic and are not the champion's."""
        champion = self.champion_slot
        return tuple(slot for slot in self.slots if slot.share and slot != champion)

    def arm(self, digest: Digest) -> str:
        """Return the name of a version's arm, by which the log tells whose units another version answered.

        :returns: ``champion``, ``shadow``, or ``challenger``; of several ``challenger``, ``challenger-2`` ..
            in the order of their lanes. Of one that was dropped ``withdrawn-1``, ``withdrawn-2`` ..
        """
        lanes = [slot.digest for slot in self.challengers]
        if digest not in lanes:
            return self.variant(digest)
        lane, slot = lanes.index(digest) + 1, self.slot(digest)
        if slot is not None and slot.withdrawn:
            return f"{WITHDRAWN}{lane}"
        return challenger_arm(lane)

    @property
    def shadows(self) -> tuple[SlotPlan, ...]:
        """The slots that get a copy of each request."""
        return tuple(slot for slot in self.slots if slot.shadow)

    def stand_in(self, failed: Digest) -> SlotPlan | None:
        """Return the slot that answers instead of one that failed; never that one itself.

        :returns: the champion's; ``None``: it is the one that failed, or the policy is another one.
        """
        slot = self.champion_slot if self.fallback.policy == "champion" else None
        return slot if slot is not None and slot.digest != failed else None

    def slot(self, digest: Digest) -> SlotPlan | None:
        """Return the slot of a bundle, or ``None``."""
        return next((slot for slot in self.slots if slot.digest == digest), None)

    def variant(self, digest: Digest) -> str:
        """Return ``champion``, ``challenger`` or ``shadow``."""
        slot, champion = self.slot(digest), self.champion_slot
        if slot is not None and slot.shadow:
            return "shadow"
        return "champion" if champion is not None and champion.digest == digest else "challenger"

    def role(self, digest: Digest) -> str:
        """Return what people read a version's part as: its variant, or ``standby`` where it has no traffic.

        A former champion is kept loaded for a roll back; it challenges nobody.
        """
        slot, variant = self.slot(digest), self.variant(digest)
        has_part = slot is None or slot.share or slot.shadow or variant == "champion"
        return variant if has_part else "standby"

    @classmethod
    def serving(
        cls,
        digest: Digest | None,
        *,
        model: str,
        epoch: int,
        slots: Iterable[SlotPlan],
        salt: str,
        fallback: FallbackAnswer,
    ) -> Self:
        """Return a plan that gives one of the slots all traffic and the others none, not even as shadows.

        :param digest: the bundle that serves; ``None``: none does.
        """
        shared = tuple(
            slot.replace(share=BASIS_POINTS if slot.digest == digest else 0, shadow=False, withdrawn=False)
            for slot in slots
        )
        return cls(model=model, epoch=epoch, slots=shared, salt=salt, fallback=fallback)

    @classmethod
    def of_row(cls, row: LedgerRow) -> Self:
        """Return the plan that a routing row of the ledger keeps; what an old row lacks has its default."""
        return cls(model=row.model, epoch=row.epoch, **row.body["plan"])

    def row_body(self) -> dict[str, Any]:
        """Return what a routing row keeps of this plan, under ``plan``."""
        return self.model_dump(mode="json", include={"slots", "salt", "champion", "experiment", "fallback"})


class RouteState(Record):
    """What the server says it serves, after every worker has acknowledged it.

    :param is_sealed: whether the plan on the server's disk has the seal of its admin token.
    """

    plan: RoutePlan
    workers: int = Field(ge=0)
    is_sealed: bool = True


class ProbeResult(Record):
    """Answer of one slot to its golden predictions.

    :param rows: golden rows asked.
    :param largest_difference: largest absolute difference to the recorded scores.
    :param version: version that answered.
    """

    version: str
    rows: int
    largest_difference: float
    matched: bool
    message: str = ""


class DeployModelInput(Record):
    """Input of ``deploy_model``: bring a registered version to the server, without traffic."""

    spec: ModelSpec
    version: RegisteredVersion
    run: RunContext = RunContext()
    force: bool = False


class Deployment(Record):
    """A version that stands ready behind the server at 0 %.

    :param epoch: epoch of the route it was added by.
    :param share: its traffic in basis points.
    :param unchanged: whether it stood there already, or is held back by a roll back.
    """

    model: str
    version: str
    digest: Digest
    epoch: int
    share: int
    target: str
    unchanged: bool = False
    reason: str = ""
    deployed_at: Moment


class RollBackInput(Record):
    """Input of ``roll_back``.

    :param model: the model's name; no spec is needed.
    :param to_version: version to serve again; default: the champion before this one, or the champion itself
        while a rollout is under way.
    :param experiment: end this rollout and nothing else: where it is over, nothing is done.
    :param outcome: with ``experiment``: why it ends.
    :param decision: digest of the decision that ends it; ``None``: a person does.
    :param decision_evidence: of that decision's evidence pack.
    :param reason: why, for the ledger.
    """

    model: str
    to_version: str | None = None
    experiment: str | None = None
    outcome: Literal["rolled_back", "kept", "stopped"] = "rolled_back"
    decision: Digest | None = None
    decision_evidence: Digest | None = None
    reason: str = ""
    run: RunContext = RunContext()


class RollBack(Record):
    """A version that serves again.

    :param follows: what is not done yet and housekeeping does, as a sentence; empty: nothing.
    """

    model: str
    version: str
    digest: Digest
    epoch: int
    rolled_back_version: str
    alias_mirrored: bool = True
    unchanged: bool = False
    reason: str = ""
    follows: str = Field(default="", exclude_if="".__eq__)
    committed_at: Moment


class HousekeepingInput(Record):
    """Input of ``keep_house``: everything that an installation tidies each hour.

    :param models: names of the models of this installation.
    :param stale_run_hours: a tracking run still open after this long is closed as killed.
    :param keep_predictions_days: archived hours of the prediction log, and lines rejected from it, that are
        older are removed; 0 keeps all.
    :param retention: how long other things are kept that nothing needs any more.
    :param remove_at_once: whether that is looked at now, though it was less than a day ago.
    """

    models: tuple[str, ...]
    stale_run_hours: float = Field(default=6.0, gt=0)
    keep_predictions_days: float = Field(default=0.0, ge=0)
    retention: RetentionPolicy = Field(default=RetentionPolicy(), exclude_if=RetentionPolicy().__eq__)
    remove_at_once: bool = Field(default=False, exclude_if=lambda value: not value)
    run: RunContext = RunContext()


class HousekeepingReport(Record):
    """What was tidied, and what could not be.

    :param aliases_repaired: models whose registry alias was set back to the ledger's champion.
    :param routes_sealed: models whose plan had lost the server's seal and has it again.
    :param runs_closed: open tracking runs that were closed as killed.
    :param segments_closed: prediction-log segments turned into Parquet.
    :param segments_removed: archived hours and files of rejected lines that the retention removed.
    :param rollouts_forgotten: rollouts that ended long ago and whose counts were removed.
    :param rollouts_closed: rollouts whose report and tracking runs say only now that they are over.
    :param broken_ledgers: models whose ledger's hash chain is broken.
    :param unattended: rollouts that run and that nobody looks at, one sentence each.
    :param faults: what could not be done, one sentence each.
    :param away: code of each fault that was a system that did not answer.
    :param removed: what the retention removed, by kind.
    :param removal_goes_on: whether more is to be removed: a run removes so much and leaves the rest.
    """

    aliases_repaired: tuple[str, ...] = ()
    routes_sealed: tuple[str, ...] = ()
    runs_closed: int = 0
    segments_closed: int = 0
    segments_removed: int = 0
    rollouts_forgotten: int = 0
    rollouts_closed: tuple[str, ...] = Field(default=(), exclude_if=().__eq__)
    broken_ledgers: tuple[str, ...] = ()
    unattended: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    removed: tuple[RemovedKind, ...] = Field(default=(), exclude_if=lambda value: not value)
    removal_goes_on: bool = Field(default=False, exclude_if=lambda value: not value)

    @property
    def is_transport_only(self) -> bool:
        """Whether something is wrong, and a retry may help with all of it."""
        found = self.broken_ledgers or self.unattended
        return bool(self.faults) and len(self.away) == len(self.faults) and not found
