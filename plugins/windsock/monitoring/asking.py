"""What asks for a retrain: judged windows, or an event from outside; what holds it back comes after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from windsock.monitoring.performance_checks import LOSS
from windsock.records import (
    BetterThanBroken,
    Episode,
    EpisodeState,
    Span,
    Status,
    WindowKind,
    WindowVerdict,
)
from windsock.records.retraining import answered_until, open_episode
from windsock.records.stretches import judged_until
from windsock.spec import RetrainBlock, digest_of

JUDGED = frozenset({Status.PASS, Status.FAIL})
KINDS: tuple[WindowKind, ...] = ("performance", "drift")
"""A loss before drift: what is known to do harm goes before what may be harmless."""
LOOK_BACK = 20
"""A judged window counts for so many times the N windows; what is older says nothing about now."""


class Asked(NamedTuple):
    """What asks for a retrain, or why nothing does."""

    episode: Episode | None
    reason: str
    again: bool = False
    """Whether a loss is not won back yet, and the next retrain is only tried with far more rows."""


def look_back(policy: RetrainBlock, window_length: timedelta) -> timedelta:
    """Return how far back a judged window may lie and still count."""
    return LOOK_BACK * policy.of * window_length


class Case(NamedTuple):
    """What the policy is applied to, but for the windows."""

    model: str
    policy: RetrainBlock
    now: datetime
    digest: str
    length: timedelta
    episodes: Sequence[Episode]
    metric: str | None = None
    lost: BetterThanBroken | None = None


def event_key(event_id: str) -> str:
    """Return the key of the episode that an event from outside opens."""
    return f"event-{digest_of(event_id)[:24]}"


def event_asks(case: Case, event_id: str) -> Asked:
    """Return what an event from outside asks."""
    key = event_key(event_id)
    same = next((one for one in case.episodes if one.key == key), None)
    if same is not None and same.state is not EpisodeState.ANNOUNCED:
        return Asked(None, standing_of(same))
    span = Span(start=case.now - case.length, end=case.now)
    opened = same or Episode(
        model=case.model, key=key, digest=case.digest, trigger="event", span=span, opened_at=case.now
    )
    return Asked(opened, "an event from outside asks for a retrain")


def windows_ask(case: Case, windows: Sequence[WindowVerdict]) -> list[Asked]:
    """Return what asks, a loss before drift: what is known to do harm goes before what may be harmless."""
    standing = open_episode(case.episodes)
    if standing is not None and standing.state is EpisodeState.CLAIMED:
        return [Asked(None, standing_of(standing))]
    if standing is not None and standing.digest == case.digest:
        return [Asked(standing, f"episode {standing.key} is announced and not claimed yet")]
    counted = count_windows(case, windows)
    asks = {
        kind: _stretch_asks(case, kind, [one for one in counted if one.kind == kind])
        for kind in KINDS
        if kind in case.policy.triggers
    }
    if "performance" in asks and asks["performance"].episode is None:
        asks["performance"] = _not_won_back(case, windows) or asks["performance"]
    return list(asks.values())


def _not_won_back(case: Case, windows: Sequence[WindowVerdict]) -> Asked | None:
    """Return what asks where no window of a version that only beat a broken champion has passed.

    Its windows may say neither, as its labels are too few to tell a loss of the limit. More rows since the
    onset may make a better one. What passed before it serves is no recovery: the same bundle may have served
    when all was well, and be back.
    """
    if case.lost is None:
        return None
    after = answered_until(case.episodes, case.now)
    own = [one for one in windows if one.kind == "performance" and one.digest == case.digest]
    seen = [one for one in own if (after or one.window.start) < one.window.end <= case.now]
    since = case.lost.serves_since
    if not seen or any(one.status is Status.PASS and judged_until(one) > since for one in own):
        return None
    latest = max(seen, key=lambda one: one.window.end)
    key = f"{case.digest[:12]}-{latest.window.start.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    if any(one.key == key for one in case.episodes):
        return None
    opened = Episode(
        model=case.model,
        key=key,
        digest=case.digest,
        trigger="performance",
        span=latest.window,
        opened_at=case.now,
        loss=latest.numbers.get(f"{LOSS}:{case.metric}"),
    )
    told = "performance: the version that serves only beat a broken champion, and no window has passed since"
    return Asked(opened, told, again=True)


def count_windows(case: Case, windows: Sequence[WindowVerdict]) -> list[WindowVerdict]:
    """Return the windows that count, in order of what they know, one for each kind and look-back.

    A window counts if it was judged ``pass`` or ``fail`` against the bundle that serves, is as long as
    windows are now, has ended by now, and ended after the last retrain did. Verdicts about the same answers
    are one piece of evidence, that of the latest window: labels that come late are seen by several.
    """
    after = answered_until(case.episodes, case.now)
    oldest = case.now - look_back(case.policy, case.length)
    oldest = max(oldest, after) if after is not None else oldest
    latest: dict[tuple[str, datetime], WindowVerdict] = {}
    for one in sorted(windows, key=lambda one: one.judged_at):
        if (
            one.status in JUDGED
            and one.digest == case.digest
            and one.window.end - one.window.start == case.length
            and oldest < one.window.end <= case.now
        ):
            known = latest.get((one.kind, judged_until(one)))
            if known is None or known.window.end <= one.window.end:
                latest[(one.kind, judged_until(one))] = one
    return sorted(latest.values(), key=lambda one: (judged_until(one), one.window.end))


def _stretch_asks(case: Case, kind: WindowKind, counted: Sequence[WindowVerdict]) -> Asked:
    needed, of = case.policy.windows, case.policy.of
    last = counted[-of:]
    bad = [one for one in last if one.status is Status.FAIL]
    told = f"{kind}: {_bad_of(len(bad), len(last))}"
    asks = f"a retrain needs {needed} bad of {of}, the latest among them"
    if len(bad) < needed or last[-1].status is not Status.FAIL:
        return Asked(None, f"{told}; {asks if of > 1 else 'a retrain needs a bad one'}")
    key = f"{case.digest[:12]}-{bad[0].window.start.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    if (same := next((one for one in case.episodes if one.key == key), None)) is not None:
        return Asked(None, standing_of(same))
    opened = Episode(
        model=case.model,
        key=key,
        digest=case.digest,
        trigger=kind,
        span=Span(start=bad[0].window.start, end=bad[-1].window.end),
        opened_at=case.now,
        loss=bad[-1].numbers.get(f"{LOSS}:{case.metric}"),
    )
    latest = ", the latest among them" if len(last) > 1 else ""
    return Asked(opened, f"{told}{latest}; a retrain needs {needed} of {of}")


def _bad_of(bad: int, judged: int) -> str:
    """Return how many of the last judged windows are bad, in words that are true of none and of one, too."""
    if not judged:
        return "no judged window counts yet"
    if judged == 1:
        return f"the only judged window that counts is {'bad' if bad else 'good'}"
    if not bad:
        return f"none of the last {judged} judged windows is bad"
    return f"{bad} of the last {judged} judged windows {'is' if bad == 1 else 'are'} bad"


def standing_of(episode: Episode) -> str:
    """Return what became of an episode, in words."""
    if episode.state is EpisodeState.CLAIMED:
        return f"{episode.claimed_by} retrains for episode {episode.key}"
    ended = episode.outcome.value if episode.outcome else "closed"
    return f"WS-MONITORING-055: episode {episode.key} is closed: {ended}"
