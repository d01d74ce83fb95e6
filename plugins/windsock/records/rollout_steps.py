"""Records of the rollout room: what goes into its steps, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from windsock.exceptions import RolloutRefusedError
from windsock.records.base import CheckResult, Digest, Interval, Moment, Record, RunContext
from windsock.records.rollout import Rollout, RolloutOverrides
from windsock.records.rollout_totals import StepTotals
from windsock.spec import ModelSpec


class RolloutAction(StrEnum):
    """What a look at a rollout comes to."""

    HOLD = "hold"
    ADVANCE = "advance"
    DROP = "drop"
    """Of several challengers some did harm: they are dropped, the others go on."""
    PROMOTE = "promote"
    KEEP = "keep"
    ROLL_BACK = "roll_back"


ENDS = frozenset({RolloutAction.PROMOTE, RolloutAction.KEEP, RolloutAction.ROLL_BACK})


class Estimate(Record):
    """The challenger's metric against the champion's.

    :param difference: challenger minus champion, in the metric's own unit; ``None`` without a value.
    :param interval: the confidence sequence, or the group sequential interval of the look.
    :param fixed: the usual interval of a single look: information only.
    :param method: ``confidence_sequence`` or ``group_sequential``.
    :param z: difference in standard errors.
    :param bound: group sequential: the bound that ``z`` is held against at this planned look.
    :param fraction: group sequential: part of the horizon at this look.
    :param information: units behind it.
    :param chance_better: Bayesian read-out: probability that the challenger is better; information only.
    :param variance_ratio: CUPED: variance with the covariate against without it; ``None`` without.
    """

    metric: str
    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    fixed: Interval | None = None
    method: Literal["confidence_sequence", "group_sequential"] = "confidence_sequence"
    z: float | None = None
    bound: float | None = None
    fraction: float | None = None
    information: int = Field(default=0, ge=0)
    chance_better: float | None = None
    variance_ratio: float | None = None


class ChallengerLook(Record):
    """What a look comes to for one of several challengers, held against the champion alone.

    :param action: what would follow if it were the only one; ``roll_back`` drops it.
    :param withdrawn: whether it had been dropped before: it is not judged any more.
    """

    version: str
    digest: Digest
    action: RolloutAction
    reason: str
    checks: tuple[CheckResult, ...]
    estimate: Estimate
    planned_look: int | None = Field(default=None, exclude_if=lambda value: value is None)
    withdrawn: bool = Field(default=False, exclude_if=lambda value: not value)


class RolloutDecision(Record):
    """One look at a rollout: what was seen, and what follows.

    With several challengers ``version``, ``digest``, ``reason``, ``checks`` and ``estimate`` are of the one
    that the action is about: the one that is promoted, or dropped first, else the one that is nearest to its
    proof.

    :param number: 1, 2, 3 ... within the rollout; the first decision of a number stands.
    :param share: basis points of all challengers together.
    :param checks: sample ratio, minimum of units, cycle, guardrails, promotion: each with number and limit.
    :param planned_look: group sequential: 1 .. looks where this was a planned one.
    :param dry_run: whether it was only shown: nothing was stored, nothing follows.
    :param unchanged: whether it stood already: a decision that ends a step is made once.
    :param report_uri: where the report lies; ``None`` where it could not be written.
    :param evidence_digest: of the signed evidence pack of a decision that ends the rollout.
    :param evidence_uri: where that lies, as a path under the storage root.
    :param notes: what a reader should know and no check holds it for, in plain sentences.
    """

    model: str
    experiment: str
    version: str
    digest: Digest
    champion_version: str
    number: int = Field(ge=1)
    step: int = Field(ge=0)
    share: int = Field(ge=0)
    action: RolloutAction
    reason: str
    checks: tuple[CheckResult, ...]
    estimate: Estimate
    totals: StepTotals
    planned_look: int | None = None
    judged_at: Moment
    dry_run: bool = False
    unchanged: bool = False
    report_uri: str | None = None
    evidence_digest: Digest | None = None
    evidence_uri: str | None = None
    notes: tuple[str, ...] = Field(default=(), exclude_if=().__eq__)
    looks: tuple[ChallengerLook, ...] = Field(default=(), exclude_if=().__eq__)
    """Of several challengers, in the order of their lanes; none where there is one."""

    @property
    def dropped(self) -> tuple[ChallengerLook, ...]:
        """The challengers that the decision drops."""
        if self.action is not RolloutAction.DROP:
            return ()
        return tuple(one for one in self.looks if one.action is RolloutAction.ROLL_BACK and not one.withdrawn)

    def against(self, place: int) -> Self:
        """Return what the look said of one challenger, as if it were the only one.

        :param place: of its lane, from 0.
        """
        if not self.looks:
            return self
        one = self.looks[place]
        return self.replace(
            version=one.version,
            digest=one.digest,
            action=one.action,
            reason=one.reason,
            checks=one.checks,
            estimate=one.estimate,
            planned_look=one.planned_look,
            totals=self.totals.against(place),
            looks=(),
        )

    @property
    def bare(self) -> Self:
        """The decision without what was stored about it afterwards: as it stands in its own evidence pack."""
        later = {"evidence_digest": None, "evidence_uri": None, "report_uri": None, "unchanged": False}
        return self.replace(**later)


class RolloutMark(Record):
    """How far a rollout's decisions had come, kept outside the database and signed.

    :param number: number of the last decision that was kept.
    :param planned: numbers of the planned looks among them: each spends of the error that was declared.
    """

    model: str
    experiment: str
    number: int = Field(ge=0)
    planned: tuple[int, ...] = ()


def shortened(model: str, experiment: str, missing: Sequence[int]) -> RolloutRefusedError:
    """Return the refusal of a rollout whose looks are missing: what they said would count no more.

    :param missing: the numbers of the decisions.
    """
    first, last = missing[0], missing[-1]
    which = f"decision {first} is" if first == last else f"decisions {first} to {last} are"
    return RolloutRefusedError(
        f"{model}: rollout {experiment} cannot go on: {which} missing in the control database",
        code="WS-ROLLOUT-082",
        next_action="Find out who changed the control database, or restored it. Restore its newest backup, "
        f"or end the rollout with `windsock rollout stop {model}` and start it again.",
    )


class StartRolloutInput(Record):
    """Input of ``start_rollout``: go on with the rollout that is under way, else start what waits.

    :param version: start these waiting versions now and no others, such as ``4`` or ``4, 5``.
    :param only_look: start nothing.
    """

    spec: ModelSpec
    overrides: RolloutOverrides = RolloutOverrides()
    version: str | None = None
    only_look: bool = False
    run: RunContext = RunContext()


class RolloutState(Record):
    """What is under way.

    :param rollout: the rollout; ``None``: there is none.
    :param waiting: version that waits for its own; of several all of them, the oldest first: ``4, 5``.
    :param started: whether it was started now.
    :param steered: whether it was paused or resumed, or a question was kept, now.
    :param look_due: when the next look is due.
    :param outlook: what was told at its start: a margin that could not be judged, a time that is too short.
    """

    model: str
    rollout: Rollout | None = None
    waiting: str | None = None
    started: bool = False
    steered: bool = False
    look_due: Moment | None = None
    reason: str = ""
    outlook: tuple[str, ...] = Field(default=(), exclude_if=().__eq__)

    @property
    def unchanged(self) -> bool:
        """Whether nothing was done."""
        return not (self.started or self.steered)


class SteerRolloutInput(Record):
    """Input of ``steer_rollout``: pause or resume what is under way, or keep for a run that it asks a person.

    :param asked_until: with ``ask``: until when.
    """

    model: str
    action: Literal["pause", "resume", "ask"]
    reason: str = ""
    asked_until: Moment | None = None
    run: RunContext = RunContext()

    @model_validator(mode="after")
    def _asks_until(self) -> Self:
        if (self.action == "ask") != (self.asked_until is not None):
            raise ValueError("`ask` needs `asked_until`, and nothing else has it")
        return self


class JudgeRolloutInput(Record):
    """Input of ``judge_rollout``."""

    spec: ModelSpec
    dry_run: bool = False
    run: RunContext = RunContext()


class ShiftTrafficInput(Record):
    """Input of ``shift_traffic``: carry out a decision to advance, or to drop challengers."""

    spec: ModelSpec
    decision: RolloutDecision
    run: RunContext = RunContext()


class TrafficShift(Record):
    """A step of a rollout that has begun.

    :param share: basis points of the challenger.
    :param unchanged: whether it had begun before, or the rollout is over.
    """

    model: str
    experiment: str
    version: str
    step: int
    share: int
    epoch: int
    unchanged: bool = False
    reason: str = ""
    shifted_at: Moment


__all__ = [
    "ENDS",
    "ChallengerLook",
    "Estimate",
    "JudgeRolloutInput",
    "RolloutAction",
    "RolloutDecision",
    "RolloutMark",
    "RolloutState",
    "ShiftTrafficInput",
    "StartRolloutInput",
    "SteerRolloutInput",
    "TrafficShift",
    "shortened",
]
