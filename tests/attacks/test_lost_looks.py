"""Who deletes decisions on a rollout takes back nothing of what they said: it does not go on without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.builders import make_spec
from support.ledgers import home_of, sql_rollouts, tamper
from support.rollout_steps import decided, prove, running, shift, started_world
from support.rollouts import AB, make_look
from support.world import MODEL, shares
from windsock.exceptions import RolloutRefusedError
from windsock.records import JudgeRolloutInput
from windsock.rollout.judge_rollout import judge_rollout

pytest_plugins = ["support.databases"]

EXPERIMENT = "v2-e4"
SPEC = make_spec(rollout=AB)
DELETE = "DELETE FROM rollout_decisions WHERE number"
COPY = (
    "INSERT INTO rollout_decisions (model, experiment, number, action, judged_at, record, signature) "
    "SELECT model, experiment, number + 1, action, judged_at, record, signature FROM rollout_decisions "
    "WHERE number = 1"
)


def kept(url: str, *looks: Any) -> Any:
    rollouts = sql_rollouts(url)
    for look in looks:
        rollouts.add_decision(look)
    return rollouts


@pytest.mark.parametrize(
    ("statements", "missing"),
    [
        ((), ()),
        ((f"{DELETE} = 3",), (3,)),
        ((f"{DELETE} >= 2",), (2, 3)),
        ((f"{DELETE} >= 1",), (1, 2, 3)),
        ((f"{DELETE} >= 2", COPY), (2, 3)),
        (("UPDATE rollout_decisions SET signature = '' WHERE number = 3",), (3,)),
        (("UPDATE rollout_decisions SET experiment = 'other' WHERE number = 3",), (3,)),
    ],
)
def test_what_is_cut_off_at_the_end_is_noticed(
    database_url: str, statements: tuple[str, ...], missing: tuple[int, ...]
) -> None:
    kept(database_url, *(make_look(number) for number in (1, 2, 3)))
    if statements:
        tamper(database_url, *statements)
    assert sql_rollouts(database_url).missing(MODEL, EXPERIMENT) == missing


def test_a_planned_look_is_missed_wherever_it_was(database_url: str) -> None:
    """Each planned look spends of the error that was declared: without its row it would be spent again."""
    looks = [
        make_look(number, planned_look=number // 2 if number % 2 == 0 else None) for number in range(1, 6)
    ]
    kept(database_url, *looks)
    tamper(database_url, f"{DELETE} = 2")
    assert sql_rollouts(database_url).missing(MODEL, EXPERIMENT) == (2,)


def world(url: str, *actions: str) -> Any:
    ports = started_world(spec=SPEC, rollouts=sql_rollouts(url))
    for action in actions:
        decided(ports, action)
    return ports


def cut(url: str) -> None:
    """Delete the newest decision."""
    tamper(url, f"{DELETE} = (SELECT max(number) FROM rollout_decisions)")  # noqa: S608


def test_a_look_that_said_no_is_not_taken_back(database_url: str) -> None:
    """The promotion that stood before the newest look is not carried out by deleting that look."""
    ports = world(database_url, "promote", "hold")
    cut(database_url)
    before = shares(ports)
    with pytest.raises(RolloutRefusedError) as refusal:
        prove(ports, 2, EXPERIMENT, spec=SPEC)
    assert refusal.value.code == "WS-ROLLOUT-082"
    assert "windsock rollout stop churn" in refusal.value.next_action
    assert shares(ports) == before


def test_no_step_begins_by_an_earlier_look(database_url: str) -> None:
    ports = started_world(rollouts=sql_rollouts(database_url))
    look = decided(ports, "advance")
    decided(ports, "roll_back")
    cut(database_url)
    with pytest.raises(RolloutRefusedError, match="decision 2 is missing"):
        shift(ports, look)
    assert running(ports).step == 0


@pytest.mark.parametrize("dry_run", [False, True])
def test_nothing_is_judged_on_a_shortened_history(database_url: str, dry_run: bool) -> None:
    ports = world(database_url, "hold", "roll_back")
    cut(database_url)
    with pytest.raises(RolloutRefusedError) as refusal:
        judge_rollout(JudgeRolloutInput(spec=SPEC, dry_run=dry_run), ports, "")
    assert refusal.value.code == "WS-ROLLOUT-082"
    assert len(sql_rollouts(database_url).decisions(MODEL, EXPERIMENT)) == 1


def test_what_takes_traffic_away_goes_on_and_is_no_new_history(database_url: str) -> None:
    kept(database_url, make_look(1), make_look(2))
    cut(database_url)
    rollouts = kept(database_url, make_look(2, "roll_back"))
    assert rollouts.last(MODEL, EXPERIMENT).action.value == "roll_back"
    kept(database_url, make_look(3))
    cut(database_url)
    assert rollouts.missing(MODEL, EXPERIMENT) == (3,)


def test_a_mark_of_somebody_else_is_not_used(database_url: str) -> None:
    kept(database_url, make_look(1))
    (file,) = Path(home_of(database_url) / "storage" / "rollout_marks").rglob("*.json")
    file.write_text(file.read_text().replace('"number":1', '"number":9'))
    assert sql_rollouts(database_url).missing(MODEL, EXPERIMENT) == ()


def test_a_storage_that_is_away_stops_no_look(database_url: str) -> None:
    rollouts = kept(database_url, make_look(1))
    storage = home_of(database_url) / "storage"
    storage.rename(storage.with_name("away"))
    storage.write_text("a file where the folder was")
    try:
        assert rollouts.add_decision(make_look(2)).number == 2
        assert rollouts.missing(MODEL, EXPERIMENT) == ()
    finally:
        storage.unlink()
        storage.with_name("away").rename(storage)
