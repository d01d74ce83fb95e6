"""How many rows would decide: for the value that was seen, in the words of a verdict."""

from __future__ import annotations

import math

from windsock.records import Interval
from windsock.statistics.proportions import MOST_ROWS, rows_to_prove
from windsock.statistics.verdict_intervals import METHODS

OUTSIDE = "no number of rows would do: the value itself is not inside the limit"


def needed_to_prove(
    value: float, interval: Interval, limit: float, *, n: int, rising: bool, proportion: bool
) -> int | None:
    """Return how many of what carries a value would prove that it is inside a limit, were it the same.

    Exact for one share of counts; else by the width, which falls with the root of the number.

    :param n: how many carry it now.
    :param rising: whether the value must be above the limit; else below.
    :param proportion: whether it is one share of counts, each of a unit of its own.
    :returns: ``None`` where no number would do, since the value is not inside the limit.
    """
    room = value - limit if rising else limit - value
    if room <= 0:
        return None
    if proportion and rising and 0 <= value <= 1:
        return rows_to_prove(value, limit)
    reach = value - interval.low if rising else interval.high - value
    return max(n + 1, math.ceil(round(min(float(MOST_ROWS), n * (reach / room) ** 2), 6)))


def needed_text(
    metric: str | None,
    value: float,
    interval: Interval,
    limit: float,
    *,
    n: int,
    unit: str,
    of: int,
    rising: bool,
) -> str:
    """Return which n would do, as the end of a sentence.

    :param metric: of a model alone; ``None``: the value is a difference.
    :param of: all rows.
    """
    method = METHODS.get(metric) if metric else None
    exact = method is not None and method.proportion and "entities" not in unit and n > 0
    needed = needed_to_prove(value, interval, limit, n=n, rising=rising, proportion=exact)
    if needed is None:
        return OUTSIDE
    rows = f" (about {math.ceil(of * needed / n):,} rows)" if n and unit != "rows" else ""
    return f"with this value {'' if exact else 'about '}{needed:,} {unit}{rows} would do"
