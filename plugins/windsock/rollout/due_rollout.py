"""What the rollout DAG of a model has to do now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from windsock.ports import Ports
from windsock.records import (
    DueWork,
    LedgerRow,
    champion_of,
    open_switch,
    running_rollout,
    waiting_rows,
)
from windsock.rollout.hindrances import gathers_until, versions_of
from windsock.rollout.look_due import look_due
from windsock.spec import ModelSpec, parse_duration
from windsock.texts import numbered

GRACE = timedelta(minutes=5)
"""Who began to switch traffic has brought it to an end within this time, or was killed."""


def due_rollout(spec: ModelSpec, rows: Sequence[LedgerRow], ports: Ports) -> DueWork | None:
    """Return what the rollout DAG has to do now; ``None``: nothing.

    The next analysis of a rollout is due, or a version waits and may start; or a switch of traffic was begun
    and never finished. Whether the version can start is for the run to say.

    :param rows: the model's ledger.
    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    now = ports.now()
    if (switch := open_switch(rows)) is not None and not timedelta(0) <= now - switch.at < GRACE:
        told = f"{switch.action.value} of version {switch.version} was begun and is not committed"
        return rollout_work(spec, f"switch {switch.epoch}", told)
    if (rollout := running_rollout(rows)) is not None:
        due = look_due(rollout, ports.rollouts.last(spec.name, rollout.experiment))
        if due > now:
            return None
        told = f"the analysis of rollout {rollout.experiment} was due at {due:%Y-%m-%d %H:%M:%S} UTC"
        return rollout_work(spec, f"look {rollout.experiment} {due.isoformat()}", told)
    return _waiting(spec, rows, now)


def _waiting(spec: ModelSpec, rows: Sequence[LedgerRow], now: datetime) -> DueWork | None:
    """Return that versions wait that do not wait for others any more."""
    most = spec.rollout.challengers
    waiting = waiting_rows(rows, most=most)
    if not waiting or champion_of(rows) is None:
        return None
    if len(waiting) < most and now < gathers_until(spec, waiting):
        return None
    verb = "waits" if len(waiting) == 1 else "wait"
    told = f"{numbered([row.version for row in waiting])} {verb} for a rollout"
    return rollout_work(spec, f"start {versions_of(waiting)}", told)


def rollout_work(spec: ModelSpec, key: str, reason: str) -> DueWork:
    """Return work of the rollout DAG; what comes to nothing is tried again once a check at the latest."""
    patience = parse_duration(spec.rollout.check).total_seconds()
    return DueWork(model=spec.name, kind="rollout", key=key, reason=reason, patience=patience)


__all__ = ["due_rollout", "rollout_work"]
