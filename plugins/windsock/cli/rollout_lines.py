"""What the command line says of rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from windsock.cli.console import table
from windsock.exceptions import WindsockError
from windsock.ports import Ports
from windsock.records import (
    DROPPED,
    ChallengerLook,
    LedgerAction,
    LedgerRow,
    Rollout,
    RolloutDecision,
    RolloutEnd,
    RolloutOutcome,
    StartRolloutInput,
    arms_of,
    ended_rollouts,
    running_rollout,
    waiting_rows,
)
from windsock.records.check_text import measured_text
from windsock.rollout.hindrances import gathers_until
from windsock.rollout.look_due import look_due
from windsock.rollout.outlook import outlook_of
from windsock.spec import ModelSpec
from windsock.steps import difference_text, run_step, shorten, verdict_of
from windsock.texts import joined, numbered, shortened

SHOWN = 10
"""Ended rollouts that the status shows."""
TEXT = 100
ENDED = ("rollout", "version", "came to", "began (UTC)", "ended (UTC)", "why")
ARMS = ("version", "state", "bundle", "share", "units", "difference [interval]", "comes to", "why")
CHECKS = ("check", "verdict", "number and limit", "code")


def status_lines(spec: ModelSpec, ports: Ports) -> Iterator[str]:
    """Yield what is under way, what waits and how the others ended."""
    name, rows = spec.name, ports.ledger.rows(spec.name)
    champion, running = ports.ledger.champion(name), running_rollout(rows)
    queued = waiting_rows(rows, most=spec.rollout.challengers)
    serves = f"version {champion.version} serves" if champion else "no version serves"
    tried = f"rollout {running.experiment} is under way" if running else "no rollout is under way"
    yield f"{name}: {serves}; {tried}; new versions: {spec.rollout.strategy}"
    if running is not None:
        yield from running_lines(running, ports.rollouts.last(name, running.experiment))
        yield from (f"told at its start: {note}" for note in outlook_of(rows, running.experiment))
    yield _waiting(spec, queued, running, ports.now())
    if queued and running is None:
        yield from _hindered(spec, ports)
    yield from _ended(ended_rollouts(rows))


def status_facts(spec: ModelSpec, ports: Ports) -> dict[str, Any]:
    """Return the status for programs: all ended rollouts, and the records themselves."""
    name, rows = spec.name, ports.ledger.rows(spec.name)
    running, queued = running_rollout(rows), waiting_rows(rows, most=spec.rollout.challengers)
    last = ports.rollouts.last(name, running.experiment) if running else None
    return {
        "model": name,
        "strategy": spec.rollout.strategy,
        "champion": ports.ledger.champion(name),
        "running": running,
        "last_analysis": last,
        "next_analysis_at": look_due(running, last) if running else None,
        "deadline_at": running.deadline_at if running else None,
        "arms": [arm._asdict() for arm in arms_of(running, last)] if running else [],
        "waiting": queued,
        "blocked_by": list(_hindered(spec, ports)) if queued and running is None else [],
        "ended": ended_rollouts(rows),
    }


def running_lines(rollout: Rollout, last: RolloutDecision | None) -> Iterator[str]:
    """Yield how the rollout stands."""
    plan = rollout.plan
    share = "beside the champion" if plan.strategy == "shadow" else f"{rollout.share / 100:g} % of the units"
    who = f"version {rollout.version} (bundle {shorten(rollout.digest)})"
    if rollout.others:
        who, share = rollout.named, f"{share}, {rollout.share_each / 100:g} % each,"
    yield (
        f"{who} against version "
        f"{rollout.champion_version}: {plan.strategy} by {plan.metric}, step {rollout.step + 1} of "
        f"{len(plan.shares)}, {share} since {_time(rollout.step_since)}"
    )
    if last is not None:
        yield f"look {last.number}, {_time(last.judged_at)}: {last.action.value}; {last.reason}"
        totals = last.totals
        if not rollout.others:
            yield f"units: {totals.champion.units:,} champion, {totals.challenger.units:,} challenger"
    else:
        yield "no look was taken yet"
    if rollout.others:
        yield from arm_lines(rollout, last)
    yield from _paused(rollout)
    if rollout.asked_until:
        until = _time(rollout.asked_until)
        yield f"a person is asked about its promotion by {rollout.asked_by}, until {until}"
    due = look_due(rollout, last)
    yield f"next look: {_time(due)}; ends without a decision: {_time(rollout.deadline_at)}"


def _paused(rollout: Rollout) -> Iterator[str]:
    if rollout.pause:
        pause = rollout.pause.replace("paused", "PAUSED", 1)
        yield f"{pause}: only a guardrail can move it; `windsock rollout resume {rollout.model}`"


def arm_lines(rollout: Rollout, last: RolloutDecision | None) -> list[str]:
    """Return a table of the champion and all challengers.

    :param last: the look that the numbers are of.
    """
    rows = [
        (
            arm.version,
            arm.state,
            shorten(arm.digest),
            f"{arm.share / 100:g} %",
            "-" if arm.units is None else f"{arm.units:,}",
            "-" if arm.value is None else f"{arm.value:.5g}",
            difference_text(arm.estimate) if arm.estimate else "-",
            arm.judged.action.value if arm.judged and arm.state != DROPPED else "-",
            _short(arm.judged.reason) if arm.judged else "",
        )
        for arm in arms_of(rollout, last)
    ]
    return table((*ARMS[:5], rollout.plan.metric, *ARMS[5:]), rows)


def _waiting(spec: ModelSpec, queued: Sequence[LedgerRow], running: Rollout | None, now: datetime) -> str:
    if not queued:
        return "waiting: no version"
    until = (
        "until this one is over" if running else "for the next run of the DAG, or `windsock rollout start`"
    )
    most = spec.rollout.challengers
    if running is None and len(queued) < most and now < (begins := gathers_until(spec, queued)):
        named = ",".join(row.version for row in queued)
        until = (
            f"for others: a rollout tries {most} versions and begins when so many wait, or with what waits "
            f"at the first run of the DAG after {_time(begins)}; `windsock rollout start {spec.name} "
            f"--version {named}` begins it now"
        )
    return f"waiting: {numbered([row.version for row in queued])} since {_time(queued[0].at)}, {until}"


def _hindered(spec: ModelSpec, ports: Ports) -> Iterator[str]:
    """Yield why what waits cannot start, and what helps; nothing where it can."""
    try:
        result = run_step("start_rollout", StartRolloutInput(spec=spec, only_look=True), ports)
    except WindsockError as error:
        yield f"whether it can start is not known: {error}"
        return
    verdict = verdict_of(result)
    if verdict.word == "HOLD":
        yield f"it cannot start: {verdict.why}; next: {verdict.next_action}"


def _ended(ends: Sequence[RolloutEnd]) -> Iterator[str]:
    if not ends:
        yield "ended: none"
        return
    left_out = len(ends) - SHOWN
    yield f"ended: {len(ends)}" + (f", the last {SHOWN}:" if left_out > 0 else ":")
    rows = [
        (
            end.experiment,
            joined(end.all_tried),
            end.outcome.value if len(end.all_tried) == 1 else _came_to(end),
            f"{end.started_at:%Y-%m-%d %H:%M:%S}",
            f"{end.ended_at:%Y-%m-%d %H:%M:%S}",
            _short(end.reason),
        )
        for end in ends[-SHOWN:]
    ]
    yield from table(ENDED, rows)


def _came_to(end: RolloutEnd) -> str:
    """Return the outcome of a rollout that tried several versions; one that promoted names the one."""
    promoted = end.outcome is RolloutOutcome.PROMOTED
    return f"{end.outcome.value} {end.version}" if promoted else end.outcome.value


def rollout_named(rows: Sequence[LedgerRow], experiment: str | None) -> Rollout | None:
    """Return a rollout as it was at its last step, or as it is; ``None``: the ledger has none of that name.

    :param experiment: default: the newest.
    """
    shifts = [row for row in rows if row.action is LedgerAction.SHIFT]
    named = [row for row in shifts if experiment in (None, row.body.get("experiment"))]
    if not named:
        return None
    running = running_rollout(rows)
    if running is not None and running.experiment == named[-1].body["experiment"]:
        return running
    return running_rollout(rows[: named[-1].seq])


def report_lines(rollout: Rollout, decisions: Sequence[RolloutDecision]) -> Iterator[str]:
    """Yield the last look with its checks."""
    yield (
        f"rollout {rollout.experiment} of {rollout.model}: {rollout.named} against version "
        f"{rollout.champion_version}"
    )
    yield from _paused(rollout)
    if not decisions:
        yield "no look was taken yet"
        return
    last = decisions[-1]
    yield f"look {last.number}, {_time(last.judged_at)}: {last.action.value}; {last.reason}"
    if rollout.others:
        yield from arm_lines(rollout, last)
    for one in last.looks or (last,):
        yield from _judged_lines(one, several=bool(last.looks))
    yield from (f"note: {note}" for note in last.notes)
    for one in last.looks or (last,):
        chance = one.estimate.chance_better
        if chance is not None:
            whose = f"version {one.version}" if last.looks else "the challenger"
            yield f"information only: chance that {whose} is better {chance:.1%}"


def _judged_lines(judged: RolloutDecision | ChallengerLook, *, several: bool) -> Iterator[str]:
    """Yield the checks; of several challengers with the version before them, of one that was dropped none."""
    if isinstance(judged, ChallengerLook) and judged.withdrawn:
        return
    if several:
        yield f"version {judged.version}: {judged.action.value}; {judged.reason}"
    rows = [(check.name, check.status.value, measured_text(check), check.code) for check in judged.checks]
    yield from table(CHECKS, rows)


def _short(text: str) -> str:
    return shortened(" ".join(text.split()), TEXT)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
