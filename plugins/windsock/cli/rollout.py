"""``windsock rollout``: what is tried, what it comes to, and how a person steers it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from windsock.cli.console import say
from windsock.cli.output import JsonOption, print_json
from windsock.cli.rollout_lines import report_lines, rollout_named, status_facts, status_lines
from windsock.cli.rollout_plan import POWER, Asked, plan_facts, plan_lines
from windsock.cli.rollout_traffic import DAYS, Given, plan_world
from windsock.cli.surroundings import (
    findings_on_stderr,
    installation,
    open_standing_ports,
    planning_ports,
    user,
    write_whole,
)
from windsock.exceptions import RolloutRefusedError
from windsock.ports import Ports
from windsock.records import (
    JudgeRolloutInput,
    LedgerRow,
    Record,
    RollBackInput,
    Rollout,
    RolloutDecision,
    RolloutOverrides,
    RunContext,
    StartRolloutInput,
    SteerRolloutInput,
    ended_rollouts,
    running_rollout,
)
from windsock.spec import ModelSpec
from windsock.spec.loader import find_model
from windsock.steps import verdict_of
from windsock.steps.rollout_moves import held_up_by, move_of
from windsock.steps.run import run_step
from windsock.steps.verdicts import refusal_of

rollout = typer.Typer(
    help="New versions on their share of the traffic: how they stand, how long it takes, stop and go.",
    no_args_is_help=True,
)
LONGEST_REASON = 1000
Name = Annotated[str, typer.Argument(help="The model's name.")]
Reason = Annotated[str, typer.Option(help="Why, for the ledger.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; a terminal is asked otherwise.")]


def _open(name: str) -> tuple[ModelSpec, Ports]:
    settings = installation()
    spec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
    return spec, open_standing_ports(settings)


def _run() -> RunContext:
    return RunContext(requested_by=user())


def _do(ports: Ports, name: str, step: Record) -> Record:
    """Run a step, show its verdict and return its record.

    :raises WindsockError: what the step raises, or what its record says no with.
    """
    with findings_on_stderr():
        result = run_step(name, step, ports)
    for line in verdict_of(result).lines():
        say(line)
    if (refusal := refusal_of(result)) is not None:
        raise refusal
    return result.record


def _running(ports: Ports, name: str) -> Rollout:
    """Return the rollout that is under way.

    :raises RolloutRefusedError: if there is none.
    """
    found = running_rollout(ports.ledger.rows(name))
    if found is None:
        raise RolloutRefusedError(
            f"{name}: no rollout is under way, so there is nothing to end",
            next_action=f"See `windsock rollout status {name}` for what waits and what has ended.",
        )
    return found


@rollout.command()
def status(name: Name, as_json: JsonOption = False) -> None:
    """Show what is under way, what waits, and how the rollouts before ended."""
    spec, ports = _open(name)
    if as_json:
        print_json(status_facts(spec, ports))
        return
    for line in status_lines(spec, ports):
        say(line)


@rollout.command()
def plan(
    name: Name,
    effect: Annotated[
        str | None,
        typer.Option(help="Smallest gain worth finding: 10% of the champion's value, or 0.01 of the metric."),
    ] = None,
    power: Annotated[
        float, typer.Option(min=0.05, max=0.999, help="Probability of seeing such a gain.")
    ] = POWER,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days of traffic to look back at.")] = DAYS,
    baseline: Annotated[
        float | None, typer.Option(help="The metric of the champion, instead of the traffic's.")
    ] = None,
    units_per_day: Annotated[
        float | None, typer.Option(help="New units on a day, instead of the traffic's.")
    ] = None,
    sd: Annotated[
        float | None, typer.Option(help="With --baseline: standard deviation over units; a rate needs none.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many units and days a test needs, for three designs, and what it can find in its time."""
    settings = installation()
    spec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
    asked = Asked(effect=effect, power=power)
    given = Given(baseline=baseline, units_per_day=units_per_day, sd=sd)
    with planning_ports(settings, open_standing_ports) as ports:
        world = plan_world(spec, ports, days, given)
    if as_json:
        print_json(plan_facts(world, asked))
        return
    for line in plan_lines(world, asked):
        say(line)


@rollout.command()
def start(
    name: Name,
    version: Annotated[
        str | None,
        typer.Option("--version", help="Start this waiting version and no other; several such as 4,5."),
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="canary: percents of the units, such as 5,25,50,100.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="What decides, instead of what the model's file says.")
    ] = None,
    horizon: Annotated[str | None, typer.Option(help="Declared length of the test, such as 14d.")] = None,
) -> None:
    """Start the version that waits, or the versions; a rollout that is under way keeps its own plan."""
    spec, ports = _open(name)
    asked = RolloutOverrides(steps=_percents(steps), metric=metric, horizon=_length(horizon))
    _do(
        ports,
        "start_rollout",
        StartRolloutInput(spec=spec, overrides=asked, version=version, run=_run()),
    )


def _percents(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter("write percents such as 5,25,50,100", param_hint="--steps") from None


def _length(text: str | None) -> str | None:
    from windsock.spec import parse_duration

    try:
        if text is not None:
            parse_duration(text)
    except ValueError:
        raise typer.BadParameter("write a time span such as 14d", param_hint="--horizon") from None
    return text


@rollout.command()
def judge(
    name: Name,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the decision; nothing is kept and nothing moves.")
    ] = False,
) -> None:
    """Look at the rollout now and carry out what follows, as the DAG NAME__ab_rollout does.

    A promotion that a person must approve is refused here until the DAG has asked and was answered. An end
    is told to the model's owner by the next run of that DAG.
    """
    spec, ports = _open(name)
    decision = _do(ports, "judge_rollout", JudgeRolloutInput(spec=spec, dry_run=dry_run, run=_run()))
    if isinstance(decision, RolloutDecision):
        carry_out(decision, spec, ports)


def carry_out(decision: RolloutDecision, spec: ModelSpec, ports: Ports) -> None:
    """Run the step that follows from a decision, unless it was overtaken meanwhile."""
    rows = ports.ledger.rows(spec.name)
    now = running_rollout(rows)
    if now is None or now.experiment != decision.experiment:
        say(f"rollout {decision.experiment} is over; nothing is moved")
        return
    why = held_up_by(now, decision, ports.rollouts.last(spec.name, now.experiment))
    move = None if why else move_of(decision, spec, rows, run=_run())
    if move is None:
        say(why or ("dry run: nothing is moved" if decision.dry_run else "nothing is moved"))
        return
    _do(ports, *move)


def _why(reason: str) -> str:
    text = " ".join(reason.split())
    if not text or len(text) > LONGEST_REASON:
        raise typer.BadParameter(f"write why, in 1 to {LONGEST_REASON} characters", param_hint="--reason")
    return text


@rollout.command()
def pause(name: Name, reason: Reason) -> None:
    """Let the rollout neither advance nor promote until it is resumed; guardrails still roll back."""
    _steer(name, "pause", reason)


@rollout.command()
def resume(name: Name, reason: Reason) -> None:
    """Let a paused rollout go on."""
    _steer(name, "resume", reason)


def _steer(name: str, action: Literal["pause", "resume"], reason: str) -> None:
    why = _why(reason)
    spec, ports = _open(name)
    _do(ports, "steer_rollout", SteerRolloutInput(model=spec.name, action=action, reason=why, run=_run()))


@rollout.command()
def stop(name: Name, reason: Reason, yes: Yes = False) -> None:
    """End the rollout: the champion gets all traffic, and what was tried is held until a person forces it."""
    _end(name, "stopped", reason, yes=yes)


@rollout.command("rollback")
def roll_back(name: Name, reason: Reason, yes: Yes = False) -> None:
    """End the rollout as one that did harm; needs neither MLflow nor an approval."""
    _end(name, "rolled_back", reason, yes=yes)


def _end(name: str, outcome: Literal["stopped", "rolled_back"], reason: str, *, yes: bool) -> None:
    why = _why(reason)
    ports = open_standing_ports(installation())
    tried = _running(ports, name)
    if sys.stdin.isatty() and not yes:
        verb = "are" if tried.others else "is"
        now = f"{tried.named} of {name} {verb} tried against version {tried.champion_version}"
        typer.confirm(f"{now}. End it?", abort=True)
    asked = RollBackInput(model=name, experiment=tried.experiment, outcome=outcome, reason=why, run=_run())
    _do(ports, "roll_back", asked)


@rollout.command()
def report(
    name: Name,
    experiment: Annotated[
        str | None, typer.Option(help="A rollout's name, such as v4-e17; default: the newest.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the HTML page with charts here.")
    ] = None,
) -> None:
    """Show the last look at a rollout with all its checks, or write its page."""
    ports = open_standing_ports(installation())
    rows = ports.ledger.rows(name)
    found = rollout_named(rows, experiment)
    if found is None:
        raise _no_report(name, rows, experiment)
    decisions = ports.rollouts.decisions(name, found.experiment)
    if output is None:
        for line in report_lines(found, decisions):
            say(line)
        return
    end = next((one for one in ended_rollouts(rows) if one.experiment == found.experiment), None)
    write_whole(output, ports.rollout_reporter.html(found, decisions, end), replace=True)
    say(f"report: {output}")


def _no_report(name: str, rows: Sequence[LedgerRow], experiment: str | None) -> RolloutRefusedError:
    """Return why there is nothing to report; names help only where there was a rollout."""
    if rollout_named(rows, None) is not None:
        asked = f"no rollout is named {str(experiment)[:80]!r}"
        helps = f"See `windsock rollout status {name}` for their names."
    else:
        asked = "there was no rollout yet"
        helps = (
            f"`windsock rollout status {name}` says whether a version waits; `windsock rollout start {name}`"
            f", or the next run of {name}__ab_rollout, begins its rollout. A version comes of "
            f"{name}__daily_retrain once the gate lets it through, if `rollout.strategy` is not direct."
        )
    return RolloutRefusedError(f"{name}: {asked}", code="WS-ROLLOUT-072", next_action=helps)
