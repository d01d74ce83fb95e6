"""Realised metrics among the numbers of a kept verdict, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from windsock.records import Interval, MetricValue

REALISED, LOW, HIGH, N = "realised", "realised_low", "realised_high", "realised_n"
"""Numbers of a verdict, with the metric behind a colon."""


def metrics_of(numbers: Mapping[str, float]) -> tuple[MetricValue, ...]:
    """Return the realised metrics of a verdict that have an interval, from its numbers."""
    found = []
    for key, value in numbers.items():
        kind, _, name = key.partition(":")
        low, high, n = (numbers.get(f"{part}:{name}") for part in (LOW, HIGH, N))
        if kind == REALISED and low is not None and high is not None and n is not None:
            interval = Interval(low=low, high=high)
            found.append(MetricValue(name=name, value=value, n=int(n), interval=interval))
    return tuple(found)


def numbers_of_intervals(metrics: Sequence[MetricValue]) -> dict[str, float]:
    """Return what a verdict keeps of its metrics' intervals, so that a person can accept them."""
    numbers: dict[str, float] = {}
    for one in metrics:
        if one.value is not None and one.interval is not None:
            kept = {LOW: one.interval.low, HIGH: one.interval.high, N: float(one.on_rows)}
            numbers |= {f"{part}:{one.name}": number for part, number in kept.items()}
    return numbers
