"""A rollout that is over says so in its page and its runs, whoever tells it last."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.rollout_steps import AB, decided, end, prove, started_world
from support.world import MODEL
from windsock.deployment.keep_rollouts import close_ended
from windsock.door.rollout_close import OUTCOME_TAG, SERVES_TAG, close_rollout
from windsock.exceptions import TrackingUnavailableError
from windsock.records import RollBackInput, ended_rollouts, running_rollout
from windsock.rollout.report import keep_report
from windsock.steps import run_step, verdict_of

NAME = "v2-e4"


def told(ports: Any) -> dict[str, Any]:
    (found,) = ports.tracker.added.values()
    return dict(found)


def page_of(ports: Any) -> bytes:
    return bytes(told(ports)["files"][f"rollout/{NAME}.html"])


def test_a_promotion_is_in_page_and_runs_before_it_is_over() -> None:
    ports = started_world(spec=AB)
    decided(ports, "promote")
    done = prove(ports, 2, NAME, spec=AB)
    assert done.follows == ""
    assert (told(ports)["tags"][OUTCOME_TAG], told(ports)["tags"][SERVES_TAG]) == ("promoted", "2")
    assert page_of(ports) == b"<html>v2-e4: 1, promoted</html>"


def test_so_is_a_stop_by_a_person_without_any_look() -> None:
    ports = started_world(spec=AB)
    done = end(ports, NAME, "stopped")
    assert done.follows == ""
    assert (told(ports)["tags"][OUTCOME_TAG], told(ports)["tags"][SERVES_TAG]) == ("stopped", "1")
    assert page_of(ports) == b"<html>v2-e4: 0, stopped</html>"


def test_an_emergency_roll_back_says_what_follows_and_does_not_wait_for_it() -> None:
    ports = started_world(spec=AB)
    result = run_step("roll_back", RollBackInput(model=MODEL, reason="errors"), ports)
    assert ports.tracker.added == {}
    assert f"the report and the runs of rollout {NAME} in MLflow say its end later" in (
        verdict_of(result).next_action
    )


def test_without_mlflow_a_promotion_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = started_world(spec=AB)
    decided(ports, "promote")

    def away(*_: Any, **__: Any) -> None:
        raise TrackingUnavailableError("MLflow does not answer")

    monkeypatch.setattr(ports.tracker, "add_to_run", away)
    done = prove(ports, 2, NAME, spec=AB)
    assert "do not say yet that it is over" in done.follows
    assert ports.ledger.champion(MODEL).version == "2"


def test_an_earlier_look_that_is_told_late_does_not_replace_the_one_that_decided() -> None:
    ports = started_world(spec=AB)
    rollout = running_rollout(ports.ledger.rows(MODEL))
    rows = ports.ledger.rows(MODEL)
    assert rollout is not None
    first = decided(ports, "hold")
    decided(ports, "promote")
    keep_report(ports, rollout, first, rows, b"<html>look 1</html>")
    assert page_of(ports) == b"<html>v2-e4: 2</html>"
    assert told(ports)["tags"]["windsock.rollout_decision"] == "promote"
    prove(ports, 2, NAME, spec=AB)
    keep_report(ports, rollout, first, rows, b"<html>look 1</html>")
    assert page_of(ports) == b"<html>v2-e4: 2, promoted</html>"


def test_a_rollout_that_goes_on_is_not_closed() -> None:
    ports = started_world(spec=AB)
    assert close_rollout(ports, MODEL, NAME) == ""
    assert ports.tracker.added == {}


def test_housekeeping_tells_what_an_emergency_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = started_world(spec=AB)
    rows = [
        row.model_copy(update={"body": {**row.body, "run_id": "run1"}}) if row.action == "register" else row
        for row in ports.ledger.rows(MODEL)
    ]
    monkeypatch.setitem(ports.ledger.kept, MODEL, rows)
    run_step("roll_back", RollBackInput(model=MODEL, reason="errors"), ports)
    (over,) = ended_rollouts(ports.ledger.rows(MODEL))
    assert close_ended(ports, MODEL, over.ended_at + timedelta(days=8)) == ()
    assert close_ended(ports, MODEL, over.ended_at) == (NAME,)
    assert told(ports)["tags"][OUTCOME_TAG] == over.outcome.value
    assert close_ended(ports, MODEL, over.ended_at) == ()
