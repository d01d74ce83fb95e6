"""Durations as people write them in YAML: ``30d``, ``12h``, ``90m``, ``1d 6h``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
PART = re.compile(r"(\d{1,6})\s*([wdhms])")


def parse_duration(text: str) -> timedelta:
    """Turn ``30d`` or ``1d 6h`` into a time span.

    :param text: numbers with one of the units w, d, h, m, s; at least one, and more than zero in sum.
    :raises ValueError: if anything else stands there.
    """
    compact = text.strip().lower()
    rest = PART.sub("", compact)
    seconds = sum(int(number) * UNITS[unit] for number, unit in PART.findall(compact))
    if rest.strip() or seconds <= 0:
        raise ValueError("write a time span such as 30d, 12h, 90m or '1d 6h'")
    return timedelta(seconds=seconds)


def _duration_text(value: object) -> object:
    if isinstance(value, str):
        parse_duration(value)
        return value.strip().lower()
    raise ValueError("write a time span as text, such as 30d, 12h or 90m")


Duration = Annotated[str, BeforeValidator(_duration_text)]
"""A validated span, kept as the text that the user wrote."""
