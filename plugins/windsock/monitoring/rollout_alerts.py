"""Alerts about rollouts: how the last one ended, and what keeps one that is under way from going on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from windsock.monitoring.alerts import Condition
from windsock.ports import Monitor
from windsock.records import (
    Alert,
    ChallengerLook,
    LedgerAction,
    LedgerRow,
    Rollout,
    RolloutDecision,
    RolloutEnd,
    RolloutOutcome,
    Severity,
    Status,
    ended_rollouts,
    running_rollout,
)
from windsock.texts import joined, numbered

ENDED, SPLIT, PAUSED, DROPPED = "rollout", "rollout-split", "rollout-paused", "rollout-dropped"
SEVERITIES = {RolloutOutcome.ROLLED_BACK: Severity.HIGH, RolloutOutcome.KEPT: Severity.LOW}
SOUND = ("sample_ratio", "counts")
"""Checks without which nothing that a rollout shows means anything."""
EVIDENCE = ("outcomes", "coverage")
"""Checks of a last step that hold a promotion where outcomes are lost; what is only to come fails none."""
WORST_FIRST = (Status.FAIL, Status.ERROR, Status.INSUFFICIENT, Status.PASS)
FAILED_LOOKS = 2
LONG_PAUSE = timedelta(days=1)


def rollout_conditions(
    model: str,
    rows: Sequence[LedgerRow],
    decisions: Sequence[RolloutDecision],
    known: Sequence[Alert],
    now: datetime,
) -> tuple[Condition, ...]:
    """Return what a person must know of a model's rollouts, whoever brought it about.

    An end is told once: it is among them until an alert about it is kept.

    :param rows: the model's ledger.
    :param decisions: looks at the rollout that is under way, by number, at least the newest two; none without
        one.
    :param known: the present state of the model's alerts.
    """
    found: list[Condition] = []
    ends, rollout = ended_rollouts(rows), running_rollout(rows)
    told = next((alert.episode for alert in known if alert.key == ENDED), None)
    if ends and ends[-1].experiment != told and (ended := rollout_condition(model, ends[-1])) is not None:
        found.append(ended)
    if rollout is None:
        over = f"Rollout {ends[-1].experiment} is over." if ends else "No rollout is under way."
        return (
            *found,
            _split(model, None, active=False, text=over),
            _pause(model, None, text=over),
            _drop(model, None, text=over),
        )
    if (split := split_condition(rollout, decisions)) is not None:
        found.append(split)
    return (*found, pause_condition(rollout, rows, now), drop_condition(rollout, rows, decisions))


def untold(model: str, rows: Sequence[LedgerRow], monitor: Monitor) -> str:
    """Return what the last rollout's end leaves to tell while none is under way; empty: nothing.

    An end by a command is told by nobody else, and an alert about a rollout that is over ends by it.

    :param rows: the model's ledger.
    """
    ends = ended_rollouts(rows)
    if not ends or running_rollout(rows) is not None:
        return ""
    alerts = monitor.alerts(model)
    told = next((alert.episode for alert in alerts if alert.key == ENDED), None)
    firing = {alert.key for alert in alerts if alert.state == "firing"}
    end = rollout_condition(model, ends[-1])
    is_new = end is not None and ends[-1].experiment != told and (end.active or ENDED in firing)
    if not is_new and not firing & {SPLIT, PAUSED, DROPPED}:
        return ""
    return f"rollout {ends[-1].experiment} is over"


def rollout_condition(model: str, end: RolloutEnd) -> Condition | None:
    """Return what the end of a rollout says; a promotion ends the alert of the one before.

    :returns: ``None`` for an end that a person, or another change of traffic, brought about.
    """
    bad = SEVERITIES.get(end.outcome)
    if bad is None and end.outcome is not RolloutOutcome.PROMOTED:
        return None
    word, tried = end.outcome.value.replace("_", " "), end.all_tried
    about = (end.version,) if end.outcome is RolloutOutcome.PROMOTED else tried
    what = f"{numbered(about)} {'were' if len(about) > 1 else 'was'} {word}"
    if end.outcome is RolloutOutcome.KEPT:
        what = "the champion was kept"
    return Condition(
        key=ENDED,
        active=bad is not None,
        severity=bad or Severity.NONE,
        title=f"{model}: {what}",
        text=f"Rollout {end.experiment} of {numbered(tried)} ended: {end.reason.rstrip('. ') or word}.",
        episode=end.experiment,
    )


def split_condition(rollout: Rollout, decisions: Sequence[RolloutDecision]) -> Condition | None:
    """Return whether split and counts can be trusted.

    :param decisions: the rollout's looks by number.
    :returns: ``None`` where nothing can be said: no look yet, too few units, or the first look that failed.
    """
    last = [_soundness(look) for look in decisions[-FAILED_LOOKS:]]
    if last and _is_sound(last[-1]):
        text = f"Rollout {rollout.experiment}: split and counts are as they should be."
        return _split(rollout.model, rollout.experiment, active=False, text=text)
    failed = [any(status in (Status.FAIL, Status.ERROR) for status in one.values()) for one in last]
    if len(failed) < FAILED_LOOKS or not all(failed):
        return None
    look = decisions[-1]
    told = "; ".join(
        f"{f'version {one.version}: ' if look.looks else ''}{check.code} {check.name}: "
        f"{check.message.rstrip('. ')}"
        for one in _judged(look)
        for check in one.checks
        if check.name in SOUND + EVIDENCE and check.status in (Status.FAIL, Status.ERROR)
    )
    which = "that it shows can be trusted; it neither advances nor promotes"
    if look.looks:
        which = "that it shows of these can be trusted; it does not advance, and promotes none of them"
    text = (
        f"Rollout {rollout.experiment} of {rollout.named}, look {look.number}: {told}. "
        f"Nothing {which}. Mend the cause, stop it and "
        f"start again: windsock rollout stop {rollout.model}"
    )
    return _split(rollout.model, rollout.experiment, active=True, text=text)


def _judged(look: RolloutDecision) -> Sequence[RolloutDecision | ChallengerLook]:
    """Return what was judged: each challenger that was not dropped before has its own checks."""
    return [one for one in look.looks if not one.withdrawn] or (look,)


def _soundness(look: RolloutDecision) -> dict[str, Status]:
    """Return the status of each check; of several challengers the worst, for one alone spoils the split."""
    checks = [check for one in _judged(look) for check in one.checks]
    found = {name: [check.status for check in checks if check.name == name] for name in SOUND + EVIDENCE}
    return {
        name: next((one for one in WORST_FIRST if one in statuses), Status.INSUFFICIENT)
        for name, statuses in found.items()
    }


def _is_sound(found: dict[str, Status]) -> bool:
    return all(found[name] is Status.PASS for name in SOUND) and Status.FAIL not in found.values()


def pause_condition(rollout: Rollout, rows: Sequence[LedgerRow], now: datetime) -> Condition:
    """Return whether a rollout has been paused for so long that it may have been forgotten."""
    since = paused_since(rows, rollout.experiment)
    if since is None or now - since <= LONG_PAUSE:
        text = f"Rollout {rollout.experiment} is not paused, or not for long."
        return _pause(rollout.model, rollout.experiment, text=text)
    why = f" ({rollout.paused_reason})" if rollout.paused_reason else ""
    text = (
        f"{rollout.paused_by} has paused rollout {rollout.experiment} of {rollout.named} since "
        f"{since:%Y-%m-%d %H:%M} UTC{why}; its deadline is {rollout.deadline_at:%Y-%m-%d %H:%M} UTC. "
        f"Go on or end it: windsock rollout resume {rollout.model}, or stop"
    )
    return _pause(rollout.model, rollout.experiment, active=True, text=text)


def drop_condition(
    rollout: Rollout, rows: Sequence[LedgerRow], decisions: Sequence[RolloutDecision]
) -> Condition:
    """Return whether challengers were dropped while the others go on; each further drop is told anew.

    :param decisions: the newest looks; one that dropped says why.
    """
    versions = [one.version for one in rollout.dropped]
    if not versions:
        return _drop(rollout.model, None, text=f"Rollout {rollout.experiment} has dropped no version.")
    broken = [f"version {one.version}: {one.reason}" for look in decisions for one in look.dropped]
    why = "; ".join([*_drops(rollout, rows), *(one.rstrip(". ") for one in broken)])
    go_on = numbered([one.version for one in rollout.active])
    text = (
        f"Rollout {rollout.experiment} of {rollout.named}: {why} (version "
        f"{rollout.champion_version} serves). {go_on[0].upper()}{go_on[1:]} "
        f"{'go' if len(rollout.active) > 1 else 'goes'} on. Read why: windsock rollout report {rollout.model}"
    )
    return _drop(rollout.model, f"{rollout.experiment}: {joined(versions)}", text=text, versions=versions)


def _drops(rollout: Rollout, rows: Sequence[LedgerRow]) -> list[str]:
    """Return what the ledger says of each drop, in the order in which they came."""
    told, before = [], 0
    for row in rows:
        if row.action is not LedgerAction.SHIFT or row.body.get("experiment") != rollout.experiment:
            continue
        if (now := len(row.body.get("withdrawn", ()))) > before:
            reason = str(row.body.get("reason", "")).removeprefix(f"{rollout.experiment}: ")
            told.append(reason.rstrip(". "))
        before = now
    return told


def paused_since(rows: Sequence[LedgerRow], experiment: str) -> datetime | None:
    """Return when a rollout was paused, or ``None`` where it is not; a pause of a pause begins nothing."""
    since = None
    for row in rows:
        if row.body.get("experiment") != experiment:
            continue
        if row.action is LedgerAction.PAUSE:
            since = since or row.at
        elif row.action is LedgerAction.RESUME:
            since = None
    return since


def _split(model: str, episode: str | None, *, active: bool, text: str) -> Condition:
    title = f"{model}: the split of the rollout is broken"
    return Condition(SPLIT, active, Severity.MEDIUM, title, text, episode)


def _pause(model: str, episode: str | None, *, text: str, active: bool = False) -> Condition:
    return Condition(PAUSED, active, Severity.LOW, f"{model}: the rollout is paused", text, episode)


def _drop(model: str, episode: str | None, *, text: str, versions: Sequence[str] = ()) -> Condition:
    what = f"{numbered(versions)} {'were' if len(versions) > 1 else 'was'} dropped" if versions else "dropped"
    return Condition(DROPPED, bool(versions), Severity.HIGH, f"{model}: {what}", text, episode)
