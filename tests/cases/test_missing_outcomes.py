"""Rollouts that were promoted without the outcomes that say so, or at too large a loss; see the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.rollout_cases import (
    after,
    make_answers,
    make_conversions,
    make_plan,
    make_rollout,
    make_totals,
    plan_of_before,
)
from windsock.records import RolloutPlan, StepTotals
from windsock.rollout.decision import decide

pytestmark = pytest.mark.cases
CANARY = plan_of_before()
"""As plans were when these cases were promoted: an absolute margin of 0.02."""
NEW = make_plan("canary")
UNITS = {"units": 6_000}


def end_of(totals: StepTotals, plan: RolloutPlan, days: float) -> tuple[str, bool]:
    """Return what a last step comes to, and whether the promotion has an interval."""
    rollout = make_rollout(plan)
    seen = totals.model_copy(update={"step": rollout.step})
    made = decide(rollout, seen, (), number=1, now=after(days=days))
    promotion = next(check for check in made.checks if check.name == "promotion")
    return made.action.value, promotion.interval is not None


@pytest.mark.parametrize("plan", [CANARY, NEW], ids=["a plan of before", "a new plan"])
@pytest.mark.parametrize(
    ("name", "totals"),
    [
        ("12,000 units, no outcome", make_conversions(0, 0, **UNITS)),
        ("another word, conversions halved", make_conversions(0, 0, **UNITS, unusable=2_640)),
        ("U1 for u1", make_conversions(0, 0, **UNITS, unknown=2_767)),
        ("a clock an hour behind", make_conversions(0, 0, **UNITS, early=2_674)),
        ("0.2 % -> 0, 12 conversions", make_conversions(12, 0, **UNITS, outcomes=12)),
        ("no conversion of one arm, few of the other", make_conversions(5, 0, **UNITS, outcomes=5)),
        ("everybody has an outcome above 0", make_conversions(6_000, 6_000, **UNITS, outcomes=12_000)),
    ],
)
def test_no_outcome(case: Callable[..., None], name: str, totals: StepTotals, plan: RolloutPlan) -> None:
    about = "before" if plan is CANARY else "new"
    case(f"{name} ({about})", right=("hold", False), got=end_of(totals, plan, 8))
    case(f"{name}, at the deadline ({about})", right=("roll_back", False), got=end_of(totals, plan, 28))


@pytest.mark.parametrize(
    ("name", "totals", "right"),
    [
        ("1 % -> 0.5 %, 12,000 units", make_conversions(60, 30, **UNITS, outcomes=90), "hold"),
        ("1 % -> 0.9 %, 12,000 units", make_conversions(60, 54, **UNITS, outcomes=114), "hold"),
        ("1 % -> 1 %, 2,000,000 units", make_conversions(10_000, 10_000, units=10**6, outcomes=1), "promote"),
        ("50 % -> 49.9 %", make_conversions(25_000, 24_950, units=50_000, outcomes=49_950), "promote"),
    ],
)
def test_margins(case: Callable[..., None], name: str, totals: StepTotals, right: str) -> None:
    plan = NEW.model_copy(update={"limits": {}, "metrics": {"conversion": NEW.metrics["conversion"]}})
    case(name, right=right, got=end_of(totals, plan, 8)[0])


REFUSED: dict[str, Any] = {"labelled": 18_000, "right": 16_000, "refused": 2_000}


@pytest.mark.parametrize(
    ("name", "challenger", "right"),
    [
        ("refuses 10 %, right 80 of 100 against 85", REFUSED, "roll_back"),
        ("refuses 30 %, right of what it answers", {"right": 12_600, "refused": 6_000}, "roll_back"),
        ("refuses 1 in 1,000", {"right": 17_000, "refused": 20}, "promote"),
        ("refuses none", {"right": 17_000}, "promote"),
    ],
)
def test_refusals(case: Callable[..., None], name: str, challenger: dict[str, Any], right: str) -> None:
    plan = make_plan("canary", metric="accuracy")
    totals = make_totals(make_answers(20_000, right=17_000), make_answers(20_000, **challenger))
    case(name, right=right, got=end_of(totals, plan, 8)[0])


@pytest.mark.parametrize(
    ("name", "totals", "right"),
    [
        ("88 in another word", make_conversions(0, 0, **UNITS, unusable=88), 88),
        ("2,767 with another unit", make_conversions(0, 0, **UNITS, unknown=2_767), 2_767),
        ("60 of a clock behind, 40 count", make_conversions(20, 20, **UNITS, outcomes=40, early=60), 100),
        ("none", make_conversions(0, 0, **UNITS), 0),
        ("sound ones", make_conversions(600, 600, **UNITS, outcomes=1_200), 1_200),
    ],
)
def test_n_of_the_outcomes_is_what_was_read(
    case: Callable[..., None], name: str, totals: StepTotals, right: int
) -> None:
    rollout = make_rollout(NEW)
    seen = totals.model_copy(update={"step": rollout.step})
    made = decide(rollout, seen, (), number=1, now=after(days=8))
    check = next(check for check in made.checks if check.name == "outcomes")
    case(name, right=right, got=check.n)
