"""What the watchdog is handed of the other rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windsock.ports import Ports
    from windsock.records import WatchInput
    from windsock.watchdog.rooms import Rooms


def watched_rooms(step: WatchInput, ports: Ports) -> Rooms:
    """Return the rooms that know what is due."""
    from windsock.monitoring.due_monitor import due_monitor
    from windsock.rollout.due_rollout import due_rollout
    from windsock.watchdog.rooms import Rooms

    return Rooms(monitor=due_monitor, rollout=due_rollout)
