"""``windsock monitor``: what is known of a model in production; windows judged by hand; the breaker reset."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from windsock.cli.backtest import find_model
from windsock.cli.backtest_table import moment_of
from windsock.cli.console import say
from windsock.cli.monitor_accept import accept_drift_of, accept_loss_of, why_of
from windsock.cli.monitor_plan import trend_plan
from windsock.cli.monitor_status import policy_line, show_status, status_facts
from windsock.cli.output import JsonOption, print_json
from windsock.cli.surroundings import exit_code, findings_on_stderr, installation, open_standing_ports, user
from windsock.exceptions import MonitoringError, WindsockError
from windsock.monitoring.backlog import take_backlog
from windsock.ports import Ports
from windsock.records import (
    CheckDriftInput,
    CheckPerformanceInput,
    DecideRetrainInput,
    Record,
    RetrainDecision,
    RetrainOrder,
    RunContext,
    Span,
)
from windsock.spec import ModelSpec
from windsock.steps import verdict_of
from windsock.steps.run import run_step
from windsock.steps.verdicts import refusal_of


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
    accept_drift: Annotated[
        bool,
        typer.Option(
            "--accept-drift",
            help="Hold later windows against the rows of the drifted ones, not against the training rows.",
        ),
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Hold later performance against that of the latest judged window, not the baseline.",
        ),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option(help="With --reset, --accept-drift and --accept-loss: why; it is recorded."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model's verdicts, judge its windows, plan, reset the breaker, accept drift or a loss.

    Exit code 1 if a window could not be judged, 3 if a system did not answer. Drift is no fault: 0.
    """
    _one_of(
        status=status,
        check=check,
        reset=reset,
        plan=plan,
        accept_drift=accept_drift,
        accept_loss=accept_loss,
    )
    if as_json and (check or plan or reset or accept_drift or accept_loss):
        raise typer.BadParameter("only for the status", param_hint="--json")
    if window_end is not None and not check:
        raise typer.BadParameter("only with --check", param_hint="--window-end")
    settings = installation()
    spec = find_model(settings, name)
    ports = open_standing_ports(settings)
    if reset:
        reset_policy(spec, ports, why_of(reason, "Why is the breaker to forget what was"))
    elif accept_drift:
        accept_drift_of(spec, ports, why_of(reason, "Why is the drift to be accepted"))
    elif accept_loss:
        accept_loss_of(spec, ports, why_of(reason, "Why is the loss to be accepted"))
    elif check:
        check_windows(spec, ports, window_end)
    elif plan:
        for line in trend_plan(spec, ports.monitor.windows(name, "performance"), ports.ledger.champion(name)):
            say(line)
    elif as_json:
        print_json(status_facts(spec, ports))
    else:
        show_status(spec, ports)


def _one_of(**chosen: bool) -> None:
    if sum(chosen.values()) > 1:
        raise typer.BadParameter(
            "one of them", param_hint=", ".join(f"--{name.replace('_', '-')}" for name in chosen)
        )


def reset_policy(spec: ModelSpec, ports: Ports, why: str) -> None:
    """Forgive every closed episode; who did it and why stands in each."""
    forgiven = ports.monitor.reset(spec.name, actor=f"{user()}: {why}")
    say(f"{spec.name}: {forgiven} closed episode{'' if forgiven == 1 else 's'} forgiven: {why}")
    say(policy_line(spec, ports))


def check_windows(spec: ModelSpec, ports: Ports, window_end: str | None) -> None:
    """Judge windows and decide, as the monitor DAG does.

    :raises typer.Exit: with the exit code of the last window that could not be judged.
    """
    windows: tuple[Span, ...] = (_window(spec, ports.now(), window_end),) if window_end else ()
    if not window_end:
        backlog = take_backlog(spec, ports, most=None)
        windows = backlog.windows
        for line in backlog.skipped:
            say(f"{spec.name}: {line}")
        if backlog.empty:
            say(f"{spec.name}: {backlog.empty:,} closed windows were empty")
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
        typer.echo(f"error: {error.code}: {error.message}\nnext: {error.next_by_hand}", err=True)
        return exit_code(error)
    for finding in getattr(result.record, "findings", ()):
        say(f"  finding: {finding}")
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
