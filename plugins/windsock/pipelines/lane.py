"""The emergency lane: which tasks go first, and which run in a pool of their own so that a slot stays free.

Airflow takes tasks by their weight whenever a slot of the executor is free. The weights are absolute: what
follows a task, and how many DAGs wait, changes nothing.
"""

from __future__ import annotations

from typing import Any


def _weight(weight: int) -> dict[str, Any]:
    return {"priority_weight": weight, "weight_rule": "absolute"}


EMERGENCY = _weight(1000)
"""A roll back: before everything."""
PROMPT = _weight(100)
"""What a person or the traffic waits for: answers, promotions, rollouts, watchdog, housekeeping."""
USUAL = _weight(10)
"""Everything else of a model."""
HEAVY = _weight(1)
"""Snapshots, validations, candidates, evaluations: in the pool of the model's compute class."""

__all__ = ["EMERGENCY", "HEAVY", "PROMPT", "USUAL"]
