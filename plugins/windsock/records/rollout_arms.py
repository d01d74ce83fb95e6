"""The arms of a rollout side by side, as people are shown them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from windsock.records.base import Digest
from windsock.records.deployment import BASIS_POINTS
from windsock.records.rollout import Rollout
from windsock.records.rollout_steps import ChallengerLook, Estimate, RolloutAction, RolloutDecision

SERVES, TRIED, DROPPED = "serves", "tried", "dropped"
"""States of an arm: the champion, a challenger, and one in whose place the champion answers."""


class ArmView(NamedTuple):
    """What is known of one arm by the last look.

    :param share: basis points of the units; the champion answers those of a challenger that was dropped.
    :param units: ``None``: no look was taken yet.
    :param value: the metric of the arm; ``None``: there is none yet.
    :param state: ``serves`` (the champion), ``tried`` or ``dropped``.
    :param judged: what the look comes to for a challenger; ``None``: it is the champion, or was not judged.
    """

    version: str
    digest: Digest
    share: int
    units: int | None
    value: float | None
    state: str
    judged: RolloutDecision | ChallengerLook | None = None

    @property
    def estimate(self) -> Estimate | None:
        """The arm's metric against the champion's; ``None`` where it was not judged by the look."""
        is_gone = isinstance(self.judged, ChallengerLook) and self.judged.withdrawn
        return None if is_gone or self.judged is None else self.judged.estimate


def arms_of(rollout: Rollout, last: RolloutDecision | None) -> tuple[ArmView, ...]:
    """Return the champion's arm, and the challengers' in the order of their lanes.

    :param last: the look that is shown; ``None``: none was taken yet.
    """
    places = range(len(rollout.challengers))
    judged = [judged_of(last, place) if last else None for place in places]
    units = [arm.units for arm in last.totals.arms] if last else []
    values = [one.estimate.champion for one in judged if one and one.estimate.champion is not None]
    champion = ArmView(
        version=rollout.champion_version,
        digest=rollout.champion_digest,
        share=BASIS_POINTS - rollout.share,
        units=units[0] if units else None,
        value=values[0] if values else None,
        state=SERVES,
    )
    looks = last.looks if last else ()
    gone = [one.digest for one in looks if one.withdrawn]
    dropped = {*rollout.withdrawn, *gone, *(one.digest for one in (last.dropped if last else ()))}
    others = (
        ArmView(
            version=one.version,
            digest=one.digest,
            share=rollout.share_each,
            units=units[place + 1] if len(units) > place + 1 else None,
            value=seen.estimate.challenger if (seen := judged[place]) else None,
            state=DROPPED if one.digest in dropped else TRIED,
            judged=seen,
        )
        for place, one in enumerate(rollout.challengers)
    )
    return (champion, *others)


def judged_of(decision: RolloutDecision, place: int) -> RolloutDecision | ChallengerLook | None:
    """Return what a look says of one challenger: it is the decision itself where there is one.

    :param place: of its lane, from 0.
    :returns: ``None``: the look says nothing of it.
    """
    if decision.looks:
        return decision.looks[place] if place < len(decision.looks) else None
    return decision if place == 0 else None


def own_reason(decision: RolloutDecision) -> str:
    """Return why, as the check says it: of several challengers without the version before it."""
    return next((one.reason for one in decision.looks if one.digest == decision.digest), decision.reason)


def concerned(decision: RolloutDecision) -> Sequence[RolloutDecision | ChallengerLook]:
    """Return what the action is about: of several challengers the promoted one, the dropped ones, or all."""
    if not decision.looks or decision.action is RolloutAction.PROMOTE:
        return (decision,)
    return decision.dropped or [one for one in decision.looks if not one.withdrawn] or (decision,)


__all__ = ["DROPPED", "SERVES", "TRIED", "ArmView", "arms_of", "concerned", "judged_of", "own_reason"]
