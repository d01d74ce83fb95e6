from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from support.builders import digest, make_spec
from windsock.records import (
    Answer,
    ColumnKind,
    FallbackAnswer,
    InputField,
    InputSchema,
    RoutePlan,
    SlotPlan,
)


def slot(number: int, share: int = 0, **fields: Any) -> SlotPlan:
    return SlotPlan(
        version=str(number),
        digest=digest(str(number)),
        bundle_uri=f"memory://{number}",
        share=share,
        **fields,
    )


def plan_of(*slots: SlotPlan, **fields: Any) -> RoutePlan:
    return RoutePlan(**{"model": "churn", "epoch": 1, "slots": slots, **fields})


def schema_of(*classes: Any) -> InputSchema:
    return InputSchema(
        model="churn",
        fields=(InputField(name="age", kind=ColumnKind.NUMBER),),
        answer=Answer.CLASS if classes else Answer.NUMBER,
        classes=classes,
    )


SPLIT = plan_of(slot(1, 9_000), slot(2, 1_000), slot(3), champion=digest("1"))


def test_the_champion_stands_in_for_the_others_and_never_for_itself() -> None:
    assert SPLIT.stand_in(digest("2")) == SPLIT.slots[0]
    assert SPLIT.stand_in(digest("3")) == SPLIT.slots[0]
    assert SPLIT.stand_in(digest("1")) is None


def test_a_champion_whose_challenger_has_all_traffic_still_stands_in() -> None:
    plan = plan_of(slot(1), slot(2, 10_000), champion=digest("1"))
    assert plan.stand_in(digest("2")) == plan.slots[0]


def test_challengers_have_traffic_and_are_not_the_champion() -> None:
    assert SPLIT.challengers == (SPLIT.slots[1],)
    assert plan_of(slot(1, 10_000), slot(2, shadow=True)).challengers == ()
    assert plan_of(slot(1), slot(2, 10_000), champion=digest("1")).challengers == (slot(2, 10_000),)
    assert plan_of(slot(1), slot(2)).challengers == ()


@pytest.mark.parametrize(("shares", "most"), [((1, 5_001, 4_998), 5_000), ((0, 1, 3_333, 6_666), 3_333)])
def test_each_of_several_challengers_has_a_limit(shares: tuple[int, ...], most: int) -> None:
    slots = [slot(number, share) for number, share in enumerate(shares, start=1)]
    said = f"{len(shares) - 1} challengers have traffic; each may have at most {most}"
    with pytest.raises(ValidationError, match=said):
        plan_of(*slots, champion=digest("1"))


def test_a_single_challenger_may_have_all() -> None:
    assert len(plan_of(slot(1), slot(2, 10_000), slot(3), champion=digest("1")).challengers) == 1


def test_without_a_name_the_one_with_all_traffic_is_the_champion() -> None:
    plan = plan_of(slot(1), slot(2, 10_000))
    assert plan.champion_slot == plan.slots[1]
    assert (plan.stand_in(digest("1")), plan.stand_in(digest("2"))) == (plan.slots[1], None)


def test_before_a_first_promotion_nobody_stands_in() -> None:
    plan = plan_of(slot(1), slot(2))
    assert (plan.champion_slot, plan.stand_in(digest("1"))) == (None, None)


@pytest.mark.parametrize(
    "fallback", [FallbackAnswer(policy="error"), FallbackAnswer(policy="constant", constant=0)]
)
def test_other_policies_ask_no_other_slot(fallback: FallbackAnswer) -> None:
    assert SPLIT.model_copy(update={"fallback": fallback}).stand_in(digest("2")) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"policy": "constant"},
        {"policy": "champion", "constant": 1},
        {"policy": "error", "constant": False},
        {"constant": ""},
        {"policy": "constant", "constant": float("nan")},
        {"policy": "constant", "constant": [1]},
        {"policy": "twin"},
    ],
)
def test_a_fallback_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FallbackAnswer(**fields)


@pytest.mark.parametrize(
    ("constant", "classes", "answer"),
    [
        (False, (False, True), False),
        (0, (0, 1), 0),
        (0.0, (0, 1), 0),
        (0, (False, True), None),
        (True, (0, 1), None),
        ("low", ("high", "low"), "low"),
        ("Low", ("high", "low"), None),
        ("1", (0, 1), None),
        (3, (), 3.0),
        (-2.5, (), -2.5),
        (True, (), None),
        ("3", (), None),
    ],
)
def test_a_constant_is_one_of_the_model_s_answers_or_none(
    constant: Any, classes: tuple[Any, ...], answer: Any
) -> None:
    found = FallbackAnswer(policy="constant", constant=constant).constant_for(schema_of(*classes))
    assert (found, type(found)) == (answer, type(answer))


def test_no_constant_is_no_answer() -> None:
    assert FallbackAnswer().constant_for(schema_of()) is None


@pytest.mark.parametrize(
    ("asked", "fallback"),
    [
        ({}, FallbackAnswer()),
        ({"fallback_answer": "champion"}, FallbackAnswer(policy="champion")),
        ({"fallback_answer": "error"}, FallbackAnswer(policy="error")),
        ({"fallback_answer": {"constant": 0}}, FallbackAnswer(policy="constant", constant=0)),
        ({"fallback_answer": {"constant": False}}, FallbackAnswer(policy="constant", constant=False)),
    ],
)
def test_the_spec_says_which(asked: dict[str, Any], fallback: FallbackAnswer) -> None:
    found = FallbackAnswer.of_spec(make_spec(serving=asked))
    assert (found, type(found.constant)) == (fallback, type(fallback.constant))


def test_a_shadow_has_no_traffic_and_its_own_variant() -> None:
    plan = plan_of(slot(1, 10_000), slot(2, shadow=True), slot(3))
    assert [plan.variant(one.digest) for one in plan.slots] == ["champion", "shadow", "challenger"]
    assert [plan.role(one.digest) for one in plan.slots] == ["champion", "shadow", "standby"]
    assert plan.shadows == (plan.slots[1],)
    with pytest.raises(ValidationError, match="its share is 1 and must be 0"):
        slot(2, 1, shadow=True)


def test_the_champion_is_no_shadow() -> None:
    with pytest.raises(ValidationError, match="nobody could answer"):
        plan_of(slot(1, shadow=True), slot(2, 10_000), champion=digest("1"))


def test_where_one_has_all_traffic_there_are_no_shadows_any_more() -> None:
    slots = [slot(1, 10_000), slot(2, shadow=True), slot(3, shadow=True)]
    plan = RoutePlan.serving(
        digest("2"), model="churn", epoch=2, slots=slots, salt="", fallback=FallbackAnswer()
    )
    assert [(one.share, one.shadow) for one in plan.slots] == [
        (0, False),
        (10_000, False),
        (0, False),
    ]


def test_fallback_and_shadow_come_back_from_json() -> None:
    for constant in (False, 0, 0.5, "no"):
        fallback = FallbackAnswer(policy="constant", constant=constant)
        plan = plan_of(slot(1, 10_000), slot(2, shadow=True), fallback=fallback)
        again = RoutePlan.model_validate_json(plan.model_dump_json())
        assert (again, type(again.fallback.constant)) == (plan, type(constant))


def test_a_plan_from_before_has_the_defaults() -> None:
    old = SPLIT.model_dump(mode="json", exclude={"fallback": True, "slots": {"__all__": {"shadow"}}})
    assert "shadow" not in old["slots"][0]
    assert RoutePlan.model_validate(old) == SPLIT
    assert SPLIT.fallback == FallbackAnswer(policy="champion")
