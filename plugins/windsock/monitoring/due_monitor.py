"""What the monitor of a model has to do now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from windsock.ports import Ports
from windsock.records import ModelWork
from windsock.spec import ModelSpec


def due_monitor(specs: Sequence[ModelSpec], ports: Ports) -> Callable[[ModelSpec], ModelWork]:
    """Return a function that says of each model what its monitor has to do now."""
    return lambda spec: ModelWork()
