"""``watch``: one look at an installation: what is due, and what cannot work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from windsock.faults import Faults
from windsock.ports import Ports
from windsock.records import LedgerRow, WatchInput, WatchReport
from windsock.watchdog.due_work import due_work
from windsock.watchdog.rooms import Rooms

log = logging.getLogger(__name__)


def watch(step: WatchInput, ports: Ports, key: str, rooms: Rooms) -> WatchReport:
    """Find the work that is due, and judge windows that nobody used.

    Nothing is raised: what could not be looked at is a fault in the report, and the other models have their
    look. Work is announced by who runs the step.

    :param rooms: what the other rooms know.
    """
    faults = Faults("WS-WATCH-001", log)
    faults.told += list(step.broken)
    ledgers = _ledgers(step, ports, faults)
    due, emptied = due_work(step.specs, ledgers, ports, rooms, faults)
    return WatchReport(
        models=len(step.specs),
        due=due,
        emptied=emptied,
        faults=tuple(faults.told),
        away=tuple(faults.away),
    )


def _ledgers(step: WatchInput, ports: Ports, faults: Faults) -> dict[str, Sequence[LedgerRow]]:
    """Return the ledger of each model that can be read; read once for all that looks at it."""
    none: Sequence[LedgerRow] | None = None
    read = {
        spec.name: faults.run(f"the ledger of {spec.name}", partial(ports.ledger.rows, spec.name), none)
        for spec in step.specs
    }
    return {name: rows for name, rows in read.items() if rows is not None}


__all__ = ["watch"]
