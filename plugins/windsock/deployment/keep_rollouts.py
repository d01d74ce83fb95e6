"""What housekeeping does about rollouts: counts of old ones go, one that nobody looks at is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from windsock.door.rollout_close import close_rollout, unclosed
from windsock.ports import Ports
from windsock.records import LedgerRow, ended_rollouts, running_rollout
from windsock.records.rollout_attention import unattended_since

KEEP_COUNTS = timedelta(days=7)
"""How long after its end the counts of a rollout are kept; its decisions and reports stay."""
CLOSE_WITHIN = timedelta(days=7)
"""How long after its end it is seen to that the report of a rollout says so."""


def forget_ended(ports: Ports, model: str, rows: Sequence[LedgerRow], now: datetime) -> int:
    """Remove the counts of rollouts that ended long ago; return of how many there were any.

    :param rows: the model's ledger.
    """
    old = {one.experiment for one in ended_rollouts(rows) if one.ended_at + KEEP_COUNTS < now}
    forgotten = [experiment for experiment in ports.events.kept(model) if experiment in old] if old else []
    for experiment in forgotten:
        ports.events.forget(model, experiment)
    return len(forgotten)


def close_ended(ports: Ports, model: str, now: datetime) -> tuple[str, ...]:
    """Let report and runs of rollouts that ended lately say so, where they do not; return those rollouts.

    :raises TrackingUnavailableError: if MLflow does not answer.
    """
    rows = ports.ledger.rows(model)
    lately = [one for one in ended_rollouts(rows) if one.ended_at + CLOSE_WITHIN > now]
    left = [one.experiment for one in lately[-1:] if unclosed(ports, rows, one)]
    return tuple(one for one in left if not close_rollout(ports, model, one))


def unattended(ports: Ports, rows: Sequence[LedgerRow], now: datetime) -> str:
    """Return a sentence about the rollout that is under way if nobody looks at it; empty if somebody does.

    :param rows: the model's ledger.
    """
    rollout = running_rollout(rows)
    if rollout is None:
        return ""
    seen = unattended_since(rollout, ports.rollouts.last(rollout.model, rollout.experiment), now)
    if seen is None:
        return ""
    return (
        f"WS-HOUSEKEEPING-004: rollout {rollout.experiment} of {rollout.model} was last looked at "
        f"{seen:%Y-%m-%d %H:%M} UTC, its check is {rollout.plan.check}: its DAG {rollout.model}__ab_rollout "
        "is switched off or red, or the model's file says `strategy: direct`"
    )


__all__ = ["close_ended", "forget_ended", "unattended"]
