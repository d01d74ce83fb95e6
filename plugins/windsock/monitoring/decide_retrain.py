"""``decide_retrain``: whether what was seen asks for a retrain, and the policy allows one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from windsock.monitoring.asking import (
    KINDS,
    Asked,
    Case,
    count_windows,
    event_asks,
    look_back,
    standing_of,
    windows_ask,
)
from windsock.monitoring.breaker_text import tried_text
from windsock.monitoring.retrain_end import ended_retrains
from windsock.monitoring.retrain_rows import Ready, RetrainRows
from windsock.monitoring.undated import undated_text
from windsock.ports import Ports
from windsock.records import (
    BetterThanBroken,
    DecideRetrainInput,
    Episode,
    EpisodeState,
    LedgerAction,
    LedgerRow,
    RetrainDecision,
    RetrainOrder,
    RetrainOutcome,
    Status,
    WindowKind,
    WindowVerdict,
)
from windsock.records.accepted_drift import accepted_ahead, accepted_until, is_accepted
from windsock.records.baseline import better_than_broken_of
from windsock.records.retraining import Hold, hold_of, is_of, open_breakers
from windsock.spec import RetrainBlock

log = logging.getLogger(__name__)

LEFT_CODE = "WS-MONITORING-104"
WAITING_CODE = "WS-MONITORING-119"
AHEAD_CODE = "WS-MONITORING-101"


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
    return decision.replace(order=RetrainOrder.WAIT, episode=None, reason=standing_of(stands))


def weigh(step: DecideRetrainInput, ports: Ports) -> RetrainDecision:
    """Return what the policy says by now; nothing is announced and nothing is closed.

    :raises WindsockError: as :func:`decide_retrain`.
    """
    name, monitoring, now = step.spec.name, step.spec.monitoring, ports.now()
    champion = ports.ledger.champion(name)
    since = now - look_back(monitoring.retrain, monitoring.window_length)
    accepted = accepted_until(ports.ledger.rows(name), champion.digest if champion else None, now)
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
    decision = decide(
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
        lost=better_than_broken_of(ports.ledger.rows(name)),
        cures={kind: undated_text(step.spec, kind, windows) for kind in KINDS},
    )
    if (early := accepted_ahead(ports.ledger.rows(name), now)) is not None:
        decision = decision.replace(reason=f"{decision.reason}; {_ahead(early)}")
    if champion is None or not decision.stopped:
        return decision
    return decision.replace(tried=tried_text(episodes, champion.digest, decision.stopped))


def _ahead(row: LedgerRow) -> str:
    what = "a loss" if row.action is LedgerAction.ACCEPT_LOSS else "drift"
    return (
        f"{AHEAD_CODE}: row {row.seq} of the ledger accepts {what} of windows that lie in the future, by a "
        "clock that was ahead, and mutes nothing: accept it again while a window fails"
    )


def sweep_episodes(ports: Ports, model: str, digest: str | None, now: datetime) -> None:
    """Close what nobody will close, and learn from the ledger what became of the versions that waited.

    :param digest: bundle that serves; ``None``: none does.
    """
    rows = ports.ledger.rows(model)
    waited = any(one.outcome is RetrainOutcome.QUEUED for one in ports.monitor.episodes(model))
    ended = ended_retrains(rows) if waited else {}
    accepted = accepted_until(rows, digest, now)
    lease = ports.monitor.lease(model)
    swept = ports.monitor.sweep(model, digest=digest, now=now, ended=ended, accepted_until=accepted)
    for one in swept:
        if one.outcome is RetrainOutcome.FAILED and not is_of(lease, one):
            log.warning(
                "%s: %s: episode %s was claimed by %s at %s, and the control database has no lease of it: "
                "the row was lost or edited; it is closed as failed, so that retrains go on",
                LEFT_CODE,
                model,
                one.key,
                one.claimed_by,
                one.claimed_at,
            )


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
    rows: Callable[..., Ready] | None = None,
    metric: str | None = None,
    lost: BetterThanBroken | None = None,
    cures: Mapping[WindowKind, str] | None = None,
) -> RetrainDecision:
    """Say whether a retrain is announced: granted, waited for, or held back.

    :param windows: judged windows, in any order, doubled or not.
    :param episodes: the model's episodes in the order in which they were opened.
    :param champion_digest: bundle that serves; ``None``: none does.
    :param event_id: id of an event from outside that asks; ``None``: the windows ask.
    :param rows: completes a new episode, and says which rows its retrain waits for; ``None``: for none.
    :param metric: whose loss counts.
    :param lost: how the version that serves came to, where it only beat a broken champion.
    :param cures: by kind, what would tell a pattern from trouble: said while its windows are bad.
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
    case = Case(model, policy, now, champion_digest, window_length, episodes, metric, lost)
    asked = windows_ask(case, windows) if event_id is None else [event_asks(case, event_id)]
    # A breaker stays in sight until it is reset, also while nothing asks.
    stopped = open_breakers(episodes, policy, champion_digest)
    answered = _answered(case, asked, rows or Ready)
    told = [str(answered["reason"]), *_cures(case, windows, stopped, cures or {})]
    return decided.replace(**{**answered, "reason": "; ".join(told)}, breaker=bool(stopped), stopped=stopped)


def _cures(
    case: Case, windows: Sequence[WindowVerdict], stopped: Sequence[str], cures: Mapping[WindowKind, str]
) -> list[str]:
    """Return what would tell a pattern from trouble, where windows are bad or a breaker is open."""
    counted = count_windows(case, windows)
    told = []
    for kind, cure in cures.items():
        last = [one for one in counted if one.kind == kind][-case.policy.of :]
        if cure and (kind in stopped or any(one.status is Status.FAIL for one in last)):
            told.append(cure)
    return told


def _answered(case: Case, asked: Sequence[Asked], rows: Callable[..., Ready]) -> dict[str, object]:
    """Return the order: the first that asks, is not held back and has its rows is granted.

    While rows come that a loss waits for, nothing else is granted: it would spend cooldown and budget.

    :param asked: the most important first.
    """
    told, ends, waits = [], [], []
    for one in asked:
        if one.episode is None:
            continue
        find = partial(rows, again=True) if one.again else rows
        ready, hold = None, _held(case, one.episode)
        if hold is not None and hold.breaker and one.episode.trigger == "performance":
            ready = find(one.episode)  # a breaker lets one more through once there are far more rows
            hold = _held(case, ready.episode)
        if hold is not None:
            told.append(f"{one.reason}; {hold.reason}")
            ends += [hold.not_before] if hold.not_before is not None else []
            continue
        ready = ready or find(one.episode)
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
