"""Each case of missing evidence from lines of the log through the real count to its right end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from support.rollout_cases import make_plan
from support.rollout_log import RolloutLog, at, happened, refused, rollout, shown
from windsock.records import Rollout, RolloutAction
from windsock.rollout.assignment import Assignment
from windsock.rollout.decision import decide

HOLD, PROMOTE, ROLL_BACK = RolloutAction.HOLD, RolloutAction.PROMOTE, RolloutAction.ROLL_BACK
UNITS = 1_600
DAY, WEEKS = 1_500, 28 * 1_440
"""Minutes from the start of the two looks: more than a day, and at the deadline."""
QUICK: dict[str, Any] = {"minimum_units": 200, "cycle": "1d", "deadline": "28d"}


class User(NamedTuple):
    """A unit, its arm, and the minute in which it asked."""

    number: int
    arm: str
    minute: float

    @property
    def unit(self) -> str:
        return f"u{self.number}"

    @property
    def converts(self) -> bool:
        return self.number % 3 == 0


def users(one: Rollout) -> Iterator[User]:
    share = one.share or 10_000
    arms = Assignment(
        {"challenger": share, "champion": 10_000 - share}, salt=one.salt, experiment=one.experiment
    )
    for number in range(UNITS):
        yield User(number, arms.arm(f"u{number}"), 1 + number * 50 / UNITS)


def answer(user: User, **fields: Any) -> Any:
    return shown(f"p{user.number}", unit=user.unit, minute=user.minute, variant=user.arm, **fields)


def outcome(user: User, said: Any = True, **fields: Any) -> Any:
    about = {"unit": user.unit, "event_id": f"e{user.number}", **fields}
    return happened(said, minute=user.minute + 3, **about)


def sound(user: User) -> Iterator[Any]:
    yield answer(user)
    if user.converts:
        yield outcome(user)


def silent(user: User) -> Iterator[Any]:
    yield answer(user)


def another_word(user: User) -> Iterator[Any]:
    yield answer(user)
    if user.converts and (user.arm == "champion" or user.number % 2):  # the challenger halves conversions
        yield outcome(user, "purchase")


def another_spelling(user: User) -> Iterator[Any]:
    yield answer(user)
    if user.converts:
        yield outcome(user, unit=user.unit.upper())


def clock_behind(user: User) -> Iterator[Any]:
    yield answer(user)
    if user.converts:
        yield outcome(user, event_time=at(user.minute - 57))


def refusing(user: User) -> Iterator[Any]:
    if user.arm == "challenger" and user.number % 5 == 1:
        fields = {"unit": user.unit, "minute": user.minute, "variant": user.arm}
        yield refused(f"p{user.number}", **fields, cause="unanswerable")
    else:
        yield from sound(user)


def raising_shadow(user: User) -> Iterator[Any]:
    fields: dict[str, Any] = {"unit": user.unit, "minute": user.minute}
    yield shown(f"p{user.number}", **fields)
    if user.number % 5 == 1:
        yield refused(f"p{user.number}", **fields, variant="shadow", cause="failed")
    else:
        yield shown(f"p{user.number}", **fields, variant="shadow")
    yield happened(False, minute=user.minute + 3, prediction_id=f"p{user.number}")


def labels_lost(user: User) -> Iterator[Any]:
    yield answer(user)
    if user.arm == "champion" or user.number % 3:
        yield happened(user.number % 10 == 0, minute=user.minute + 3, prediction_id=f"p{user.number}")


def labelled(user: User) -> Iterator[Any]:
    yield answer(user)
    if user.number % 2:
        yield happened(user.number % 11 == 0, minute=user.minute + 3, prediction_id=f"p{user.number}")


def reused_ids(user: User) -> Iterator[Any]:
    yield shown(f"p{user.number % 800}", unit=user.unit, minute=user.minute, variant=user.arm)
    if user.converts:
        yield outcome(user)


def bots(user: User) -> Iterator[Any]:
    yield answer(user)
    if user.converts:
        yield outcome(user)
    for again in range(1_500 if user.number in (3, 4) else 0):
        name = f"p{user.number}.{again}"
        yield shown(name, unit=user.unit, minute=user.minute + 1 + again / 1_000, variant=user.arm)


class Case(NamedTuple):
    """What each user does, under which plan, and the right end: after a day, at the deadline, and why."""

    acts: Callable[[User], Iterator[Any]]
    code: str
    end: RolloutAction
    last: RolloutAction
    plan: dict[str, Any]


MARGIN = {"not_worse": 0.2, "confirmed": True}
CONVERSION: dict[str, Any] = {"strategy": "canary", "steps": [50, 100], "promote": MARGIN}
BY_LABEL: dict[str, Any] = {**CONVERSION, "metric": "accuracy"}
CASES = {
    "sound": Case(sound, "026", PROMOTE, PROMOTE, CONVERSION),
    "no outcome": Case(silent, "027", HOLD, ROLL_BACK, CONVERSION),
    "another word": Case(another_word, "031", HOLD, ROLL_BACK, CONVERSION),
    "another word than the one that is named": Case(
        another_word, "031", HOLD, ROLL_BACK,
        {**CONVERSION, "metric": "sold", "metrics": {"sold": {"kind": "conversion", "outcome": "sold"}}},
    ),
    "another spelling": Case(another_spelling, "032", HOLD, ROLL_BACK, CONVERSION),
    "a clock an hour behind": Case(clock_behind, "033", HOLD, ROLL_BACK, CONVERSION),
    "a challenger that refuses 20 %": Case(refusing, "025", ROLL_BACK, ROLL_BACK, CONVERSION),
    "a shadow that raises for 20 %": Case(
        raising_shadow, "025", ROLL_BACK, ROLL_BACK,
        {"strategy": "shadow", "metric": "accuracy", "promote": MARGIN},
    ),
    "labels": Case(labelled, "026", PROMOTE, PROMOTE, BY_LABEL),
    "labels lost in one arm": Case(labels_lost, "028", HOLD, ROLL_BACK, BY_LABEL),
    "ids used again": Case(reused_ids, "021", HOLD, ROLL_BACK, CONVERSION),
    "bots, capped": Case(
        bots, "026", PROMOTE, PROMOTE, {**CONVERSION, "metric": "ctr", "unit_cap": 20}
    ),
    "bots, not capped": Case(
        bots, "029", HOLD, ROLL_BACK, {**CONVERSION, "metric": "ctr", "unit_cap": None}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_case_comes_to_its_right_end(case: Case, tmp_path: Any) -> None:
    block = {**QUICK, **case.plan}
    one = rollout(make_plan(block.pop("strategy"), **block))
    log = RolloutLog(tmp_path)
    log.write(*(event for user in users(one) for event in case.acts(user)))
    for minute, right in ((DAY, case.end), (WEEKS, case.last)):
        log.archive(minute)
        totals = log.totals(one, minute)
        for arm in (totals.champion, totals.challenger):
            assert arm.exposures == arm.answered + arm.fallbacks + arm.refused
        made = decide(one, totals, (), number=1, now=at(minute))
        assert (made.action, f"WS-ROLLOUT-{case.code}" in made.reason) == (right, True), made.reason
