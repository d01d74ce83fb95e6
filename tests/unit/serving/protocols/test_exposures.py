"""During a rollout each protocol assigns by the unit, and logs whom it exposed to what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from support.serving import ROW, make_bundle, make_plan
from support.serving_app import App, MemoryFetcher
from windsock.records import FallbackAnswer, StoredBundle
from windsock.rollout.assignment import Assignment
from windsock.serving.slots import SlotFailedError

COUNT = 30
UNITS = [f"unit {number}" for number in range(COUNT)]
IDS = [f"id {number}" for number in range(COUNT)]
ROWS = [ROW] * COUNT
DATATYPES = {"age": "FP64", "visits": "INT64", "member": "BYTES", "plan": "BYTES", "joined": "BYTES"}

Stored = dict[str, StoredBundle]
Ask = Callable[[App, Sequence[str] | None], Any]


def ask_own(app: App, units: Sequence[str] | None) -> Any:
    named = {"unit": list(units)} if units else {}
    return app.client.post("/models/churn/predict", json={"features": ROWS, "prediction_id": IDS, **named})


def ask_own_one_by_one(app: App, units: Sequence[str] | None) -> Any:
    for number, identifier in enumerate(IDS):
        named = {"unit": units[number]} if units else {}
        answer = app.client.post("/predict", json={"features": ROW, "prediction_id": identifier, **named})
    return answer


def ask_mlflow(app: App, units: Sequence[str] | None) -> Any:
    params: dict[str, Any] = {"prediction_id": IDS} | ({"unit": list(units)} if units else {})
    return app.client.post("/invocations", json={"inputs": ROWS, "params": params})


def ask_open_inference(app: App, units: Sequence[str] | None) -> Any:
    columns = [(name, kind, [ROW[name]] * COUNT) for name, kind in DATATYPES.items()]
    columns += [("prediction_id", "BYTES", IDS)] + ([("unit", "BYTES", list(units))] if units else [])
    tensors = [
        {"name": name, "datatype": kind, "shape": [COUNT], "data": data} for name, kind, data in columns
    ]
    return app.client.post("/v2/models/churn/infer", json={"inputs": tensors})


PROTOCOLS = pytest.mark.parametrize("ask", [ask_own, ask_own_one_by_one, ask_mlflow, ask_open_inference])


def by_id(app: App) -> dict[str, Any]:
    app.service.prediction_log.stop()
    events = app.events()
    assert len(events) == COUNT
    return {event.prediction_id: event for event in events}


@PROTOCOLS
@pytest.mark.parametrize("units", [UNITS, None], ids=["units", "no units"])
def test_each_exposure_names_rollout_arm_unit_and_epoch(
    serve: Any, stored: Stored, ask: Ask, units: list[str] | None
) -> None:
    split = {"shares": (7_000, 3_000), "champion": stored["first"].digest, "experiment": "v2-e7"}
    app = serve("first", "second", epoch=9, **split)
    assert ask(app, units).status_code == 200
    events = by_id(app)
    assignment = Assignment({"challenger": 3_000, "champion": 7_000}, salt="s", experiment="v2-e7")
    expected = [assignment.arm(unit) for unit in units or IDS]
    assert set(expected) == {"challenger", "champion"}
    assert [events[identifier].variant for identifier in IDS] == expected
    assert [events[identifier].unit for identifier in IDS] == (units or [None] * COUNT)
    assert {(event.experiment, event.epoch, event.fallback_for) for event in events.values()} == {
        ("v2-e7", 9, None)
    }
    digests = {"challenger": stored["second"].digest, "champion": stored["first"].digest}
    assert all(event.digest == digests[event.variant] for event in events.values())


@PROTOCOLS
def test_an_answer_of_the_fallback_says_whose_the_unit_is(
    serve: Any, stored: Stored, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = {"shares": (5_000, 5_000), "champion": stored["first"].digest, "experiment": "v2-e7"}
    app = serve("first", "second", **split)

    async def failing(rows: Any) -> Any:
        raise SlotFailedError("gone")

    monkeypatch.setattr(app.service.served["churn"].slots[stored["second"].digest], "scores", failing)
    assert ask(app, UNITS).status_code == 200
    events = by_id(app)
    assignment = Assignment({"challenger": 5_000, "champion": 5_000}, salt="s", experiment="v2-e7")
    seen = [(events[one].variant, events[one].fallback_for or events[one].variant) for one in IDS]
    assert seen == [("champion", assignment.arm(unit)) for unit in UNITS]
    assert {event.experiment for event in events.values()} == {"v2-e7"}


@PROTOCOLS
def test_a_constant_says_whose_the_unit_is(
    serve: Any, stored: Stored, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = {"shares": (5_000, 5_000), "champion": stored["first"].digest, "experiment": "v2-e7"}
    app = serve("first", "second", fallback=FallbackAnswer(policy="constant", constant=False), **split)

    async def failing(rows: Any) -> Any:
        raise SlotFailedError("gone")

    monkeypatch.setattr(app.service.served["churn"].slots[stored["second"].digest], "scores", failing)
    assert ask(app, UNITS).status_code == 200
    events = by_id(app)
    assignment = Assignment({"challenger": 5_000, "champion": 5_000}, salt="s", experiment="v2-e7")
    assert [events[one].fallback_for or events[one].variant for one in IDS] == [
        assignment.arm(unit) for unit in UNITS
    ]
    assert {event.variant for event in events.values()} == {"champion", "constant"}


@PROTOCOLS
def test_two_challengers_have_lanes_of_their_own(
    app: App, fetcher: MemoryFetcher, stored: Stored, ask: Ask
) -> None:
    third = fetcher.add(make_bundle(seed=3))
    bundles = (stored["first"], stored["second"], third)
    split = {"champion": stored["first"].digest, "experiment": "three"}
    assert app.put(make_plan(*bundles, epoch=1, shares=(6_000, 2_500, 1_500), **split)).status_code == 200
    assert ask(app, UNITS).status_code == 200
    events = by_id(app)
    assignment = Assignment({"2": 2_500, "3": 1_500, "1": 6_000}, salt="s", experiment="three")
    expected = [assignment.arm(unit) for unit in UNITS]
    assert set(expected) == {"1", "2", "3"}
    assert [events[identifier].version for identifier in IDS] == expected
