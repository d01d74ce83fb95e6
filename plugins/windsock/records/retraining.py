"""Rules of retraining: what the trigger policy makes of the rows that are kept.

They are pure functions over a model's episodes and its lease. Whoever keeps the rows reads them, applies a
rule and writes what it says, in one transaction. Those of a claim and its end are in
``records/retrain_claims.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from windsock.records.accepted_drift import Accepted
from windsock.records.base import Moment, Record
from windsock.records.episodes import Episode, EpisodeState, RetrainOutcome
from windsock.spec.durations import parse_duration
from windsock.spec.monitoring import RetrainBlock

LEASE = timedelta(hours=6)
"""How long a claim holds without a sign of life; then the run is given up for lost."""
BUDGET_SPAN = timedelta(days=1)
USELESS = frozenset({RetrainOutcome.KEPT, RetrainOutcome.REFUSED, RetrainOutcome.UNCHANGED})
GROWN = 2.0
"""Against a loss that is so many times as large, or with so many times the rows since the onset, a retrain
may help where one before did not."""
PLAIN_GROWTH = 0.05
"""A loss of nearly nothing doubles by chance: it must be larger by more than this as well, which is the drop
that is allowed by default."""
Trigger = Literal["performance", "drift", "event"]
TRIGGERS: tuple[Trigger, ...] = ("performance", "drift", "event")
"""What asks for a retrain, the most important first: a loss is known to do harm, drift may be harmless."""
AGAINST: dict[Trigger, str] = {
    "performance": "a loss of performance",
    "drift": "drift",
    "event": "drift",
}


class Lease(Record):
    """Who retrains a model now.

    :param episode_key: the episode that is retrained for; ``None``: a retrain on schedule or by hand.
    :param until: when the holder is given up for lost, unless it claims again or renews.
    :param seen_at: when it claimed or renewed last; ``None``: a lease of usual length before ``until``.
    """

    holder: str
    episode_key: str | None = None
    claimed_at: Moment
    until: Moment
    seen_at: Moment | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether the holder is given up; so is one that a clock which was far ahead let hold for long."""
        return now >= self.until or (self.seen_at or self.until - LEASE) > now + LEASE

    def held_until(self, until: datetime, now: datetime) -> Lease:
        """Return the lease that its holder has from now on: no shorter than it was, unless it was over."""
        longer = until if self.is_over(now) else max(self.until, until)
        return self.replace(until=longer, seen_at=now)


class Hold(Record):
    """Why the policy forbids a retrain that something asks for.

    :param breaker: whether only a promotion or a person ends it.
    :param not_before: when it ends by itself.
    """

    reason: str
    breaker: bool = False
    not_before: Moment | None = None


class Change(Record):
    """What a rule came to.

    :param episodes: rows to write, as they stand afterwards.
    :param lease: the lease as it stands afterwards.
    """

    episodes: tuple[Episode, ...] = ()
    lease: Lease | None = None


def open_episode(episodes: Sequence[Episode]) -> Episode | None:
    """Return the episode that is announced or claimed, or ``None``; a model has one at most."""
    return next((one for one in reversed(episodes) if one.state is not EpisodeState.CLOSED), None)


def useless_in_a_row(
    episodes: Sequence[Episode],
    digest: str,
    trigger: Trigger,
    *,
    loss: float | None = None,
    rows: int | None = None,
) -> list[Episode]:
    """Return the retrains of this version that came to nothing, one after the other, up to now.

    Those that a loss asked for count apart from all others: retrains that did not help against drift, or as
    somebody outside asked, say nothing about what one would do against a loss. One that failed by a fault
    does not count and breaks no row; nor does one whose version waits for its rollout or is in it. A
    promotion ends the row, as does another version that serves, or a person. Against a loss, one does not
    count where the loss has plainly doubled since, or the rows since the onset have: the world went on
    changing, or there is more of it to learn from, and a retrain may help by now.

    Where rows were too few to show a gain, drift and loss wait for more of them. An event from outside waits
    for none: against further events such a retrain counts like one that did not help.

    :param episodes: in the order in which they were opened.
    :param loss: by now; ``None``: it is not known.
    :param rows: labelled answers since the onset by now; ``None``: they are not known.
    """
    useless = []
    for episode in reversed(episodes):
        if episode.claimed_at is None or episode.outcome is None:
            continue
        ended = episode.outcome is RetrainOutcome.PROMOTED or episode.digest != digest
        if ended or episode.forgiven_by is not None:
            break
        is_alike = (episode.trigger == "performance") == (trigger == "performance")
        has_grown = _has_grown(loss, episode.loss, by=PLAIN_GROWTH) or (
            trigger == "performance" and _has_grown(rows, episode.rows)
        )
        if is_alike and not has_grown and (episode.outcome in USELESS or _showed_nothing(episode, trigger)):
            useless.append(episode)
    return useless


def _showed_nothing(episode: Episode, trigger: Trigger) -> bool:
    return episode.trigger == trigger == "event" and episode.outcome is RetrainOutcome.TOO_FEW


def _has_grown(now: float | None, then: float | None, *, by: float = 0.0) -> bool:
    return now is not None and then is not None and now >= GROWN * then > 0 and now - then > by


def open_breakers(episodes: Sequence[Episode], policy: RetrainBlock, digest: str) -> tuple[Trigger, ...]:
    """Return what has had too many retrains in a row that did not help.

    A breaker stays open until a promotion or a person ends it, also where one more retrain is granted because
    the loss or the rows have grown: nothing has shown yet that it helps.
    """
    counted = {one: useless_in_a_row(episodes, digest, one) for one in TRIGGERS}
    return tuple(one for one, useless in counted.items() if len(useless) >= policy.breaker)


def hold_of(
    episodes: Sequence[Episode],
    policy: RetrainBlock,
    *,
    digest: str,
    now: datetime,
    trigger: Trigger,
    loss: float | None = None,
    rows: int | None = None,
) -> Hold | None:
    """Return what forbids one more retrain by now, or ``None``.

    There are two breakers, one for a loss and one for all else; cooldown and budget are of all together.

    Claims that lie in the future, because a clock was wrong, hold until their time has come, or a person
    forgives them: a clock that is set back grants nothing twice.

    :param episodes: in the order in which they were opened.
    :param digest: bundle that serves.
    :param trigger: what asks for it.
    :param loss: the loss that asks, where one does.
    :param rows: labelled answers since its onset, where they are known.
    """
    useless = useless_in_a_row(episodes, digest, trigger, loss=loss, rows=rows)
    if len(useless) >= policy.breaker:
        return Hold(
            reason=f"WS-MONITORING-052: {len(useless)} retrains in a row did not help against "
            f"{AGAINST[trigger]}{_unshown(useless)}, the limit is {policy.breaker}: a person must look"
            f"{_one_more(useless, policy) if trigger == 'performance' else ''}",
            breaker=True,
        )
    claims = sorted(
        one.claimed_at
        for one in episodes
        if one.claimed_at and (one.claimed_at <= now or one.forgiven_by is None)
    )
    if not claims:
        return None
    rested = claims[-1] + parse_duration(policy.cooldown)
    spent = [claim for claim in claims if claim > now - BUDGET_SPAN]
    paid = spent[-policy.per_day] + BUDGET_SPAN if len(spent) >= policy.per_day else now
    if max(rested, paid) <= now:
        return None
    reasons = []
    if rested > now:
        reasons.append(
            f"the last retrain began at {claims[-1]:%Y-%m-%d %H:%M}, the cooldown is {policy.cooldown}"
        )
    if paid > now:
        reasons.append(f"{len(spent)} retrains in 24 hours, the budget is {policy.per_day}")
    return Hold(reason=f"WS-MONITORING-053: {'; '.join(reasons)}", not_before=max(rested, paid))


def _unshown(useless: Sequence[Episode]) -> str:
    """Return of how many retrains that counts the held-out rows were too few, in words; empty: of none."""
    many = sum(one.outcome is RetrainOutcome.TOO_FEW for one in useless)
    asked = "that an event from outside asked for had too few held-out rows to show a gain"
    return f" ({many} {asked})" if many else ""


def _one_more(useless: Sequence[Episode], policy: RetrainBlock) -> str:
    """Return at which growth one more retrain is tried, in words.

    :param useless: those that count, at least as many as the limit.
    """
    ends = sorted(math.inf if one.rows is None else GROWN * one.rows for one in useless)
    needed = ends[len(ends) - policy.breaker]
    rows = f", or at {needed:,.0f} labelled answers since the onset" if needed < math.inf else ""
    return f"; one more is tried once the loss has doubled{rows}"


def answered_until(episodes: Sequence[Episode], now: datetime) -> datetime | None:
    """Return up to which time windows have had their retrain: they ask for no second one.

    :returns: the end of the last retrain, or of what it was for where that end lies in the future.
    """
    ends = [
        one.closed_at if one.closed_at <= now else one.span.end
        for one in episodes
        if one.claimed_at is not None and one.closed_at is not None
    ]
    return max((end for end in ends if end <= now), default=None)


def announce_in(known: Sequence[Episode], episode: Episode) -> tuple[Episode, Change]:
    """Announce an episode; return what stands, and the rows to write.

    :param known: the model's episodes in the order in which they were opened.
    :param episode: as ``decide_retrain`` made it; ``opened_at`` is now.
    """
    same = next((one for one in known if one.key == episode.key), None)
    opened = open_episode(known)
    if same is not None and same.state is not EpisodeState.ANNOUNCED:
        return same, Change()
    if opened is not None:
        counted = opened.replace(announced=opened.announced + 1)
        if same is None and episode.trigger == "event":
            answered = closed_as(episode, RetrainOutcome.SUPERSEDED, episode.opened_at)
            return counted, Change(episodes=(counted, answered))
        return counted, Change(episodes=(counted,))
    had = answered_until(known, episode.opened_at)
    if episode.trigger != "event" and had is not None and episode.span.end <= had:
        return next(one for one in reversed(known) if one.claimed_at is not None), Change()
    first = episode.replace(state=EpisodeState.ANNOUNCED, announced=1)
    return first, Change(episodes=(first,))


def sweep_in(
    known: Sequence[Episode],
    lease: Lease | None,
    *,
    digest: str | None,
    now: datetime,
    ended: Mapping[str, RetrainOutcome] | None = None,
    accepted_until: Accepted | None = None,
) -> Change:
    """Close what nobody will close: the episode of a lost run, and one of a version that serves no more.

    Lost is also a claimed episode without its lease, once a claim of usual length would be over.

    :param ended: what retrains came to whose version waited for its rollout, by the run that had the claim.
    :param accepted_until: up to when a person has accepted drift and loss: no retrain answers them any more.
    """
    lost = lease is not None and lease.is_over(now)
    closed = []
    for one in known:
        if one.state is EpisodeState.CLAIMED and (lost if is_of(lease, one) else _is_left(one, now)):
            closed.append(closed_as(one, RetrainOutcome.FAILED, now))
        elif one.state is EpisodeState.ANNOUNCED and (
            (digest is not None and one.digest != digest) or _is_accepted(one, accepted_until)
        ):
            closed.append(closed_as(one, RetrainOutcome.SUPERSEDED, now))
        elif one.outcome is RetrainOutcome.QUEUED and (told := (ended or {}).get(one.claimed_by or "")):
            closed.append(one.replace(outcome=told))
    return Change(episodes=tuple(closed), lease=None if lost else lease)


def is_of(lease: Lease | None, episode: Episode) -> bool:
    """Whether a lease is that of an episode; an edited or partly restored database may have lost it."""
    return lease is not None and lease.episode_key == episode.key


def _is_left(episode: Episode, now: datetime) -> bool:
    """Return whether a claim of usual length would be over by now, or was made by a clock far ahead."""
    begun = episode.claimed_at or episode.opened_at
    return not begun - LEASE <= now < begun + LEASE


def _is_accepted(episode: Episode, accepted: Accepted | None) -> bool:
    return accepted is not None and accepted.covers(episode.trigger, episode.span.end)


def closed_as(episode: Episode, outcome: RetrainOutcome, now: datetime) -> Episode:
    """Return an episode as it is once it is closed."""
    return episode.replace(state=EpisodeState.CLOSED, outcome=outcome, closed_at=now)
