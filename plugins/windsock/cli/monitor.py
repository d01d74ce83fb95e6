"""``windsock monitor``: what is known of a model in production; windows judged by hand; the breaker reset."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from windsock.cli.backtest import find_model
from windsock.cli.backtest_table import moment_of
from windsock.cli.console import say, table
from windsock.cli.monitor_plan import trend_plan
from windsock.cli.surroundings import exit_code, findings_on_stderr, open_standing_ports, user
from windsock.exceptions import MonitoringError, WindsockError
from windsock.monitoring.decide_retrain import weigh
from windsock.monitoring.empty_windows import keep_empty
from windsock.monitoring.pending_windows import pending_windows
from windsock.monitoring.performance_checks import LOSS
from windsock.monitoring.unjudged import looked_since, unjudged_text
from windsock.ports import Ports
from windsock.records import (
    CheckDriftInput,
    CheckPerformanceInput,
    DecideRetrainInput,
    Episode,
    Record,
    RetrainDecision,
    RetrainOrder,
    RunContext,
    Span,
    WindowKind,
    WindowVerdict,
    live_since,
)
from windsock.records.retraining import hold_of, open_episode
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.steps import verdict_of
from windsock.steps.run import run_step
from windsock.steps.verdicts import refusal_of

SHOWN = 6
"""Judged windows that the status shows, of each kind."""
LONGEST_REASON = 200
TEXT = 100
HEAD = ("window's end", "kind", "version", "verdict", "severity", "rows", "why")


def monitor(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    status: Annotated[bool, typer.Option("--status", help="Show what is known; the default.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Judge the closed windows that wait, now.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say which slide the trend can see at the present labels.")
    ] = False,
    window_end: Annotated[
        str | None, typer.Option("--window-end", help="With --check: judge this window alone.")
    ] = None,
    reset: Annotated[
        bool,
        typer.Option(
            "--reset",
            help="Let the breaker forget what was. Cooldown and budget stay; see docs/monitoring.md.",
        ),
    ] = False,
    reason: Annotated[str | None, typer.Option(help="With --reset: why; it is recorded.")] = None,
) -> None:
    """Show a model's verdicts, episodes and alerts, judge its windows, plan, or reset the breaker.

    Exit code 1 if a window could not be judged, 3 if a system did not answer. Drift is no fault: 0.
    """
    _one_of(status=status, check=check, reset=reset, plan=plan)
    if window_end is not None and not check:
        raise typer.BadParameter("only with --check", param_hint="--window-end")
    settings = Settings.from_environment()
    spec = find_model(settings, name)
    ports = open_standing_ports(settings)
    if reset:
        reset_policy(spec, ports, reason)
    elif check:
        check_windows(spec, ports, window_end)
    elif plan:
        for line in trend_plan(spec, ports.monitor.windows(name, "performance"), ports.ledger.champion(name)):
            say(line)
    else:
        show_status(spec, ports)


def _one_of(**chosen: bool) -> None:
    if sum(chosen.values()) > 1:
        raise typer.BadParameter("one of them", param_hint=", ".join(f"--{name}" for name in chosen))


def reset_policy(spec: ModelSpec, ports: Ports, reason: str | None) -> None:
    """Forgive every closed episode; who did it and why stands in each."""
    if reason is None:
        reason = typer.prompt("Why is the breaker to forget what was")
    why = " ".join(reason.split())
    if not why or len(why) > LONGEST_REASON:
        raise typer.BadParameter(f"write why, in 1 to {LONGEST_REASON} characters", param_hint="--reason")
    forgiven = ports.monitor.reset(spec.name, actor=f"{user()}: {why}")
    say(f"{spec.name}: {forgiven} closed episode{'' if forgiven == 1 else 's'} forgiven: {why}")
    say(_policy(spec, ports))


def check_windows(spec: ModelSpec, ports: Ports, window_end: str | None) -> None:
    """Judge windows and decide, as the monitor DAG does.

    :raises typer.Exit: with the exit code of the last window that could not be judged.
    """
    windows = (_window(spec, ports.now(), window_end),) if window_end else waiting(spec, ports)
    left = keep_empty(spec, ports, windows)
    if len(left) < len(windows):
        say(f"{spec.name}: {len(windows) - len(left)} closed windows were empty")
    windows = left
    if not windows:
        say(f"{spec.name}: no closed window of {spec.monitoring.window} waits for a verdict")
    run, block, code = RunContext(requested_by=user()), spec.monitoring, 0
    for window in windows:
        say(f"window {window.start:%Y-%m-%d %H:%M:%S} to {window.end:%Y-%m-%d %H:%M:%S} UTC")
        if block.data_drift:
            code = _run(ports, "check_drift", CheckDriftInput(spec=spec, window=window, run=run)) or code
        if block.performance_tracking:
            step = CheckPerformanceInput(spec=spec, window=window, run=run)
            code = _run(ports, "check_performance", step) or code
    code = _run(ports, "decide_retrain", DecideRetrainInput(spec=spec, run=run)) or code
    if code:
        raise typer.Exit(code)


def _run(ports: Ports, name: str, step: Record) -> int:
    """Run a step, show its verdict and return the exit code that it asks for."""
    try:
        with findings_on_stderr():
            result = run_step(name, step, ports)
    except WindsockError as error:
        typer.echo(f"error: {error.code}: {error.message}\nnext: {error.next_action}", err=True)
        return exit_code(error)
    for line in verdict_of(result).lines():
        say(f"  {line}")
    record = result.record
    if isinstance(record, RetrainDecision) and record.order is RetrainOrder.GRANT:
        say(f"  the episode is announced; the next run of {record.model}__monitor sends its event")
    refusal = refusal_of(result)
    return exit_code(refusal) if refusal is not None else 0


def _window(spec: ModelSpec, now: datetime, text: str) -> Span:
    """Return the closed window that ends at a time.

    :raises MonitoringError: if none does.
    """
    end, last = moment_of(text, "--window-end"), spec.monitoring.window_end(now)
    border = spec.monitoring.window_end(end + spec.monitoring.lateness_allowance)
    if end != border or end > last:
        raise MonitoringError(
            f"no closed window of {spec.monitoring.window} ends at {end:%Y-%m-%d %H:%M:%S} UTC; one ended at "
            f"{min(border, last):%Y-%m-%d %H:%M:%S}",
            code="WS-MONITORING-071",
            next_action="Name the end of a window that is closed, its lateness allowance included.",
        )
    return Span(start=end - spec.monitoring.window_length, end=end)


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
    judged = [
        one for kind in ("drift", "performance") for one in ports.monitor.windows(spec.name, kind)[-SHOWN:]
    ]
    judged.sort(key=lambda one: (one.window.end, one.kind))
    if judged:
        for line in table(HEAD, [_row(one) for one in judged], indent=""):
            say(line)
    else:
        say("no window was judged yet")
    _say_unjudged(spec, ports)
    episodes = ports.monitor.episodes(spec.name)
    opened = open_episode(episodes)
    say(f"open episode: {_told(opened)}" if opened else "open episode: none")
    if closed := [one for one in episodes if one.closed_at is not None]:
        say(f"last closed episode: {_told(closed[-1])}")
    say(_policy(spec, ports))
    _say_waits(spec, ports)
    _say_alerts(spec, ports)


def _say_waits(spec: ModelSpec, ports: Ports) -> None:
    """Say which rows a retrain waits for, where windows ask for one."""
    try:
        decision = weigh(DecideRetrainInput(spec=spec), ports)
    except WindsockError as error:
        say(f"whether a retrain has its rows is not known: {error.code}: {error.message}")
        return
    if decision.waits_for is not None:
        say(decision.reason)


def _say_unjudged(spec: ModelSpec, ports: Ports) -> None:
    """Say why a model has not been judged for long, in the words of its alert."""
    block, champion = spec.monitoring, ports.ledger.champion(spec.name)
    if champion is None:
        return
    watched: dict[WindowKind, bool] = {"drift": block.data_drift, "performance": block.performance_tracking}
    for kind in (kind for kind, is_on in watched.items() if is_on):
        judged = [one for one in ports.monitor.windows(spec.name, kind) if one.digest == champion.digest]
        since = looked_since(block, judged[-1].window.end) if judged else ports.now()
        if told := unjudged_text(spec, [one for one in judged if one.window.end > since]):
            say(told)


def _row(one: WindowVerdict) -> tuple[str, ...]:
    rows = one.numbers.get("rows", one.numbers.get("answers"))
    why = " ".join(one.reason.split())
    return (
        f"{one.window.end:%Y-%m-%d %H:%M:%S}",
        one.kind,
        one.version or "-",
        one.status.value,
        one.severity.value,
        "-" if rows is None else f"{rows:,.0f}",
        f"{why[: TEXT - 1]}…" if len(why) > TEXT else why,
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


def _policy(spec: ModelSpec, ports: Ports) -> str:
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
    ends = f"a promotion ends it, or a person: windsock monitor {spec.name} --reset --reason WHY"
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
