"""What an interval is found to be: the ends, the number that carries it, or why there is none."""

from __future__ import annotations

import math
from typing import NamedTuple

from windsock.records import Interval
from windsock.statistics.proportions import LEVEL
from windsock.statistics.units import LEAST_ENTITIES, Units


class Found(NamedTuple):
    """An interval and what carries it.

    :param n: how many of ``unit`` carry the value.
    :param unit: what is counted, such as ``positives``.
    :param reason: why there is no interval.
    """

    interval: Interval | None
    n: int
    unit: str = "rows"
    reason: str = ""


def interval_between(low: float, high: float) -> Interval:
    """Return an interval of the usual level."""
    return Interval(low=low, high=high, level=LEVEL)


def widest(*intervals: tuple[float, float]) -> tuple[float, float]:
    """Return the lowest low and the highest high end."""
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def around(value: float, downs: list[float], ups: list[float]) -> tuple[float, float]:
    """Return the ends of a sum of independent parts: square-and-add (MOVER, Zou and Donner 2008).

    :param downs: how far each part reaches down, times its weight.
    """
    return value - math.hypot(*downs), value + math.hypot(*ups)


def too_few_entities(entities: int, units: Units, what: str = "entities") -> str:
    """Return why entities are too few for an interval; empty where they are not, or no rows share one."""
    if not units.clustered or entities >= LEAST_ENTITIES:
        return ""
    return f"{entities} effective {what}, at least {LEAST_ENTITIES} needed where rows share one"
