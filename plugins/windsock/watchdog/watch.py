"""``watch``: one look at an installation: what is due, and what cannot work."""

from __future__ import annotations

from windsock.ports import Ports
from windsock.records import WatchInput, WatchReport
from windsock.watchdog.due_work import due_work
from windsock.watchdog.faults import Faults
from windsock.watchdog.rooms import Rooms


def watch(step: WatchInput, ports: Ports, key: str, rooms: Rooms) -> WatchReport:
    """Find the work that is due, and judge windows that nobody used.

    Nothing is raised: what could not be looked at is a fault in the report, and the other models have their
    look. Work is announced by who runs the step.

    :param rooms: what the other rooms know.
    """
    faults = Faults()
    faults.told += list(step.broken)
    due, emptied = due_work(step.specs, ports, rooms, faults)
    return WatchReport(
        models=len(step.specs),
        due=due,
        emptied=emptied,
        faults=tuple(faults.told),
        away=tuple(faults.away),
    )


__all__ = ["watch"]
