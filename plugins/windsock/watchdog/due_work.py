"""What is due, of all models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from windsock.ports import Ports
from windsock.records import DueWork, ModelWork
from windsock.spec import ModelSpec
from windsock.watchdog.faults import Faults
from windsock.watchdog.rooms import Rooms


def due_work(
    specs: Sequence[ModelSpec], ports: Ports, rooms: Rooms, faults: Faults
) -> tuple[tuple[DueWork, ...], int]:
    """Return what is due, and how many windows without rows have their verdict now.

    A model that cannot be looked at is a fault, and the others are looked at all the same.
    """
    nothing = ModelWork()
    looked: list[ModelWork] = []
    monitor = faults.run("the windows of all models", lambda: rooms.monitor(specs, ports), None)
    for spec in specs:
        if monitor is not None and spec.monitoring.is_on:
            looked.append(faults.run(f"windows of {spec.name}", partial(monitor, spec), nothing))
        if spec.rollout.strategy != "direct":
            looked.append(faults.run(f"rollout of {spec.name}", partial(rooms.rollout, spec, ports), nothing))
    return tuple(one.due for one in looked if one.due is not None), sum(one.emptied for one in looked)
