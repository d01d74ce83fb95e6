"""Answers that were called good because the bar had sunk with the version, or because a line did not fall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.performance import CHAMPION, Scene, answers, check_of, coin, metric
from windsock.monitoring.performance_verdict import quality_of
from windsock.records import CheckResult, LedgerAction, LedgerEntry, ReferencePerformance, Status

pytestmark = pytest.mark.cases

BY_ACCURACY: dict[str, Any] = {"training": {"metric": "accuracy"}}


def judged(own: float, right: float, *, first: float | None = None, minimum: float | None = None) -> Status:
    """Return the word on a version with its own held-out value, after a first champion with another one."""
    gate = {"gate": {"minimum": {"accuracy": minimum}}} if minimum is not None else {}
    reference = ReferencePerformance(rows=5000, realised=(metric("accuracy", own),))
    scene = Scene(reference, spec={**BY_ACCURACY, **gate})
    if first is not None:
        ledger = scene.ports.ledger
        kept = [metric("accuracy", first).model_dump(mode="json")]
        entry = LedgerEntry(
            model="churn",
            action=LedgerAction.COMMIT,
            epoch=9,
            version="1",
            digest=CHAMPION,
            actor="scheduler",
            body={"bundle_uri": ledger.champion("churn").bundle_uri, "baseline": kept},
        )
        ledger.append(entry, after_seq=ledger.rows("churn")[-1].seq)
    return scene.look(answers(*coin(5000, right=right))).status


@pytest.mark.parametrize(
    ("name", "own", "right", "more", "word"),
    [
        ("held-out .60 after a champion of .90", 0.6, 0.6, {"first": 0.9}, Status.FAIL),
        ("held-out .43, useless as on its own rows", 0.43, 0.43, {}, Status.FAIL),
        ("below the minimum that it was let in by", 0.72, 0.68, {"minimum": 0.7}, Status.FAIL),
        ("useful by little, as it was accepted", 0.56, 0.56, {}, Status.PASS),
    ],
)
def test_a_sunken_bar(
    case: Callable[..., None], name: str, own: float, right: float, more: dict[str, float], word: Status
) -> None:
    case(name, right=word, got=judged(own, right, **more))


def test_a_line_that_does_not_fall_says_nothing_of_how_good_answers_are(case: Callable[..., None]) -> None:
    trend = CheckResult(name="performance_trend:f1", status=Status.PASS, code="WS-MONITORING-031")
    drop = CheckResult(name="performance_drop:f1", status=Status.INSUFFICIENT, code="WS-MONITORING-030")
    case("trend passes, drop insufficient", right=Status.INSUFFICIENT, got=quality_of([drop, trend]))


def test_a_share_of_rare_positives_leaves_no_room_for_a_fixed_margin(case: Callable[..., None]) -> None:
    truth = [place % 33 == 0 for place in range(9900)]
    said = [hit and place % 2 == 0 for place, hit in enumerate(truth)]
    reference = ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.985),))
    report = Scene(reference, spec=BY_ACCURACY).look(answers(truth, said))
    got = check_of(report, "performance_knows_nothing:accuracy").status
    case("accuracy .985 of 3 % positives", right=Status.PASS, got=got)
