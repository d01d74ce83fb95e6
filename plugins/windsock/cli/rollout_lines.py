"""What the command line says of rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from windsock.cli.console import table
from windsock.ports import Ports
from windsock.records import (
    LedgerAction,
    LedgerRow,
    Rollout,
    RolloutDecision,
    RolloutEnd,
    ended_rollouts,
    running_rollout,
    waiting_row,
)
from windsock.rollout.look_due import look_due
from windsock.rollout.outlook import outlook_of
from windsock.spec import ModelSpec
from windsock.steps import limit_text, shorten

SHOWN = 10
"""Ended rollouts that the status shows."""
TEXT = 100
ENDED = ("rollout", "version", "came to", "began (UTC)", "ended (UTC)", "why")
CHECKS = ("check", "verdict", "number against limit", "code")


def status_lines(spec: ModelSpec, ports: Ports) -> Iterator[str]:
    """Yield what is under way, what waits and how the others ended."""
    name, rows = spec.name, ports.ledger.rows(spec.name)
    champion, running, queued = ports.ledger.champion(name), running_rollout(rows), waiting_row(rows)
    serves = f"version {champion.version} serves" if champion else "no version serves"
    tried = f"rollout {running.experiment} is under way" if running else "no rollout is under way"
    yield f"{name}: {serves}; {tried}; new versions: {spec.rollout.strategy}"
    if running is not None:
        yield from running_lines(running, ports.rollouts.last(name, running.experiment))
        yield from (f"told at its start: {note}" for note in outlook_of(rows, running.experiment))
    yield _waiting(queued, running)
    yield from _ended(ended_rollouts(rows))


def running_lines(rollout: Rollout, last: RolloutDecision | None) -> Iterator[str]:
    """Yield how the rollout stands."""
    plan = rollout.plan
    share = "beside the champion" if plan.strategy == "shadow" else f"{rollout.share / 100:g} % of the units"
    yield (
        f"version {rollout.version} (bundle {shorten(rollout.digest)}) against version "
        f"{rollout.champion_version}: {plan.strategy} by {plan.metric}, step {rollout.step + 1} of "
        f"{len(plan.shares)}, {share} since {_time(rollout.step_since)}"
    )
    if last is not None:
        yield f"look {last.number}, {_time(last.judged_at)}: {last.action.value}; {last.reason}"
        totals = last.totals
        yield f"units: {totals.champion.units:,} champion, {totals.challenger.units:,} challenger"
    else:
        yield "no look was taken yet"
    if rollout.paused_by:
        yield f"PAUSED by {rollout.paused_by}: only a guardrail can move it; `windsock rollout resume`"
    if rollout.asked_until:
        until = _time(rollout.asked_until)
        yield f"a person is asked about its promotion by {rollout.asked_by}, until {until}"
    due = look_due(rollout, last)
    yield f"next look: {_time(due)}; ends without a decision: {_time(rollout.deadline_at)}"


def _waiting(queued: LedgerRow | None, running: Rollout | None) -> str:
    if queued is None:
        return "waiting: no version"
    until = (
        "until this one is over" if running else "for the next run of the DAG, or `windsock rollout start`"
    )
    return f"waiting: version {queued.version} since {_time(queued.at)}, {until}"


def _ended(ends: Sequence[RolloutEnd]) -> Iterator[str]:
    if not ends:
        yield "ended: none"
        return
    left_out = len(ends) - SHOWN
    yield f"ended: {len(ends)}" + (f", the last {SHOWN}:" if left_out > 0 else ":")
    rows = [
        (
            end.experiment,
            end.version,
            end.outcome.value,
            f"{end.started_at:%Y-%m-%d %H:%M:%S}",
            f"{end.ended_at:%Y-%m-%d %H:%M:%S}",
            _short(end.reason),
        )
        for end in ends[-SHOWN:]
    ]
    yield from table(ENDED, rows)


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
        f"rollout {rollout.experiment} of {rollout.model}: version {rollout.version} against version "
        f"{rollout.champion_version}"
    )
    if not decisions:
        yield "no look was taken yet"
        return
    last = decisions[-1]
    yield f"look {last.number}, {_time(last.judged_at)}: {last.action.value}; {last.reason}"
    rows = [(check.name, check.status.value, limit_text(check), check.code) for check in last.checks]
    yield from table(CHECKS, rows)
    chance = last.estimate.chance_better
    if chance is not None:
        yield f"information only: chance that the challenger is better {chance:.1%}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[: TEXT - 1]}…" if len(line) > TEXT else line


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
