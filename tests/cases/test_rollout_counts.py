"""What a rollout's exposures and outcomes come to; see the table that is printed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from support.rollout_log import RolloutLog, at, happened, plan, refused, rollout, shown

pytestmark = pytest.mark.cases
ARM = {"variant": "challenger"}
SECOND = timedelta(seconds=1)


@pytest.fixture
def log(tmp_path: Path) -> RolloutLog:
    return RolloutLog(tmp_path)


@pytest.mark.parametrize(
    ("name", "behind", "event", "right"),
    [
        ("a conversion 1 s after the answer, a clock 3 s behind", 3, False, (20, 0)),
        ("the same with the client's own time", 3, True, (20, 0)),
        ("a clock 4 minutes behind", 240, False, (20, 0)),
        ("a clock an hour behind", 3600, False, (0, 20)),
    ],
)
def test_clocks(
    case: Callable[..., None], log: RolloutLog, name: str, behind: int, event: bool, right: tuple[int, int]
) -> None:
    for number in range(20):
        answered = at(70) + number * SECOND
        log.write(shown(f"{number}", unit=f"u{number}", receive_time=answered))
        told = answered + SECOND - behind * SECOND
        moment = told if event else None
        log.write(
            happened(unit=f"u{number}", event_id="e", receive_time=told, event_time=moment), name=f"o{number}"
        )
    totals = log.totals(rollout(plan("conversion")), 100)
    case(name, right=right, got=(int(totals.champion.metrics["conversion"].num), totals.early))


def test_ids_that_come_again(case: Callable[..., None], log: RolloutLog) -> None:
    log.write(*(shown(f"{number % 5}", unit=f"u{number}", minute=number / 10) for number in range(200)))
    totals = log.totals(rollout(), 30)
    case("200 units share 5 prediction ids", right=(5, 195), got=(totals.units, totals.reused))


def test_steps(case: Callable[..., None], log: RolloutLog) -> None:
    """Users of the champion in step 1 are the challenger's in step 2; what they bought is the champion's."""
    one = rollout(plan("conversion", attribution="7d"), step=1, step_since=at(60))
    for number in range(30):
        unit = f"u{number}"
        log.write(shown(f"1-{number}", unit=unit, minute=5, epoch=6))
        log.write(shown(f"2-{number}", unit=unit, minute=65, **ARM))
        if number < 12:
            log.write(happened(unit=unit, event_id="e", minute=70 + number), name=f"o{number}")
    log.write(happened(prediction_id="1-29", minute=90))
    totals = log.totals(one, 110)
    got = (int(totals.challenger.metrics["conversion"].num), totals.carried, totals.earlier, totals.unknown)
    case("12 conversions of step 1 in step 2", right=(0, 12, 1, 0), got=got)


def test_refusals(case: Callable[..., None], log: RolloutLog) -> None:
    for number in range(50):
        log.write(shown(f"a{number}", unit=f"a{number}", minute=1))
        answer = refused if number % 5 == 0 else shown
        log.write(answer(f"b{number}", unit=f"b{number}", minute=2, **ARM))
    totals = log.totals(rollout(plan("errors")), 30)
    arms = (totals.champion, totals.challenger)
    case(
        "the challenger refuses 10 of 50",
        right=[(50, 0), (50, 10)],
        got=[(arm.units, int(arm.metrics["errors"].num)) for arm in arms],
    )


def test_a_failing_shadow(case: Callable[..., None], log: RolloutLog) -> None:
    for number in range(10):
        log.write(shown(f"{number}", unit=f"u{number}"))
        log.write(refused(f"{number}", unit=f"u{number}", variant="shadow"))
    totals = log.totals(rollout(plan("errors", strategy="shadow", shares=(0,))), 30)
    errors = totals.challenger.metrics["errors"]
    case("a shadow that raises", right=(10, 10), got=(totals.challenger.units, int(errors.num)))


def test_a_retry(case: Callable[..., None], log: RolloutLog) -> None:
    log.write(refused("1", unit="a", cause="overloaded", **ARM), shown("1", unit="a", minute=2, **ARM))
    totals = log.totals(rollout(plan("errors")), 30)
    arm = totals.challenger
    got = (arm.exposures, arm.answered, int(arm.metrics["errors"].num), totals.repeated_exposures)
    case("refused, and answered when asked again", right=(1, 1, 0, 0), got=got)
