"""Links: what turns an estimator's sums into answers, in plain Python, which few numbers need no arrays for.

All in 64 bits: an inference library that computes them in 32 is off by 6e-8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from windsock.adapters.compiled.form import Link

Sums = list[list[float]]


def _none(sums: Sums) -> Sums:
    return sums


def _share(sums: Sums) -> Sums:
    return [[1.0 - share, share] for (share,) in sums]


def _logistic(sums: Sums) -> Sums:
    shares = [_expit(row[0]) for row in sums]
    return [[1.0 - share, share] for share in shares]


def _expit(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)


def _softmax(sums: Sums) -> Sums:
    answers = []
    for row in sums:
        largest = max(row)
        powers = [math.exp(value - largest) for value in row]
        total = math.fsum(powers)
        answers.append([power / total for power in powers])
    return answers


def _exp(sums: Sums) -> Sums:
    return [[math.exp(value) if value < 709 else math.inf for value in row] for row in sums]


LINKS: Mapping[Link, Callable[[Sums], Sums]] = {
    "none": _none,
    "share": _share,
    "logistic": _logistic,
    "softmax": _softmax,
    "exp": _exp,
}
