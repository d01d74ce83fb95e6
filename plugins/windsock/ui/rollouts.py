"""What the pages say of a model's rollout."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.ports import Rollouts
from windsock.records import LedgerRow, Rollout, running_rollout, waiting_rows
from windsock.texts import numbered

MINUTES = "%Y-%m-%d %H:%M UTC"


def rollout_word(rows: Sequence[LedgerRow], *, most: int) -> str:
    """Return what is under way, or waits, in a few words; empty where nothing is.

    :param most: versions that one rollout tries.
    """
    running = running_rollout(rows)
    if running is not None:
        paused = ", paused" if running.pause else ""
        return f"{running.named}: {_share(running)}{paused}"
    queued = waiting_rows(rows, most=most)
    return _waits(queued) if queued else ""


def rollout_lines(name: str, rows: Sequence[LedgerRow], looks: Rollouts, *, most: int) -> list[str]:
    """Return what is under way and what waits, a sentence each; none where nothing is.

    :param most: versions that one rollout tries.
    """
    running, lines = running_rollout(rows), []
    if running is not None:
        lines = _running(running, looks)
    if queued := waiting_rows(rows, most=most):
        until = "until this one is over" if running else f"for the next run of {name}__ab_rollout"
        lines.append(f"{_waits(queued)} since {queued[0].at:{MINUTES}}, {until}.")
    return lines


def _running(rollout: Rollout, looks: Rollouts) -> list[str]:
    plan, verb = rollout.plan, "are" if rollout.others else "is"
    each = f", {rollout.share_each / 100:g} % each" if rollout.others else ""
    tried = (
        f"Rollout {rollout.experiment}: {rollout.named} {verb} tried against version "
        f"{rollout.champion_version} ({plan.strategy} by {plan.metric}), step {rollout.step + 1} of "
        f"{len(plan.shares)}, {_share(rollout)}{each}, since {rollout.step_since:{MINUTES}}."
    )
    lines = [tried]
    if rollout.dropped:
        lines.append(f"Dropped: {numbered([one.version for one in rollout.dropped])}.")
    last = looks.last(rollout.model, rollout.experiment)
    if last is None:
        lines.append("No look was taken yet.")
    else:
        lines.append(f"Look {last.number}, {last.judged_at:{MINUTES}}: {last.action.value}; {last.reason}.")
    if rollout.pause:
        lines.append(f"{_upper(rollout.pause)}; only a guardrail acts.")
    if rollout.asked_until:
        lines.append(f"A person is asked about its promotion until {rollout.asked_until:{MINUTES}}.")
    return lines


def _upper(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _share(rollout: Rollout) -> str:
    return "a shadow" if rollout.plan.strategy == "shadow" else f"{rollout.share / 100:g} % of the units"


def _waits(queued: Sequence[LedgerRow]) -> str:
    many = len(queued) > 1
    what = "wait for their" if many else "waits for its"
    return _upper(f"{numbered([row.version for row in queued])} {what} rollout")


__all__ = ["rollout_lines", "rollout_word"]
