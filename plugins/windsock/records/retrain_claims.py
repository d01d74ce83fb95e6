"""Rules of a claim on a model: who may retrain it now, for how long, and how the claim ends; all are pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from windsock.records.base import Span
from windsock.records.episodes import Episode, EpisodeState, RetrainClaim, RetrainOutcome
from windsock.records.retraining import LEASE, Change, Lease, closed_as, hold_of, open_episode, sweep_in
from windsock.records.training import PairedDifference
from windsock.spec.durations import parse_duration
from windsock.spec.monitoring import MonitoringBlock, RetrainBlock

LATEST_LABELS = timedelta(days=90)
"""Labels that come later than this tell of no onset any more."""


def claim_in(
    known: Sequence[Episode],
    lease: Lease | None,
    *,
    model: str,
    policy: MonitoringBlock,
    episode_key: str | None,
    holder: str,
    now: datetime,
) -> tuple[RetrainClaim, Change]:
    """Claim a model for one retrain, and an episode with it; return the answer, and what to write.

    :param known: the model's episodes in the order in which they were opened.
    :param lease: who has the model; one that has run out counts no more.
    """
    if lease is not None and lease.holder == holder:
        claim, change = _granted(model, policy, known, _own(known, lease), lease.claimed_at, holder, now)
        return claim, change.replace(lease=lease.held_until(now + LEASE, now))
    swept = sweep_in(known, lease, digest=None, now=now)
    rows = {one.key: one for one in [*known, *swept.episodes]}
    episode = rows.get(episode_key) if episode_key is not None else None
    reason = _refusal(tuple(rows.values()), swept.lease, policy.retrain, episode_key, holder, now)
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
    claim, change = _granted(model, policy, known, episode, begun, holder, now)
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
    if episode.state is EpisodeState.CLAIMED and episode.claimed_by != holder:
        return f"WS-MONITORING-055: episode {episode_key} is claimed by {episode.claimed_by}"
    if episode.state is not EpisodeState.ANNOUNCED:
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
    policy: MonitoringBlock,
    known: Sequence[Episode],
    episode: Episode | None,
    begun: datetime,
    holder: str,
    now: datetime,
) -> tuple[RetrainClaim, Change]:
    rows = rows_of(policy, known, episode, begun)
    claim = RetrainClaim(
        model=model,
        granted=True,
        reason=f"episode {episode.key}" if episode else "no other retrain runs",
        holder=holder,
        episode=episode,
        recent=rows.recent,
        onset=rows.onset,
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


class ClaimedRows(NamedTuple):
    """Which rows of the prediction log a retrain learns from, and is judged on.

    :param recent: the stretch whose labelled rows are mixed in; ``None``: no episode asks for any.
    :param onset: since when the world is another one; ``None``: no row is marked.
    """

    recent: Span | None = None
    onset: datetime | None = None


def claimed_rows(policy: MonitoringBlock, known: Sequence[Episode], lease: Lease) -> ClaimedRows:
    """Return the rows that the holder of a lease has by its kept episode.

    :param known: the model's episodes.
    """
    return rows_of(policy, known, _own(known, lease), lease.claimed_at)


def _own(known: Sequence[Episode], lease: Lease) -> Episode | None:
    return next((one for one in known if one.key == lease.episode_key), None)


def rows_of(
    policy: MonitoringBlock, known: Sequence[Episode], episode: Episode | None, begun: datetime
) -> ClaimedRows:
    """Return the rows of a retrain: back from its claim, over its windows and all since the onset.

    :param known: the model's episodes.
    :param episode: that it is for; without one it learns from the source alone.
    :param begun: when it was claimed.
    """
    if episode is None:
        return ClaimedRows()
    onset = possible_onset(policy, known, episode, begun)
    start = min(begun - parse_duration(policy.retrain.recent), episode.span.start, onset or begun)
    return ClaimedRows(Span(start=start, end=max(begun, episode.span.end)), onset)


def possible_onset(
    policy: MonitoringBlock, known: Sequence[Episode], episode: Episode, begun: datetime
) -> datetime | None:
    """Return an episode's onset, or the start of its windows where it cannot have been then.

    It is searched for in as much before the first bad window's answers as these are, and never after the
    windows. Performance is judged by answers that are as old as labels are late. Later tries of a stretch
    keep the onset of the first one.

    :param known: the model's episodes.
    :param begun: when it was claimed.
    """
    onset = episode.onset
    if onset is None:
        return None
    alike = [one for one in known if (one.trigger, one.onset) == (episode.trigger, onset)]
    first = min(one.span.start for one in [*alike, episode])
    latest = min(begun, episode.span.end)
    searched = 2 * max(parse_duration(policy.performance.window), policy.window_length)
    if episode.trigger == "performance":
        searched += LATEST_LABELS
    if first - searched <= onset <= latest:
        return onset
    return min(episode.span.start, latest)


def renew_in(lease: Lease | None, *, holder: str, until: datetime, now: datetime) -> Change | None:
    """Let a holder that will give no sign of life for long keep its claim; ``None``: it has none.

    :param until: when it is to be given up for lost; an earlier time than there is changes nothing.
    """
    if lease is None or lease.holder != holder:
        return None
    return Change(lease=lease.held_until(until, now))


def close_in(
    known: Sequence[Episode],
    lease: Lease | None,
    *,
    holder: str,
    outcome: RetrainOutcome,
    now: datetime,
    difference: PairedDifference | None = None,
) -> Change:
    """Give a claim back and close its episode.

    The outcome of a run that was given up for lost is kept when it comes to its end after all; so is that of
    one whose lease is gone from the database.

    :param difference: of its version to the champion, where the gate kept or refused it.
    """
    if lease is not None and lease.holder == holder:
        mine = [one for one in known if one.key == lease.episode_key and one.state is EpisodeState.CLAIMED]
        return Change(
            episodes=tuple(closed_as(one, outcome, now).replace(difference=difference) for one in mine)
        )
    late = next((one for one in reversed(known) if one.claimed_by == holder), None)
    if late is not None and late.state is EpisodeState.CLAIMED:
        return Change(episodes=(closed_as(late, outcome, now).replace(difference=difference),), lease=lease)
    if late is None or late.outcome is not RetrainOutcome.FAILED or outcome is RetrainOutcome.FAILED:
        return Change(lease=lease)
    return Change(episodes=(late.replace(outcome=outcome, difference=difference),), lease=lease)


def reset_in(known: Sequence[Episode], *, actor: str) -> tuple[Episode, ...]:
    """Return every closed episode that was not forgiven yet, forgiven now."""
    return tuple(
        one.replace(forgiven_by=actor)
        for one in known
        if one.state is EpisodeState.CLOSED and one.forgiven_by is None
    )
