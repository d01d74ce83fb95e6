from __future__ import annotations

from support.rollouts import make_estimate, make_look, make_rollout
from support.several import several_look, several_rollout
from windsock import records as r


def test_one_challenger_stands_beside_the_champion() -> None:
    champion, challenger = r.arms_of(make_rollout(), make_look(1))
    assert (champion.version, champion.state, champion.share, champion.units) == ("1", "serves", 5000, 10_000)
    assert (challenger.version, challenger.state, challenger.share) == ("2", "tried", 5000)
    assert challenger.estimate == make_look(1).estimate


def test_several_stand_in_the_order_of_their_lanes() -> None:
    arms = r.arms_of(several_rollout(dropped=(5,)), several_look(1))
    assert [(arm.version, arm.state, arm.share, arm.units) for arm in arms] == [
        ("3", "serves", 7000, 70_000),
        ("4", "tried", 1000, 10_000),
        ("5", "dropped", 1000, 10_100),
        ("6", "tried", 1000, 10_200),
    ]
    assert arms[0].value == 0.1
    assert [round(arm.estimate.difference, 3) for arm in arms[1:] if arm.estimate] == [0.0, 0.004, 0.008]


def test_before_the_first_look_nothing_is_known_of_them() -> None:
    arms = r.arms_of(several_rollout(), None)
    assert [(arm.units, arm.value, arm.judged) for arm in arms] == [(None, None, None)] * 4


def test_what_a_look_drops_is_dropped_before_the_ledger_says_so() -> None:
    look = several_look(1, "drop", about=5, looks={5: {"action": "roll_back"}})
    assert [arm.state for arm in r.arms_of(several_rollout(), look)] == [
        "serves",
        "tried",
        "dropped",
        "tried",
    ]


def test_what_a_look_calls_dropped_is_dropped_in_an_older_record_too() -> None:
    look = several_look(1, looks={5: {"withdrawn": True}})
    assert [arm.state for arm in r.arms_of(several_rollout(), look)][2] == "dropped"


def test_a_look_without_a_value_has_none() -> None:
    empty = {number: {"estimate": make_estimate()} for number in (4, 5, 6)}
    assert all(arm.value is None for arm in r.arms_of(several_rollout(), several_look(1, looks=empty)))


def test_whom_an_action_concerns() -> None:
    def versions(action: str, **looks: object) -> list[str]:
        own = {int(name[1:]): given for name, given in looks.items()}
        return [one.version for one in r.concerned(several_look(1, action, about=6, looks=own))]

    assert versions("promote") == ["6"]
    assert versions("drop", v5={"action": "roll_back"}, v4={"action": "roll_back"}) == ["4", "5"]
    assert versions("hold", v5={"withdrawn": True}) == ["4", "6"]
    assert versions("keep") == ["4", "5", "6"]
    assert [one.version for one in r.concerned(make_look(1, "keep"))] == ["2"]


def test_an_end_has_all_that_was_tried_and_writes_them_where_they_are_several() -> None:
    given = {
        "experiment": "v4-e9",
        "version": "5",
        "outcome": "promoted",
        "epoch": 3,
        "started_at": make_look(1).judged_at,
        "ended_at": make_look(2).judged_at,
    }
    one = r.RolloutEnd.model_validate({**given, "tried": ("5",)})
    assert "tried" not in one.model_dump(mode="json")
    assert one.all_tried == ("5",)
    three = r.RolloutEnd.model_validate({**given, "tried": ("4", "5", "6")})
    assert three.model_dump(mode="json")["tried"] == ["4", "5", "6"]
    assert r.RolloutEnd.model_validate(three.model_dump(mode="json")).all_tried == ("4", "5", "6")
