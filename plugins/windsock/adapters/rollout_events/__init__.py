"""Exposures and outcomes of a rollout, counted by unit."""

from __future__ import annotations

from windsock.adapters.rollout_events.events import ArchiveRolloutEvents

__all__ = ["ArchiveRolloutEvents"]
