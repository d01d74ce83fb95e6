from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.builders import NOON, digest
from windsock.records import (
    FallbackAnswer,
    LedgerAction,
    LedgerRow,
    RoutePlan,
    SlotPlan,
    champion_by,
    champion_line,
    champion_of,
    commit_of,
    last_routing_row,
    next_epoch,
    open_switch,
    was_rolled_back,
)


def rows_of(*steps: tuple[str, int, int], **bodies: Any) -> tuple[LedgerRow, ...]:
    """Return rows from (action, epoch, version); a roll back's body comes from ``rolled_back``."""
    rows = []
    rolled = iter(bodies.get("rolled_back", ()))
    for seq, (action, epoch, version) in enumerate(steps, start=1):
        body: dict[str, Any] = {"bundle_uri": f"memory://{version}"}
        if action == "roll_back":
            body["rolled_back"] = digest(f"{next(rolled):x}")
        rows.append(
            LedgerRow(
                model="churn",
                action=LedgerAction(action),
                epoch=epoch,
                version=str(version),
                digest=digest(f"{version:x}"),
                actor="scheduler",
                body=body,
                seq=seq,
                at=NOON,
                previous=digest("0"),
            )
        )
    return tuple(rows)


TWO = (
    ("deploy", 1, 1),
    ("intend", 2, 1),
    ("commit", 2, 1),
    ("deploy", 3, 2),
    ("intend", 4, 2),
    ("commit", 4, 2),
)


def test_an_empty_ledger() -> None:
    assert next_epoch(()) == 1
    assert last_routing_row(()) is None
    assert open_switch(()) is None
    assert champion_of(()) is None
    assert champion_line(()) == ()
    assert not was_rolled_back((), digest("1"))


def test_approvals_take_no_epoch() -> None:
    rows = rows_of(("approve", 0, 1), ("deploy", 1, 1), ("approve", 0, 1))
    assert next_epoch(rows) == 2
    last = last_routing_row(rows)
    assert last is not None
    assert last.seq == 2


def test_an_intent_is_open_until_its_epoch_is_committed_or_the_route_moves_on() -> None:
    assert open_switch(rows_of(*TWO[:2])) is not None
    assert open_switch(rows_of(*TWO[:3])) is None
    assert open_switch(rows_of(*TWO[:2], ("abandon", 3, 1))) is None
    assert open_switch(rows_of(*TWO[:2], ("deploy", 3, 2))) is None
    assert open_switch(rows_of(*TWO, ("roll_back", 5, 1), rolled_back=[2])) is not None
    commit = commit_of(rows_of(*TWO), 4)
    assert commit is not None
    assert commit.seq == 6
    assert commit_of(rows_of(*TWO), 3) is None


def test_the_champion_is_the_last_commit() -> None:
    champion = champion_of(rows_of(*TWO))
    assert champion == champion_by(rows_of(*TWO)[-1])
    assert champion is not None
    assert (champion.version, champion.epoch, champion.bundle_uri) == ("2", 4, "memory://2")


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ([("p", 1), ("p", 2), ("p", 3)], "123"),
        ([("p", 1), ("p", 2), ("r", 1)], "1"),
        ([("p", 1), ("p", 2), ("p", 3), ("r", 2), ("r", 1)], "1"),
        ([("p", 1), ("p", 2), ("r", 1), ("p", 3)], "13"),
        ([("p", 1), ("p", 2), ("p", 3), ("r", 1)], "1"),
        ([("p", 1), ("p", 2), ("r", 1), ("r", 2)], "12"),
        ([("p", 1), ("p", 2), ("p", 1)], "121"),
        ([("p", 1), ("p", 2), ("p", 1), ("r", 2)], "12"),
    ],
)
def test_the_line_of_champions(steps: list[tuple[str, int]], line: str) -> None:
    assert "".join(row.version for row in champion_line(_history(steps))) == line


def _history(steps: list[tuple[str, int]]) -> tuple[LedgerRow, ...]:
    made: list[tuple[str, int, int]] = []
    rolled, serving = [], 0
    for epoch, (kind, version) in enumerate(steps, start=1):
        made += [("intend" if kind == "p" else "roll_back", epoch, version), ("commit", epoch, version)]
        if kind == "r":
            rolled.append(serving)
        serving = version
    return rows_of(*made, rolled_back=rolled)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_the_last_of_the_line_is_the_champion(versions: list[int]) -> None:
    rows = _history([("p", version) for version in versions])
    champion = champion_of(rows)
    assert champion is not None
    assert champion_line(rows)[-1].version == champion.version == str(versions[-1])


def test_a_roll_back_holds_until_the_bundle_is_committed_again() -> None:
    rolled = [*TWO, ("roll_back", 5, 1)]
    assert was_rolled_back(rows_of(*rolled, rolled_back=[2]), digest("2"))
    assert not was_rolled_back(rows_of(*rolled, rolled_back=[2]), digest("1"))
    again = [*rolled, ("commit", 5, 1), ("intend", 6, 2), ("commit", 6, 2)]
    assert not was_rolled_back(rows_of(*again, rolled_back=[2]), digest("2"))


def test_an_abandoned_roll_back_holds_nothing() -> None:
    rows = rows_of(*TWO, ("roll_back", 5, 1), ("abandon", 6, 1), rolled_back=[2])
    assert not was_rolled_back(rows, digest("2"))


def test_a_later_abandoned_switch_does_not_lift_the_hold() -> None:
    steps = [*TWO, ("roll_back", 5, 1), ("commit", 5, 1), ("intend", 6, 3), ("abandon", 7, 3)]
    assert was_rolled_back(rows_of(*steps, rolled_back=[2]), digest("2"))


def test_a_plan_comes_back_from_its_row() -> None:
    slots = [
        SlotPlan(
            version=str(number), digest=digest(str(number)), bundle_uri=f"memory://{number}", share=5_000
        )
        for number in (1, 2)
    ]
    plan = RoutePlan.serving(
        digest("2"),
        model="churn",
        epoch=3,
        slots=slots,
        salt="churn",
        fallback=FallbackAnswer(policy="error"),
    )
    assert [slot.share for slot in plan.slots] == [0, 10_000]
    (row,) = rows_of(("intend", 3, 2))
    assert RoutePlan.of_row(row.model_copy(update={"body": {"plan": plan.row_body()}})) == plan
    old = {key: value for key, value in plan.row_body().items() if key != "fallback"}
    old["slots"] = [{key: value for key, value in slot.items() if key != "shadow"} for slot in old["slots"]]
    of_old = RoutePlan.of_row(row.model_copy(update={"body": {"plan": old}}))
    assert of_old == plan.model_copy(update={"fallback": FallbackAnswer()})
    nobody = RoutePlan.serving(
        None, model="churn", epoch=3, slots=slots, salt="churn", fallback=FallbackAnswer()
    )
    assert [slot.share for slot in nobody.slots] == [0, 0]
