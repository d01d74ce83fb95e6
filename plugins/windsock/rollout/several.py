"""What becomes of a rollout of several challengers: each was judged alone, and one thing follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from windsock.records import (
    Challenger,
    ChallengerLook,
    CheckResult,
    Estimate,
    Rollout,
    RolloutAction,
    Status,
)
from windsock.rollout.guardrails import PREFIX
from windsock.rollout.look import Look
from windsock.rollout.promotion import Proof, room

ENDS_WITHOUT_PROMOTION = frozenset({RolloutAction.KEEP, RolloutAction.ROLL_BACK})
DROPPED = "it was dropped before; the champion answers its units"


class Judged(NamedTuple):
    """What a look comes to for one challenger, as if it were the only one."""

    look: Look
    action: RolloutAction
    reason: str
    checks: tuple[CheckResult, ...]
    proof: Proof

    @property
    def challenger(self) -> Challenger:
        """The version that was judged."""
        return self.look.challenger

    @property
    def is_broken(self) -> bool:
        """Whether it breaks a guardrail."""
        return any(one.name.startswith(PREFIX) and one.status is Status.FAIL for one in self.checks)


class Whole(NamedTuple):
    """What follows for the rollout.

    :param about: the challenger that the action is about.
    """

    action: RolloutAction
    reason: str
    about: Judged


def combined(judged: Sequence[Judged]) -> Whole:
    """Return what follows of what each challenger comes to that was not dropped before.

    In this order: those that do harm are dropped, and the rest goes on; the best of those that are proved is
    promoted; where all want an end the rollout ends; where all want to advance it advances; else it holds. So
    nobody is promoted at a look that drops another one: the next look sees to it.
    """
    if len(judged) == 1 and not judged[0].look.is_one_of_several:
        return Whole(judged[0].action, judged[0].reason, judged[0])
    action, about = _combined(judged)
    return Whole(action, _reason(action, judged, about), about[0])


def _combined(judged: Sequence[Judged]) -> tuple[RolloutAction, list[Judged]]:
    """Return what follows, and the challengers because of which, the most important one first."""
    if any(one.is_broken for one in judged):
        taken = [one for one in judged if one.action is RolloutAction.ROLL_BACK]
        rest = len(taken) < len(judged)
        action = RolloutAction.DROP if rest else RolloutAction.ROLL_BACK
        return action, _sorted(taken, lambda one: one.is_broken)
    if proved := [one for one in judged if one.action is RolloutAction.PROMOTE]:
        return RolloutAction.PROMOTE, _sorted(proved, _gain)
    actions = {one.action for one in judged}
    action = RolloutAction.HOLD
    if actions <= ENDS_WITHOUT_PROMOTION:
        action = RolloutAction.KEEP if RolloutAction.KEEP in actions else RolloutAction.ROLL_BACK
    elif actions == {RolloutAction.ADVANCE}:
        action = RolloutAction.ADVANCE
    because = [one for one in judged if one.action is action]
    return action, _sorted(because, _nearness)


def _sorted(judged: Sequence[Judged], key: Callable[[Judged], float]) -> list[Judged]:
    """Return the greatest first; of equal ones that of the earlier lane."""
    return sorted(judged, key=key, reverse=True)


def _gain(one: Judged) -> float:
    """Return by how much a challenger is better than the champion."""
    difference = one.proof.estimate.difference or 0.0
    lower = one.look.block(one.look.plan.metric).lower_is_better
    return -difference if lower else difference


def _nearness(one: Judged) -> float:
    """Return how near a challenger is to its proof, in standard errors; those without a value are last."""
    return room(one.look, one.proof.edge) if one.proof.edge is not None else -math.inf


def _reason(action: RolloutAction, judged: Sequence[Judged], about: Sequence[Judged]) -> str:
    """Return why, with the versions; what is so for all of them alike, such as a pause, names none."""
    if about[0].is_broken:  # and so are the others, or they lack evidence at the deadline
        return "; ".join(f"version {one.challenger.version}: {one.reason}" for one in about)
    if len(judged) > 1 and len({one.reason for one in judged}) == 1:
        return judged[0].reason
    reason = f"version {about[0].challenger.version}: {about[0].reason}"
    if action is RolloutAction.PROMOTE and len(about) > 1:
        rest = " and ".join(one.challenger.version for one in about[1:])
        reason += f"; version {rest} {'is' if len(about) == 2 else 'are'} proved too, with less gain"
    return reason


def looks_of(rollout: Rollout, judged: Sequence[Judged]) -> tuple[ChallengerLook, ...]:
    """Return what a decision keeps of each challenger, in the order of their lanes; none of a single one."""
    if not rollout.others:
        return ()
    found = {one.challenger.digest: one for one in judged}
    return tuple(_look_of(rollout, one, found.get(one.digest)) for one in rollout.challengers)


def _look_of(rollout: Rollout, one: Challenger, judged: Judged | None) -> ChallengerLook:
    if judged is None:
        return ChallengerLook(
            version=one.version,
            digest=one.digest,
            action=RolloutAction.ROLL_BACK,
            reason=DROPPED,
            checks=(),
            estimate=Estimate(metric=rollout.plan.metric),
            withdrawn=True,
        )
    return ChallengerLook(
        version=one.version,
        digest=one.digest,
        action=judged.action,
        reason=judged.reason,
        checks=judged.checks,
        estimate=judged.proof.estimate,
        planned_look=judged.proof.planned_look,
    )


__all__ = ["Judged", "Whole", "combined", "looks_of"]
