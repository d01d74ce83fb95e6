"""What is due, of all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from windsock.faults import Faults
from windsock.ports import Ports
from windsock.records import DueWork, LedgerRow, ModelWork
from windsock.spec import ModelSpec
from windsock.watchdog.rooms import Look, Rooms

NOTHING = ModelWork()


def due_work(
    specs: Sequence[ModelSpec],
    ledgers: Mapping[str, Sequence[LedgerRow]],
    ports: Ports,
    rooms: Rooms,
    faults: Faults,
) -> tuple[tuple[DueWork, ...], int]:
    """Return what is due, and how many windows without rows have their verdict now.

    A model that cannot be looked at is a fault, and the others are looked at all the same.

    :param ledgers: the rows of each model's ledger; a model that is not among them is left out.
    """
    read = [spec for spec in specs if spec.name in ledgers]
    watched = [spec for spec in read if spec.monitoring.is_on]
    nobody: Look = lambda spec, rows: NOTHING  # noqa: E731
    monitor = faults.run("the windows of all models", partial(rooms.monitor, watched, ports), nobody)
    found: list[ModelWork] = []
    for spec in watched:
        look: Callable[[], ModelWork] = partial(monitor, spec, ledgers[spec.name])
        found.append(faults.run(f"the windows of {spec.name}", look, NOTHING))
    for spec in read:
        if spec.rollout.strategy != "direct":
            look = partial(rooms.rollout, spec, ledgers[spec.name], ports)
            found.append(faults.run(f"the rollout of {spec.name}", look, NOTHING))
    return tuple(one.due for one in found if one.due is not None), sum(one.emptied for one in found)


__all__ = ["due_work"]
