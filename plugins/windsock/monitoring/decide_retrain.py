"""``decide_retrain``: whether what was seen asks for a retrain, and the policy allows one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from windsock.monitoring.performance_checks import LOSS
from windsock.monitoring.retrain_rows import Ready, RetrainRows
from windsock.ports import Ports
from windsock.records import (
    DecideRetrainInput,
    Episode,
    EpisodeState,
    RetrainDecision,
    RetrainOrder,
    RetrainOutcome,
    Span,
    Status,
    WindowVerdict,
    retrains_by_rollout,
)
from windsock.records.accepted_drift import accepted_until, is_accepted
from windsock.records.retraining import Hold, answered_until, hold_of, open_breakers, open_episode
from windsock.records.stretches import judged_until
from windsock.spec import RetrainBlock, digest_of

JUDGED = frozenset({Status.PASS, Status.FAIL})
WAITING_CODE = "WS-MONITORING-119"
LOOK_BACK = 20
"""A judged window counts for so many times the N windows; what is older says nothing about now."""


class Asked(NamedTuple):
    """What asks for a retrain, or why nothing does."""

    episode: Episode | None
    reason: str


def decide_retrain(step: DecideRetrainInput, ports: Ports, key: str) -> RetrainDecision:
    """Apply the trigger policy to the judged windows, or to an event from outside, and announce the episode.

    A new episode knows since when the world is another one, and waits until there are enough labelled answers
    since then. An episode that was announced and not claimed is announced again, under the same key: its
    event may have been lost. What nobody will close is closed first. While windows wait for their verdict the
    windows ask for nothing: the later ones may say that all is well again.

    :raises DatabaseUnavailableError: if the control database does not answer.
    :raises WindsockError: if a new episode's rows are not known: log, labels or bundle cannot be read.
    """
    champion = ports.ledger.champion(step.spec.name)
    sweep_episodes(ports, step.spec.name, champion.digest if champion else None, ports.now())
    decision = weigh(step, ports)
    if step.waiting and step.event_id is None:
        windows = f"{step.waiting:,} closed windows still wait for a verdict"
        return decision.replace(
            order=RetrainOrder.WAIT,
            episode=None,
            waits_for=None,
            not_before=None,
            reason=f"{WAITING_CODE} {windows}; a retrain is decided on once they are judged",
        )
    if decision.order is not RetrainOrder.GRANT or decision.episode is None:
        return decision
    stands = ports.monitor.announce(decision.episode)
    if stands.state is EpisodeState.ANNOUNCED:
        return decision.replace(episode=stands)
    return decision.replace(order=RetrainOrder.WAIT, episode=None, reason=_standing(stands))


def weigh(step: DecideRetrainInput, ports: Ports) -> RetrainDecision:
    """Return what the policy says by now; nothing is announced and nothing is closed.

    :raises WindsockError: as :func:`decide_retrain`.
    """
    name, monitoring, now = step.spec.name, step.spec.monitoring, ports.now()
    champion = ports.ledger.champion(name)
    since = now - look_back(monitoring.retrain, monitoring.window_length)
    accepted = accepted_until(ports.ledger.rows(name), champion.digest if champion else None)
    windows = [one for one in ports.monitor.windows(name, since=since) if not is_accepted(one, accepted)]
    episodes = ports.monitor.episodes(name)
    rows = None
    if champion is not None:
        rows = RetrainRows(
            spec=step.spec,
            ports=ports,
            champion=champion,
            windows=windows,
            episodes=episodes,
            now=now,
            accepted_until=accepted,
        )
    return decide(
        windows,
        episodes,
        monitoring.retrain,
        now,
        champion.digest if champion else None,
        monitoring.window_length,
        model=name,
        event_id=step.event_id,
        rows=rows,
        metric=step.spec.metric,
    )


def sweep_episodes(ports: Ports, model: str, digest: str | None, now: datetime) -> None:
    """Close what nobody will close, and learn from the ledger what became of the versions that waited.

    :param digest: bundle that serves; ``None``: none does.
    """
    rows = ports.ledger.rows(model)
    waited = any(one.outcome is RetrainOutcome.QUEUED for one in ports.monitor.episodes(model))
    ended = retrains_by_rollout(rows) if waited else {}
    accepted = accepted_until(rows, digest)
    ports.monitor.sweep(model, digest=digest, now=now, ended=ended, accepted_until=accepted)


def look_back(policy: RetrainBlock, window_length: timedelta) -> timedelta:
    """Return how far back a judged window may lie and still count."""
    return LOOK_BACK * policy.of * window_length


def decide(
    windows: Sequence[WindowVerdict],
    episodes: Sequence[Episode],
    policy: RetrainBlock,
    now: datetime,
    champion_digest: str | None,
    window_length: timedelta,
    *,
    model: str,
    event_id: str | None = None,
    rows: Callable[[Episode], Ready] | None = None,
    metric: str | None = None,
) -> RetrainDecision:
    """Say whether a retrain is announced: granted, waited for, or held back.

    :param windows: judged windows, in any order, doubled or not.
    :param episodes: the model's episodes in the order in which they were opened.
    :param champion_digest: bundle that serves; ``None``: none does.
    :param event_id: id of an event from outside that asks; ``None``: the windows ask.
    :param rows: completes a new episode, and says which rows its retrain waits for; ``None``: for none.
    :param metric: whose loss counts.
    """
    decided = RetrainDecision(
        model=model,
        order=RetrainOrder.WAIT,
        reason="no version serves, so nothing can have drifted from it",
        decided_at=now,
    )
    if champion_digest is None:
        return decided
    if not policy.triggers:
        return decided.replace(reason="the policy lets nothing ask for a retrain")
    case = Case(model, policy, now, champion_digest, window_length, episodes, metric)
    asked = _windows_ask(case, windows) if event_id is None else [_event_asks(case, event_id)]
    # A breaker stays in sight until it is reset, also while nothing asks.
    stopped = open_breakers(episodes, policy, champion_digest)
    return decided.replace(**_answered(case, asked, rows or Ready), breaker=bool(stopped), stopped=stopped)


def _answered(case: Case, asked: Sequence[Asked], rows: Callable[[Episode], Ready]) -> dict[str, object]:
    """Return the order: the first that asks, is not held back and has its rows is granted.

    While rows come that a loss waits for, nothing else is granted: it would spend cooldown and budget.

    :param asked: the most important first.
    """
    told, ends, waits = [], [], []
    for one in asked:
        if one.episode is None:
            continue
        ready, hold = None, _held(case, one.episode)
        if hold is not None and hold.breaker and one.episode.trigger == "performance":
            ready = rows(one.episode)  # a breaker lets one more through once there are far more rows
            hold = _held(case, ready.episode)
        if hold is not None:
            told.append(f"{one.reason}; {hold.reason}")
            ends += [hold.not_before] if hold.not_before is not None else []
            continue
        ready = ready or rows(one.episode)
        if ready.waits_for is None:
            return {"order": RetrainOrder.GRANT, "episode": ready.episode, "reason": one.reason}
        told.append(f"{one.reason}; {ready.told}")
        waits.append(ready.waits_for)
        if ready.waits_for.expected_at is not None:
            break
    if not told:
        return {"reason": "; ".join(one.reason for one in asked)}
    if waits:
        return {"reason": "; ".join(told), "waits_for": waits[0]}
    return {"order": RetrainOrder.HOLD, "reason": "; ".join(told), "not_before": min(ends, default=None)}


def _held(case: Case, episode: Episode) -> Hold | None:
    return hold_of(
        case.episodes,
        case.policy,
        digest=case.digest,
        now=case.now,
        trigger=episode.trigger,
        loss=episode.loss,
        rows=episode.rows,
    )


class Case(NamedTuple):
    """What the policy is applied to, but for the windows."""

    model: str
    policy: RetrainBlock
    now: datetime
    digest: str
    length: timedelta
    episodes: Sequence[Episode]
    metric: str | None = None


def event_key(event_id: str) -> str:
    """Return the key of the episode that an event from outside opens."""
    return f"event-{digest_of(event_id)[:24]}"


def _event_asks(case: Case, event_id: str) -> Asked:
    key = event_key(event_id)
    same = next((one for one in case.episodes if one.key == key), None)
    if same is not None and same.state is not EpisodeState.ANNOUNCED:
        return Asked(None, _standing(same))
    span = Span(start=case.now - case.length, end=case.now)
    opened = same or Episode(
        model=case.model, key=key, digest=case.digest, trigger="event", span=span, opened_at=case.now
    )
    return Asked(opened, "an event from outside asks for a retrain")


def _windows_ask(case: Case, windows: Sequence[WindowVerdict]) -> list[Asked]:
    """Return what asks, a loss before drift: what is known to do harm goes before what may be harmless."""
    standing = open_episode(case.episodes)
    if standing is not None and standing.state is EpisodeState.CLAIMED:
        return [Asked(None, _standing(standing))]
    if standing is not None and standing.digest == case.digest:
        return [Asked(standing, f"episode {standing.key} is announced and not claimed yet")]
    counted = count_windows(case, windows)
    kinds: tuple[Literal["performance", "drift"], ...] = ("performance", "drift")
    return [
        _stretch_asks(case, kind, [one for one in counted if one.kind == kind])
        for kind in kinds
        if kind in case.policy.triggers
    ]


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


def _stretch_asks(
    case: Case, kind: Literal["drift", "performance"], counted: Sequence[WindowVerdict]
) -> Asked:
    needed, of = case.policy.windows, case.policy.of
    last = counted[-of:]
    bad = [one for one in last if one.status is Status.FAIL]
    told = f"{kind}: {len(bad)} of the last {len(last)} judged windows are bad"
    if len(bad) < needed or last[-1].status is not Status.FAIL:
        return Asked(None, f"{told}; a retrain needs {needed} bad ones of {of}, the latest among them")
    key = f"{case.digest[:12]}-{bad[0].window.start.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    if (same := next((one for one in case.episodes if one.key == key), None)) is not None:
        return Asked(None, _standing(same))
    opened = Episode(
        model=case.model,
        key=key,
        digest=case.digest,
        trigger=kind,
        span=Span(start=bad[0].window.start, end=bad[-1].window.end),
        opened_at=case.now,
        loss=bad[-1].numbers.get(f"{LOSS}:{case.metric}"),
    )
    return Asked(opened, f"{told}, the latest among them; the limit is {needed} of {of}")


def _standing(episode: Episode) -> str:
    if episode.state is EpisodeState.CLAIMED:
        return f"{episode.claimed_by} retrains for episode {episode.key}"
    ended = episode.outcome.value if episode.outcome else "closed"
    return f"WS-MONITORING-055: episode {episode.key} is closed: {ended}"
