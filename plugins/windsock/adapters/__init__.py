"""The outside world: one external tool each, behind a port. Heavy imports stand inside functions."""

from __future__ import annotations
