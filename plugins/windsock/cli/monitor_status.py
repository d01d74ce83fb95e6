"""``windsock monitor NAME``: what is known of a model in production."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from windsock.cli.console import say, table
from windsock.cli.monitor_accept import reference_lines
from windsock.cli.season_lines import status_lines
from windsock.exceptions import WindsockError
from windsock.monitoring.breaker_text import reset_command
from windsock.monitoring.decide_retrain import weigh
from windsock.monitoring.pending_windows import pending_windows
from windsock.monitoring.performance_checks import LOSS
from windsock.monitoring.unjudged import looked_since, unjudged_text
from windsock.ports import Ports
from windsock.records import (
    DecideRetrainInput,
    Episode,
    RetrainOrder,
    Span,
    WindowKind,
    WindowVerdict,
    live_since,
)
from windsock.records.retraining import hold_of, open_episode
from windsock.spec import ModelSpec
from windsock.texts import shortened

KINDS: tuple[WindowKind, ...] = ("drift", "performance")
SHOWN = 6
"""Judged windows that the status shows, of each kind."""
TEXT = 160
HEAD = ("window's end", "kind", "version", "verdict", "severity", "rows", "why")


def waiting(spec: ModelSpec, ports: Ports) -> tuple[Span, ...]:
    """Return the closed windows that lack a verdict, of either kind that is asked for."""
    return pending_windows(
        spec.monitoring,
        ports.monitor.windows(spec.name),
        since=live_since(ports.ledger.rows(spec.name)),
        now=ports.now(),
    )


def show_status(spec: ModelSpec, ports: Ports) -> None:
    """Print what is known."""
    champion = ports.ledger.champion(spec.name)
    serves = f"version {champion.version} serves" if champion else "no version serves"
    windows = waiting(spec, ports)
    say(
        f"{spec.name}: {serves}; windows of {spec.monitoring.window}, {len(windows)} closed without a verdict"
    )
    judged = [one for kind in KINDS for one in ports.monitor.windows(spec.name, kind)[-SHOWN:]]
    judged.sort(key=lambda one: (one.window.end, one.kind))
    if judged:
        for line in table(HEAD, [_row(one) for one in judged], indent=""):
            say(line)
    else:
        say("no window was judged yet")
    for line in (*unjudged_lines(spec, ports), *reference_lines(spec, ports)):
        say(line)
    episodes = ports.monitor.episodes(spec.name)
    opened = open_episode(episodes)
    say(f"open episode: {_told(opened)}" if opened else "open episode: none")
    if closed := [one for one in episodes if one.closed_at is not None]:
        say(f"last closed episode: {_told(closed[-1])}")
    say(policy_line(spec, ports))
    _say_decision(spec, ports)
    _say_alerts(spec, ports)
    for line in status_lines(spec.name, ports):
        say(line)


def status_facts(spec: ModelSpec, ports: Ports) -> dict[str, Any]:
    """Return the status for programs: the same windows and episodes as records."""
    name = spec.name
    episodes = ports.monitor.episodes(name)
    closed = [one for one in episodes if one.closed_at is not None]
    return {
        "model": name,
        "champion": ports.ledger.champion(name),
        "window": spec.monitoring.window,
        "waiting": waiting(spec, ports),
        "judged": {kind: ports.monitor.windows(name, kind)[-SHOWN:] for kind in KINDS},
        "unjudged": list(unjudged_lines(spec, ports)),
        "reference": reference_lines(spec, ports),
        "open_episode": open_episode(episodes),
        "last_closed_episode": closed[-1] if closed else None,
        "policy": policy_line(spec, ports),
        "alerts": ports.monitor.alerts(name, firing=True),
        "training": status_lines(name, ports),
    }


def _say_decision(spec: ModelSpec, ports: Ports) -> None:
    """Say what the next decision will be, where windows ask for a retrain."""
    try:
        decision = weigh(DecideRetrainInput(spec=spec), ports)
    except WindsockError as error:
        say(f"whether a retrain has its rows is not known: {error.code}: {error.message}")
        return
    if decision.order is RetrainOrder.GRANT:
        say(f"next decision: a retrain is announced: {decision.reason}")
    elif decision.waits_for is not None:
        say(f"next decision: {decision.reason}")


def unjudged_lines(spec: ModelSpec, ports: Ports) -> Iterator[str]:
    """Yield why a model has not been judged for long, in the words of its alert."""
    block, champion = spec.monitoring, ports.ledger.champion(spec.name)
    if champion is None:
        return
    watched: dict[WindowKind, bool] = {"drift": block.data_drift, "performance": block.performance_tracking}
    for kind in (kind for kind, is_on in watched.items() if is_on):
        judged = [one for one in ports.monitor.windows(spec.name, kind) if one.digest == champion.digest]
        since = looked_since(block, judged[-1].window.end) if judged else ports.now()
        performance = ports.monitor.windows(spec.name, "performance", since=since)
        row = [one for one in judged if one.window.end > since]
        if told := unjudged_text(spec, row, performance=performance):
            yield told


def _row(one: WindowVerdict) -> tuple[str, ...]:
    rows = one.numbers.get("rows", one.numbers.get("answers"))
    why = " ".join(one.reason.split())
    return (
        f"{one.window.end:%Y-%m-%d %H:%M:%S}",
        one.kind,
        one.version or "-",
        f"{one.status.value} (was {one.earlier[-1].status.value})" if one.earlier else one.status.value,
        one.severity.value,
        "-" if rows is None else f"{rows:,.0f}",
        shortened(why, TEXT),
    )


def _told(episode: Episode) -> str:
    span = f"{episode.span.start:%Y-%m-%d %H:%M} to {episode.span.end:%Y-%m-%d %H:%M}"
    parts = [f"{episode.key}, {episode.trigger}, {span}, {episode.state.value}"]
    if episode.claimed_by:
        parts.append(f"by {episode.claimed_by}")
    if episode.outcome:
        parts.append(f"came to {episode.outcome.value}")
    if episode.forgiven_by:
        parts.append(f"forgiven by {episode.forgiven_by}")
    return ", ".join(parts)


def policy_line(spec: ModelSpec, ports: Ports) -> str:
    """Return whether a retrain is possible by now, and if not, what ends that."""
    champion = ports.ledger.champion(spec.name)
    if champion is None:
        return "next retrain: not before a version serves"
    if not spec.monitoring.retrain.triggers:
        return "next retrain: never by drift; monitoring.retrain.triggers is empty"
    now = ports.now()
    episodes = ports.monitor.episodes(spec.name)
    block = spec.monitoring.retrain
    judged = ports.monitor.windows(spec.name, "performance")
    loss = judged[-1].numbers.get(f"{LOSS}:{spec.metric}") if judged else None
    holds = [
        hold_of(episodes, block, digest=champion.digest, now=now, trigger=one, loss=loss)
        for one in block.triggers
    ]
    stopped = [hold.reason for hold in holds if hold is not None and hold.breaker]
    ends = f"a promotion ends it, or a person: {reset_command(spec.name)}"
    breaker = f"breaker: OPEN ({'; '.join(stopped)}); {ends}" if stopped else "breaker: closed"
    left = [hold for hold in holds if hold is None or not hold.breaker]
    if not left:
        return breaker
    if None in left:
        return f"{breaker}; next retrain: possible now, if windows ask for it"
    last = next(hold for hold in left if hold is not None)
    until = last.not_before or now
    return f"{breaker}; next retrain: from {until:%Y-%m-%d %H:%M:%S} UTC ({last.reason})"


def _say_alerts(spec: ModelSpec, ports: Ports) -> None:
    firing = ports.monitor.alerts(spec.name, firing=True)
    if not firing:
        say("alerts: none")
        return
    for alert in firing:
        sent = f"sent {alert.times} times" if alert.times else "not sent yet"
        say(f"alert {alert.key}: {alert.severity.value}, since {alert.first_at:%Y-%m-%d %H:%M}, {sent}")
        say(f"  {alert.title}")
