"""The governance room: gate, evidence, registration, approval, promotion."""

from __future__ import annotations
