"""Rules of retraining: what the trigger policy, a claim and its end make of the rows that are kept.

They are pure functions over a model's episodes and its lease. Whoever keeps the rows reads them, applies a
rule and writes what it says, in one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from windsock.records.accepted_drift import Accepted
from windsock.records.base import Moment, Record, Span
from windsock.records.episodes import Episode, EpisodeState, RetrainClaim, RetrainOutcome
from windsock.spec.durations import parse_duration
from windsock.spec.monitoring import RetrainBlock

LEASE = timedelta(hours=6)
"""How long a claim holds without a sign of life; then the run is given up for lost."""
BUDGET_SPAN = timedelta(days=1)
USELESS = frozenset({RetrainOutcome.KEPT, RetrainOutcome.REFUSED})
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
        if is_alike and not has_grown and episode.outcome in USELESS:
            useless.append(episode)
    return useless


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
            f"{AGAINST[trigger]}, the limit is {policy.breaker}: a person must look"
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
            answered = _closed(episode, RetrainOutcome.SUPERSEDED, episode.opened_at)
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

    :param ended: what retrains came to whose version waited for its rollout, by the run that had the claim.
    :param accepted_until: up to when a person has accepted drift and loss: no retrain answers them any more.
    """
    lost = lease is not None and lease.is_over(now)
    closed = []
    for one in known:
        if one.state is EpisodeState.CLAIMED and lost and lease is not None and lease.episode_key == one.key:
            closed.append(_closed(one, RetrainOutcome.FAILED, now))
        elif one.state is EpisodeState.ANNOUNCED and (
            (digest is not None and one.digest != digest) or _is_accepted(one, accepted_until)
        ):
            closed.append(_closed(one, RetrainOutcome.SUPERSEDED, now))
        elif one.outcome is RetrainOutcome.QUEUED and (told := (ended or {}).get(one.claimed_by or "")):
            closed.append(one.replace(outcome=told))
    return Change(episodes=tuple(closed), lease=None if lost else lease)


def _is_accepted(episode: Episode, accepted: Accepted | None) -> bool:
    return accepted is not None and accepted.covers(episode.trigger, episode.span.end)


def claim_in(
    known: Sequence[Episode],
    lease: Lease | None,
    *,
    model: str,
    policy: RetrainBlock,
    episode_key: str | None,
    holder: str,
    now: datetime,
) -> tuple[RetrainClaim, Change]:
    """Claim a model for one retrain, and an episode with it; return the answer, and what to write.

    :param known: the model's episodes in the order in which they were opened.
    :param lease: who has the model; one that has run out counts no more.
    """
    if lease is not None and lease.holder == holder:
        own = next((one for one in known if one.key == lease.episode_key), None)
        claim, change = _granted(model, policy, own, lease.claimed_at, holder, now)
        return claim, change.replace(lease=lease.held_until(now + LEASE, now))
    swept = sweep_in(known, lease, digest=None, now=now)
    rows = {one.key: one for one in [*known, *swept.episodes]}
    episode = rows.get(episode_key) if episode_key is not None else None
    reason = _refusal(tuple(rows.values()), swept.lease, policy, episode_key, holder, now)
    if reason is not None:
        refused = RetrainClaim(
            model=model, granted=False, reason=reason, holder=holder, episode=episode, claimed_at=now
        )
        return refused, swept
    begun = now
    if episode is not None:
        begun = (episode.claimed_at if episode.claimed_by == holder else None) or now
        episode = episode.replace(
            state=EpisodeState.CLAIMED, claimed_by=holder, claimed_at=begun, outcome=None, closed_at=None
        )
    claim, change = _granted(model, policy, episode, begun, holder, now)
    written = {one.key: one for one in [*swept.episodes, *change.episodes]}
    return claim, change.replace(episodes=tuple(written.values()))


def _refusal(
    known: Sequence[Episode],
    lease: Lease | None,
    policy: RetrainBlock,
    episode_key: str | None,
    holder: str,
    now: datetime,
) -> str | None:
    if lease is not None:
        return f"WS-MONITORING-054: {lease.holder} retrains the model since {lease.claimed_at:%Y-%m-%d %H:%M}"
    if episode_key is None:
        return None
    episode = next((one for one in known if one.key == episode_key), None)
    if episode is None:
        return f"WS-MONITORING-055: no episode {episode_key} was announced"
    if episode.state is EpisodeState.CLOSED and not _may_go_on(known, episode, holder):
        ended = episode.outcome.value if episode.outcome else "closed"
        return f"WS-MONITORING-055: episode {episode_key} is closed: {ended}"
    if episode.state is EpisodeState.CLAIMED:
        return f"WS-MONITORING-055: episode {episode_key} is claimed by {episode.claimed_by}"
    if episode.state is EpisodeState.CLOSED:
        return None
    hold = hold_of(
        known,
        policy,
        digest=episode.digest,
        now=now,
        trigger=episode.trigger,
        loss=episode.loss,
        rows=episode.rows,
    )
    return hold.reason if hold else None


def _may_go_on(known: Sequence[Episode], episode: Episode, holder: str) -> bool:
    """Return whether a run that failed may try its own episode again: nothing was opened since."""
    return (
        episode.claimed_by == holder
        and episode.outcome is RetrainOutcome.FAILED
        and [one for one in known if one.claimed_at is not None][-1].key == episode.key
        and open_episode(known) is None
    )


def _granted(
    model: str,
    policy: RetrainBlock,
    episode: Episode | None,
    begun: datetime,
    holder: str,
    now: datetime,
) -> tuple[RetrainClaim, Change]:
    claim = RetrainClaim(
        model=model,
        granted=True,
        reason=f"episode {episode.key}" if episode else "no other retrain runs",
        holder=holder,
        episode=episode,
        recent=recent_span(policy, episode, begun) if episode else None,
        onset=episode.onset if episode else None,
        claimed_at=begun,
    )
    lease = Lease(
        holder=holder,
        episode_key=episode.key if episode else None,
        claimed_at=begun,
        until=now + LEASE,
        seen_at=now,
    )
    return claim, Change(episodes=(episode,) if episode else (), lease=lease)


def recent_span(policy: RetrainBlock, episode: Episode, begun: datetime) -> Span:
    """Return the stretch whose labelled rows a retrain mixes in: back from its claim, over its windows.

    It has all rows since the onset, however long ago that is.
    """
    start = min(begun - parse_duration(policy.recent), episode.span.start, episode.onset or begun)
    return Span(start=start, end=max(begun, episode.span.end))


def renew_in(lease: Lease | None, *, holder: str, until: datetime, now: datetime) -> Change | None:
    """Let a holder that will give no sign of life for long keep its claim; ``None``: it has none.

    :param until: when it is to be given up for lost; an earlier time than there is changes nothing.
    """
    if lease is None or lease.holder != holder:
        return None
    return Change(lease=lease.held_until(until, now))


def close_in(
    known: Sequence[Episode], lease: Lease | None, *, holder: str, outcome: RetrainOutcome, now: datetime
) -> Change:
    """Give a claim back and close its episode.

    The outcome of a run that was given up for lost is kept when it comes to its end after all.
    """
    if lease is not None and lease.holder == holder:
        mine = [one for one in known if one.key == lease.episode_key and one.state is EpisodeState.CLAIMED]
        return Change(episodes=tuple(_closed(one, outcome, now) for one in mine))
    late = next((one for one in reversed(known) if one.claimed_by == holder), None)
    if late is None or late.outcome is not RetrainOutcome.FAILED or outcome is RetrainOutcome.FAILED:
        return Change(lease=lease)
    return Change(episodes=(late.replace(outcome=outcome),), lease=lease)


def reset_in(known: Sequence[Episode], *, actor: str) -> tuple[Episode, ...]:
    """Return every closed episode that was not forgiven yet, forgiven now."""
    return tuple(
        one.replace(forgiven_by=actor)
        for one in known
        if one.state is EpisodeState.CLOSED and one.forgiven_by is None
    )


def _closed(episode: Episode, outcome: RetrainOutcome, now: datetime) -> Episode:
    return episode.replace(state=EpisodeState.CLOSED, outcome=outcome, closed_at=now)
