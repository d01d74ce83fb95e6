"""Texts of people and of data in Markdown: they are shown as they were written and make no structure."""

from __future__ import annotations

from windsock.texts import DIRECTION, MOST_CHARACTERS, SPECIAL, inline, table

__all__ = ["DIRECTION", "MOST_CHARACTERS", "SPECIAL", "inline", "table"]
