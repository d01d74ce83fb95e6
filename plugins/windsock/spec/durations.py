"""Durations as people write them in YAML: ``30d``, ``12h``, ``90m``, ``1d 6h``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from windsock.spec.faults import NotAllowedError

UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
PART = re.compile(r"([0-9]{1,6})\s*([wdhms])")
WHOLE = re.compile(r"\s*([0-9]{1,6}\s*[wdhms]\s*)+")
LONGEST = timedelta(days=36_500)
ALLOWED = "a time span such as 30d, 12h, 90m or '1d 6h', more than nothing and at most 36500d"


def parse_duration(text: str) -> timedelta:
    """Turn ``30d`` or ``1d 6h`` into a time span.

    :param text: numbers with one of the units w, d, h, m, s; in sum more than zero, at most 36500d.
    :raises ValueError: if anything else stands there.
    """
    compact = text.strip().lower()
    seconds = 0
    if len(compact) <= 100 and WHOLE.fullmatch(compact):
        seconds = sum(int(number) * UNITS[unit] for number, unit in PART.findall(compact))
    if not 0 < seconds <= LONGEST.total_seconds():
        raise NotAllowedError("no time span", allowed=ALLOWED)
    return timedelta(seconds=seconds)


def _duration_text(value: object) -> object:
    if isinstance(value, str):
        parse_duration(value)
        return value.strip().lower()
    raise NotAllowedError("no time span", allowed=ALLOWED, cure="write a number with a unit: w, d, h, m or s")


Duration = Annotated[
    str,
    BeforeValidator(_duration_text),
    Field(json_schema_extra={"pattern": r"^\s*(\d{1,6}\s*[wdhmsWDHMS]\s*)+$"}),
]
"""A validated span, kept as the text that the user wrote."""
