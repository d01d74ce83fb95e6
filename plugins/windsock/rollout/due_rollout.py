"""What the rollout DAG of a model has to do now."""

from __future__ import annotations

from windsock.ports import Ports
from windsock.records import ModelWork
from windsock.spec import ModelSpec


def due_rollout(spec: ModelSpec, ports: Ports) -> ModelWork:
    """Return what the rollout DAG has to do now."""
    return ModelWork()
