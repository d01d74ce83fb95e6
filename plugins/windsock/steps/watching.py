"""What the watchdog is handed of the other rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windsock.ports import Ports
    from windsock.records import LedgerRow, ModelWork, WatchInput
    from windsock.spec import ModelSpec
    from windsock.watchdog.rooms import Rooms


def watched_rooms(step: WatchInput, ports: Ports) -> Rooms:
    """Return the rooms that know what is due."""
    from windsock.monitoring.due_monitor import due_monitor
    from windsock.watchdog.rooms import Rooms

    return Rooms(monitor=due_monitor, rollout=_rollout)


def _rollout(spec: ModelSpec, rows: Sequence[LedgerRow], ports: Ports) -> ModelWork:
    """Return what the rollout DAG has to do: with the rollout, or to tell people how one has ended."""
    from windsock.monitoring.rollout_alerts import untold
    from windsock.records import ModelWork
    from windsock.rollout.due_rollout import due_rollout, rollout_work

    due = due_rollout(spec, rows, ports)
    if due is None and (what := untold(spec.name, rows, ports.monitor)):
        due = rollout_work(spec, what, f"people are to be told: {what}")
    return ModelWork(due=due)
