"""Random tables whose words change in a month: the champion's score stays, or the comparison is an error."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from support.months import CHANGES, asked, champion_of, change, first_month, take
from windsock.exceptions import WindsockError

TARGETS = ("words", "digits", "classes", "stars")


def outcomes(tables: range) -> Counter[tuple[str, str]]:
    """Return how often what came of which change."""
    seen: Counter[tuple[str, str]] = Counter()
    for number in tables:
        random = np.random.default_rng(number)
        what = list(CHANGES)[number % len(CHANGES)]
        table = first_month(random, TARGETS[(number // len(CHANGES)) % len(TARGETS)])
        first = take(table)
        champion = champion_of(first)
        try:
            second = take(change(table, random, what))
            came = asked(champion, first, second)
        except WindsockError:
            came = "refused"  # such as a month without two classes
        seen[what, came] += 1
    return seen


def require_no_wrong_one(seen: Counter[tuple[str, str]]) -> None:
    wrong = {what: count for (what, came), count in seen.items() if came == "wrong"}
    assert wrong == {}
    assert sum(count for (_, came), count in seen.items() if came == "kept") > sum(seen.values()) / 3


@pytest.mark.slow
def test_some_tables() -> None:
    require_no_wrong_one(outcomes(range(20)))


@pytest.mark.acceptance
def test_two_hundred_tables() -> None:
    require_no_wrong_one(outcomes(range(200)))
