"""The prediction log's windows, counted once against a profile."""

from __future__ import annotations

from windsock.adapters.window_counts.counter import ArchiveWindowCounter

__all__ = ["ArchiveWindowCounter"]
