"""Random tables whose words change in a month: the champion's score stays, or the comparison is an error."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from support.builders import digest, make_difference, make_evaluation, make_spec, make_validation
from support.fakes import fake_ports
from support.months import CHANGES, asked, champion_of, change, first_month, take
from windsock.exceptions import WindsockError
from windsock.governance.checks import Case, required_checks, run_check
from windsock.governance.gate_model import decide
from windsock.records import Champion, GateModelInput, Outcome

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
            came, why = asked(champion, first, second)
        except WindsockError:
            came = "refused"  # such as a month without two classes
        if came == "error" and promotes(why):
            came = "promoted"
        seen[what, came] += 1
    return seen


def promotes(why: str) -> bool:
    """Return whether the gate promotes, asking nobody, on a comparison that is an error; all else is good."""
    silent = make_difference(
        0, 0, opponent="champion", value=None, interval=None, opponent_value=None, error=why
    )
    champion = Champion(model="churn", version="1", digest=digest("c"), bundle_uri="", epoch=1)
    evaluation = make_evaluation(champion=champion, against_champion=silent)
    for policy in ("refuse", "ask"):
        spec = make_spec(gate={"on_insufficient": policy})
        step = GateModelInput(spec=spec, validation=make_validation(), evaluation=evaluation)
        required = required_checks(spec, first_model=False, silent_champion=True)
        case = Case(step, fake_ports(), champion)
        said = decide(required, [run_check(name, case) for name in required], policy)
        if said.outcome is Outcome.PROMOTE and not said.asks:
            return True
    return False


def require_no_wrong_one(seen: Counter[tuple[str, str]]) -> None:
    wrong = {what: count for (what, came), count in seen.items() if came in ("wrong", "promoted")}
    assert wrong == {}
    assert sum(count for (_, came), count in seen.items() if came == "kept") > sum(seen.values()) / 3


@pytest.mark.slow
def test_some_tables() -> None:
    require_no_wrong_one(outcomes(range(20)))


@pytest.mark.acceptance
def test_two_hundred_tables() -> None:
    require_no_wrong_one(outcomes(range(200)))
