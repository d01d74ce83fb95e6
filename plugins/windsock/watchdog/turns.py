"""Whose turn it is at a look: of many models, and of their large bundles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zlib import crc32

LOOK_SECONDS = 120
ALL_AT_ONCE = 20
"""Of so many models everything is asked at each look; of more, of each one at every fifth."""
TURNS = 5
LARGE_TURNS = 6 * TURNS
"""A large bundle is read at one look of so many, an hour: a multiple of :data:`TURNS` and by the same name,
so that it is always one of its model's looks."""


def turns(models: int, now: datetime) -> Callable[[str], bool]:
    """Return whose turn it is: of few models everybody's, of many a fifth's at each look.

    :param models: how many there are.
    """
    if models <= ALL_AT_ONCE:
        return lambda _: True
    return lambda model: _is_turn(model, now, TURNS)


def is_turn_of_large(model: str, now: datetime) -> bool:
    """Return whether this look of the hour is the one at which a model's large bundle is read."""
    return _is_turn(model, now, LARGE_TURNS)


def _is_turn(model: str, now: datetime, of: int) -> bool:
    return int(now.timestamp() // LOOK_SECONDS) % of == crc32(model.encode()) % of
