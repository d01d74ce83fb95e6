"""What of a model's loop has stopped: events nobody took, claims nobody has, windows nobody judges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from windsock.records import (
    Alert,
    Champion,
    Episode,
    EpisodeState,
    LedgerRow,
    LedgerView,
    OpenQuestion,
    Rollout,
    RolloutDecision,
    RouteState,
    RunFacts,
    Severity,
    Span,
    WindowKind,
    WindowVerdict,
    last_routing_row,
    live_since,
    open_switch,
)
from windsock.records.alerts import Condition, is_ahead
from windsock.records.retraining import LEASE, Lease, open_episode
from windsock.records.rollout_attention import most_between, unattended_since
from windsock.spec import ModelSpec
from windsock.watchdog.finding import finding

HEARTBEAT = timedelta(minutes=2)
"""How often the watchdog looks."""
TRIES = 2
EVENT_TIME = timedelta(minutes=10)
"""So long an announced episode may wait: after five minutes the watchdog has it announced once more."""
SWITCH_TIME = timedelta(minutes=5)
"""So long a change of traffic may take from its row in the ledger until server and registry have followed."""
MIRROR_TIME = timedelta(minutes=15)
QUESTION_ENDS = timedelta(hours=12)
"""So long before its end an unanswered question is a finding."""
WINDOWS_BEHIND = 2
MOST_SPANS = 200


def minutes(span: timedelta) -> str:
    """Return a length for people: ``7 min``, ``3.5 h`` or ``2.1 d``."""
    whole = span / timedelta(minutes=1)
    if whole < 90:
        return f"{whole:,.0f} min"
    return f"{whole / 60:,.1f} h" if whole < 48 * 60 else f"{whole / 1440:,.1f} d"


def at(moment: datetime) -> str:
    """Return a time for people."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def episode_condition(
    model: str,
    episodes: Sequence[Episode],
    lease: Lease | None,
    now: datetime,
    *,
    is_blocked: bool,
    is_silent: bool = False,
) -> Condition:
    """Return whether an episode was announced and no run took it.

    :param is_blocked: whether its DAG is off or missing, which is a finding of its own.
    :param is_silent: whether the monitor is, which would announce it again: no run of it starts then.
    """
    episode = open_episode(episodes)
    limit = EVENT_TIME
    held = lease is not None and not lease.is_over(now)
    waits = now - episode.opened_at if episode is not None else timedelta(0)
    active = (
        episode is not None
        and episode.state is EpisodeState.ANNOUNCED
        and waits > limit
        and not held
        and not is_blocked
    )
    first = f"`windsock models on {model}` switches {model}__monitor on, without which no run of it starts; "
    first = f"{first}then " if is_silent else ""
    text = f"No announced episode of {model} waits for a run."
    if active and episode is not None:
        text = (
            f"Episode {episode.key} asks for a retrain ({episode.trigger}) since {at(episode.opened_at)}, "
            f"{minutes(waits)} ago, limit: {minutes(limit)}; no run of {model}__drift_retrain has claimed it."
        )
    return Condition(
        key="watch:event",
        active=active,
        severity=Severity.HIGH,
        title=f"{model}: nobody took the event of a retrain",
        text=text,
        episode=episode.key if active and episode is not None else None,
        code="WS-WATCH-015",
        next_action=f"{first}trigger {model}__monitor in Airflow: it announces the episode again. If no run "
        f"of {model}__drift_retrain follows, trigger {model}__daily_retrain"
        if active
        else "",
    )


def claim_condition(model: str, lease: Lease | None, run: RunFacts | None, now: datetime) -> Condition | None:
    """Return whether a model is claimed by a run that is gone; ``None``: nobody knows of the run.

    :param run: what Airflow says of the holder; ``None``: it was not asked.
    """
    held = lease is not None and not lease.is_over(now)
    if held and (run is None or run.unknown):
        return None
    active = bool(
        lease is not None
        and held
        and run is not None
        and run.is_over
        and now - (lease.seen_at or lease.claimed_at) > TRIES * HEARTBEAT
    )
    text = f"No claim of {model} is held by a run that is gone."
    if active and lease is not None and run is not None:
        what = f"has ended ({run.state})" if run.state else "is not there any more"
        text = (
            f"{lease.holder} has {model} claimed since {at(lease.claimed_at)} and {what}: no other retrain "
            f"starts before {at(lease.until)}."
        )
    return Condition(
        key="watch:claim",
        active=active,
        severity=Severity.HIGH if lease is not None and lease.episode_key else Severity.MEDIUM,
        title=f"{model}: a run that is gone has the claim",
        text=text,
        episode=lease.episode_key if active and lease is not None else None,
        code="WS-WATCH-016",
        next_action=f"`windsock ledger reconcile {model} --end-claim --reason 'its run is gone'`"
        if active
        else "",
    )


def unjudged_spans(
    spec: ModelSpec,
    judged: Sequence[WindowVerdict],
    rows: Sequence[LedgerRow],
    now: datetime,
) -> tuple[Span, ...]:
    """Return the windows that should have had their verdict by now, the oldest first.

    A window may take until two more have closed. Verdicts do not come in order: a window without rows has its
    own from the watchdog, also behind one with rows that the monitor has not judged. Whether they have rows
    is not known here.
    """
    block, since = spec.monitoring, live_since(rows)
    if not block.is_on or since is None:
        return ()
    length = block.window_length
    last = block.window_end(now) - WINDOWS_BEHIND * length
    asked: tuple[tuple[WindowKind, bool], ...] = (
        ("drift", block.data_drift),
        ("performance", block.performance_tracking),
    )
    kinds = [kind for kind, is_on in asked if is_on]
    made = [[one.window for one in judged if one.kind == kind and one.judged_at <= now] for kind in kinds]
    first = max(min((min((one.end for one in of), default=since) for of in made), default=last), since)
    count = min(max(0, int((last - first) / length)), MOST_SPANS)
    closed = (
        Span(start=last - (back + 1) * length, end=last - back * length) for back in range(count - 1, -1, -1)
    )
    return tuple(span for span in closed if not all(_is_covered(span, of) for of in made))


def _is_covered(span: Span, windows: Sequence[Span]) -> bool:
    """Return whether one of the windows holds the middle of a time: a day may have an hour more."""
    middle = span.start + (span.end - span.start) / 2
    return any(one.start <= middle < one.end for one in windows)


def unjudged_condition(spec: ModelSpec, with_rows: Sequence[Span], now: datetime) -> Condition:
    """Return whether windows with rows wait for a verdict for too long.

    :param with_rows: of :func:`unjudged_spans` those in which the log has rows.
    """
    model, block = spec.name, spec.monitoring
    limit = block.lateness_allowance + WINDOWS_BEHIND * block.window_length
    text = f"No window of {model} with rows waits for its verdict for too long."
    if with_rows:
        oldest = with_rows[0].end
        text = (
            f"{len(with_rows):,} windows of {block.window} with rows have no verdict; the oldest ended "
            f"{at(oldest)}, {minutes(now - oldest)} ago, limit: {minutes(limit)} (lateness and two windows)."
        )
    return Condition(
        key="watch:unjudged",
        active=bool(with_rows),
        severity=Severity.HIGH,
        title=f"{model}: windows are not judged",
        text=text,
        code="WS-WATCH-017",
        next_action=f"`windsock monitor {model} --check` judges them now; Airflow does it once "
        f"windsock__watchdog and {model}__monitor are on and run"
        if with_rows
        else "",
    )


def rollout_condition(
    model: str, rollout: Rollout | None, last: RolloutDecision | None, now: datetime
) -> Condition:
    """Return whether nobody looks at the rollout that is under way.

    :param last: its newest decision.
    """
    since = unattended_since(rollout, last, now) if rollout is not None else None
    text = f"No rollout of {model} is left alone."
    if rollout is not None and since is not None:
        text = (
            f"Rollout {rollout.experiment} of {rollout.named} was last looked at {at(since)}, "
            f"{minutes(now - since)} ago, limit: {minutes(most_between(rollout))}; its check is "
            f"{rollout.plan.check}."
        )
    return Condition(
        key="watch:rollout",
        active=since is not None,
        severity=Severity.HIGH,
        title=f"{model}: nobody looks at the rollout",
        text=text,
        episode=rollout.experiment if rollout is not None and since is not None else None,
        code="WS-WATCH-018",
        next_action=f"`windsock rollout judge {model}` looks at it now; Airflow does it once "
        f"windsock__watchdog and {model}__ab_rollout are on and run; `windsock rollout stop {model} "
        "--reason WHY` ends it"
        if since is not None
        else "",
    )


def route_condition(
    model: str, champion: Champion | None, rows: Sequence[LedgerRow], state: RouteState | None, now: datetime
) -> Condition | None:
    """Return whether the server serves another version than the ledger says; ``None``: not to be said now.

    :param state: what the server says; ``None``: it serves nothing for the model.
    """
    last = last_routing_row(rows)
    if last is None or champion is None:
        return None
    if now - last.at <= SWITCH_TIME or open_switch(rows) is not None:
        return None  # it is being changed
    slot = state.plan.champion_slot if state is not None else None
    same = slot is not None and slot.digest == champion.digest
    serves = f"version {slot.version}" if slot is not None else "no version"
    return finding(
        "route",
        "WS-WATCH-020",
        Severity.CRITICAL,
        f"{model}: the server does not serve the champion",
        active=not same,
        wrong=f"The ledger's champion is version {champion.version}, the server serves {serves}.",
        well=f"The server serves the ledger's champion, version {champion.version}.",
        next_action=f"`windsock ledger reconcile {model}` shows the difference; with `--reason WHY` the "
        "server gets the champion",
    )


def bundle_condition(champion: Champion, why: str) -> Condition:
    """Return whether the champion's bundle in the storage root is not what was signed.

    :param why: why not; empty: it is.
    """
    model, version = champion.model, champion.version
    return finding(
        "bundle",
        "WS-WATCH-040",
        Severity.HIGH,
        f"{model}: the champion's bundle is damaged",
        active=bool(why),
        wrong=f"The bundle of version {version}, {champion.bundle_uri}: {why.rstrip('.')}. A server that has "
        "a copy goes on serving; a new one cannot start with it, and no retrain can be compared with it.",
        well=f"The bundle of version {version} is as it was signed.",
        next_action="bring that folder back from the backup, all of its files; without a backup "
        f"`windsock rollback {model} --reason WHY` lets the version before serve, where there is one",
    )


def alias_condition(
    model: str, champion: Champion | None, rows: Sequence[LedgerRow], alias: str, now: datetime
) -> Condition | None:
    """Return whether the registry's alias names another version than the ledger for too long.

    :param alias: the version that MLflow's alias names; empty: there is none.
    """
    last = last_routing_row(rows)
    if champion is None or last is None or now - last.at <= MIRROR_TIME:
        return None
    active = alias != champion.version
    said = f"version {alias}" if alias else "no version"
    return finding(
        "alias",
        "WS-WATCH-023",
        Severity.LOW,
        f"{model}: MLflow's alias differs",
        active=active,
        wrong=f"The ledger's champion is version {champion.version}, MLflow's alias champion names {said}, "
        f"longer than {minutes(MIRROR_TIME)} after the last change; what serves is not touched.",
        well=f"MLflow's alias champion names version {champion.version}, as the ledger does.",
        next_action="trigger windsock__housekeeping in Airflow: it sets the alias as the ledger says",
    )


def pending_condition(model: str, alerts: Sequence[Alert], now: datetime) -> Condition:
    """Return whether an alert is not taken by its channel for longer than two tries."""
    limit = TRIES * HEARTBEAT
    key = "watch:pending"
    waiting = [one for one in alerts if one.pending and one.key != key]
    since = {one.key: _due_since(one) for one in waiting}
    # A time in the future says nothing: that is no reason to be silent about what is not taken.
    unknown = {one.key for one in waiting if is_ahead(since[one.key], now)}
    late = [one for one in waiting if one.key in unknown or now - since[one.key] > limit]
    text = f"No alert of {model} waits for its channel."
    if late:
        oldest = min(since[one.key] for one in late)
        length = f"for {minutes(now - oldest)}" if oldest <= now else f"since {at(oldest)}, which is to come"
        why = next((one.refusal for one in reversed(late) if one.refusal), "")
        text = (
            f"{len(late)} alerts are not taken by their channel, the oldest {length}, "
            f"limit: {minutes(limit)}{f'; {why}' if why else ''}."
        )
    return Condition(
        key=key,
        active=bool(late),
        severity=Severity.HIGH,
        title=f"{model}: alerts do not reach their channel",
        text=text,
        code="WS-WATCH-024",
        next_action="`windsock alerts test` says which channel refuses and why" if late else "",
    )


def _due_since(alert: Alert) -> datetime:
    kept_before = filter(None, (alert.first_at, alert.sent_at, alert.resolved_at))
    return alert.due_at or max(kept_before)


def ledger_condition(model: str, view: LedgerView) -> Condition:
    """Return whether rows of a model's ledger are missing, changed or not the installation's."""
    parts = [
        f"{len(view.gaps)} places where rows are missing or were changed" if view.gaps else "",
        "rows at its end are missing" if view.lost is not None else "",
        f"{len(view.unseen)} rows that the installation did not write" if view.unseen else "",
    ]
    said = "; ".join(filter(None, parts))
    return finding(
        "ledger",
        "WS-WATCH-025",
        Severity.CRITICAL,
        f"{model}: the ledger is broken",
        active=bool(said),
        wrong=f"The ledger of {model} has {said}. What serves goes on serving; no version is promoted.",
        well=f"The ledger of {model} is whole.",
        next_action=f"`windsock ledger {model}` names the rows; find out who wrote to the control database; "
        f"`windsock ledger reconcile {model}` shows what was lost; once a person has seen it, "
        f"`windsock ledger reconcile {model} --reason 'WHAT HAPPENED'` goes on without it",
    )


def until_claim_ends(question: OpenQuestion, lease: Lease | None) -> OpenQuestion:
    """Return a question with the end that its run has told: it keeps its claim while people are asked.

    A run that waits for an answer lets its claim outlast the question by the usual length of a claim. An
    answer that was refused opens the question again and makes it no longer.

    :param lease: who has the model claimed.
    """
    if lease is None or lease.holder.partition("/")[0] != question.task.partition("/")[0]:
        return question
    until = lease.until - LEASE
    is_kept = until > (lease.seen_at or lease.claimed_at)
    return question.replace(until=until) if is_kept else question


def question_condition(model: str, questions: Sequence[OpenQuestion], now: datetime) -> Condition:
    """Return whether a question to people is open beyond its time, or close to its end."""
    late = [one for one in questions if one.until is not None and one.until - now <= QUESTION_ENDS]
    text = f"No question about {model} is close to its end."
    if late:
        first = min(late, key=lambda one: one.until or now)
        until = first.until or now
        when = f"ends {at(until)}, in {minutes(until - now)}" if until > now else f"was over {at(until)}"
        text = (
            f"{len(late)} questions are not answered: {first.about}; it {when}, limit: "
            f"{minutes(QUESTION_ENDS)} before its end. No answer means no."
        )
    return Condition(
        key="watch:question",
        active=bool(late),
        severity=Severity.MEDIUM,
        title=f"{model}: a question waits for an answer",
        text=text,
        code="WS-WATCH-027",
        next_action=f"answer it in Airflow under Required Actions: {late[0].task}" if late else "",
    )
