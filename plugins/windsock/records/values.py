"""What a feature's value means before any model sees it: the two rules that every reader of rows keeps."""

from __future__ import annotations

from typing import Any

LARGEST = 1e30
"""A number beyond this is taken for infinite: forests compute with 32 bits, and squares must not overflow."""
MISSING_WORDS = frozenset(
    {"na", "n/a", "nan", "null", "none", "nil", "#n/a", "#na", "<na>", "nat", "-", "--", "?", "."}
)
"""Words that stand for no value where all others are numbers, truths or dates; in small letters."""
MOST_UNREAD = 0.05
"""Share of a column's values that may not fit its kind; of a target, none may."""


def category_text(value: Any) -> str:
    """Return a category as text: ``3`` and ``3.0`` are the same one."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
