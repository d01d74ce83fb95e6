"""Rows that a rollout gives to a version in vain: what the log and the metrics say of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from support.serving import ROW, make_plan
from support.serving_app import App
from windsock.exceptions import ServerUnavailableError
from windsock.records import FallbackAnswer, RoutePlan, StoredBundle, UnansweredEvent
from windsock.rollout.assignment import Assignment
from windsock.serving.microbatch import OverloadedError
from windsock.serving.predicting import Sender, begin_to_predict
from windsock.serving.slots import SlotFailedError, UnanswerableError

UNITS = [f"u{number}" for number in range(40)]
Stored = dict[str, StoredBundle]


class Rollout:
    """An app that splits its traffic, and versions that fail as they are told."""

    def __init__(self, app: App, stored: Stored, patch: pytest.MonkeyPatch) -> None:
        self.app, self.stored, self.patch = app, stored, patch
        self.plan: RoutePlan

    def begin(self, policy: Any = "error", **plan: Any) -> Rollout:
        split: dict[str, Any] = {
            "shares": (5_000, 5_000),
            "champion": self.stored["first"].digest,
            "experiment": "e",
            "fallback": FallbackAnswer(policy=policy),
        }
        self.plan = make_plan(self.stored["first"], self.stored["second"], **{**split, **plan})
        assert self.app.put(self.plan).status_code == 200
        return self

    def fail(self, name: str, error: Exception | None, *, now: bool = False) -> None:
        """Let a version raise whenever it is asked; ``now``: before anything is waited for."""
        slot = self.app.service.served["churn"].slots[self.stored[name].digest]
        if now:

            def at_once(rows: Any) -> Any:
                raise error  # type: ignore[misc]

            self.patch.setattr(slot, "scores_now", at_once, raising=True)
            return

        async def later(rows: Any) -> Any:
            raise error  # type: ignore[misc]

        self.patch.setattr(slot, "scores", later)

    def variant(self, unit: str) -> str:
        shares = {"challenger": self.plan.slots[1].share, "champion": self.plan.slots[0].share}
        return Assignment(shares, salt=self.plan.salt, experiment="e").arm(unit)

    def of(self, variant: str, count: int = 1) -> list[str]:
        return [unit for unit in UNITS if self.variant(unit) == variant][:count]

    def ask(self, *units: str, **row: Any) -> Any:
        body = {"features": [{**ROW, **row}] * len(units), "unit": list(units), "prediction_id": list(units)}
        return self.app.client.post("/predict", json=body)

    def unanswered(self) -> list[UnansweredEvent]:
        self.app.service.prediction_log.stop()
        return self.app.events("unanswered")

    def answered(self) -> list[Any]:
        self.app.service.prediction_log.stop()
        return self.app.events()

    def causes(self) -> dict[tuple[str, str], int]:
        """Return the number of lines' rows by variant and cause; the metric must say the same."""
        counted = Counter((event.variant, event.cause) for event in self.unanswered())
        for (variant, cause), rows in counted.items():
            version = "1" if variant == "champion" else "2"
            labels = f'cause="{cause}",model="churn",model_version="{version}",variant="{variant}"'
            text = self.app.service.metrics.text().decode()
            assert f"ml_unanswered_rows_total{{{labels}}} {float(rows)}" in text
        return dict(counted)


@pytest.fixture
def rollout(app: App, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    return Rollout(app, stored, monkeypatch)


@pytest.mark.parametrize("now", [False, True], ids=["waited for", "at once"])
@pytest.mark.parametrize(
    ("error", "status", "cause"),
    [
        (SlotFailedError("gone"), 503, "failed"),
        (RuntimeError("planted 17"), 503, "failed"),
        (UnanswerableError("no finite answer"), 422, "unanswerable"),
        (OverloadedError("too many rows wait"), 503, "overloaded"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_a_request_that_gets_none_is_a_line(
    rollout: Rollout, error: Exception, status: int, cause: str, now: bool
) -> None:
    rollout.begin().fail("second", error, now=now)
    (unit,) = rollout.of("challenger")
    before = rollout.app.service.now()
    body = {"features": ROW, "unit": unit, "prediction_id": "p", "event_time": "2026-05-01T12:00:00Z"}
    assert rollout.app.client.post("/predict", json=body).status_code == status
    assert rollout.app.service.load.in_flight == 0
    (event,) = rollout.unanswered()
    assert (event.prediction_id, event.unit, event.variant, event.version) == ("p", unit, "challenger", "2")
    assert (event.cause, event.experiment, event.epoch) == (cause, "e", 1)
    assert event.digest == rollout.stored["second"].digest
    assert event.event_time is not None
    assert event.event_time.isoformat() == "2026-05-01T12:00:00+00:00"
    assert event.receive_time >= before
    assert rollout.causes() == {("challenger", cause): 1}
    assert "planted" not in "".join(rollout.app.log_lines("unanswered"))
    assert rollout.answered() == []


@pytest.mark.parametrize("failing", ["champion", "challenger"])
def test_the_other_version_of_the_request_is_not_to_blame(rollout: Rollout, failing: str) -> None:
    rollout.begin().fail("first" if failing == "champion" else "second", SlotFailedError("gone"))
    for order in (UNITS[:10], UNITS[9::-1]):  # each version is asked first once
        assert rollout.ask(*order).status_code == 503
    other = "challenger" if failing == "champion" else "champion"
    shares = Counter(rollout.variant(unit) for unit in UNITS[:10] * 2)
    assert rollout.causes() == {(failing, "failed"): shares[failing], (other, "other_version"): shares[other]}
    assert rollout.answered() == []


def test_values_that_are_refused(rollout: Rollout) -> None:
    rollout.begin()
    champion, challenger = rollout.of("champion")[0], rollout.of("challenger")[0]
    good, bad = ROW, {**ROW, "age": "old"}
    for rows in ((good, bad), (bad, good), (bad, bad)):
        body = {"features": list(rows), "unit": [champion, challenger]}
        assert rollout.app.client.post("/predict", json=body).status_code == 422
    assert rollout.causes() == {
        ("champion", "invalid"): 2,
        ("challenger", "invalid"): 2,
        ("champion", "other_version"): 1,
        ("challenger", "other_version"): 1,
    }


def test_an_open_breaker_is_a_failure_of_the_version(rollout: Rollout) -> None:
    rollout.begin().fail("second", SlotFailedError("gone"))
    (unit,) = rollout.of("challenger")
    for _ in range(8):  # five open it
        assert rollout.ask(unit).status_code == 503
    assert rollout.causes() == {("challenger", "failed"): 8}


@pytest.mark.parametrize(
    "error",
    [SlotFailedError("x"), UnanswerableError("x"), OverloadedError("x")],
    ids=lambda e: type(e).__name__,
)
def test_a_fallback_that_fails_too_is_a_failure_of_the_version(rollout: Rollout, error: Exception) -> None:
    rollout.begin("champion").fail("second", SlotFailedError("gone"))
    rollout.fail("first", error)
    assert rollout.ask(*rollout.of("challenger")).status_code in (422, 503)
    assert rollout.causes() == {("challenger", "failed"): 1}


def test_a_fallback_that_answers_is_an_answer(rollout: Rollout) -> None:
    rollout.begin("champion").fail("second", SlotFailedError("gone"))
    assert rollout.ask(*UNITS[:10]).status_code == 200
    assert rollout.unanswered() == []
    assert len(rollout.answered()) == 10


def test_more_requests_than_the_server_takes_are_of_both_arms(rollout: Rollout) -> None:
    rollout.begin().app.service.load.in_flight = rollout.app.service.load.limit
    assert rollout.ask(*UNITS).status_code == 503
    rollout.app.service.load.in_flight = 0
    shares = Counter(map(rollout.variant, UNITS))
    assert rollout.causes() == {(variant, "overloaded"): rows for variant, rows in shares.items()}


def test_outside_of_a_rollout_there_is_no_line(rollout: Rollout) -> None:
    rollout.begin(experiment=None).fail("second", SlotFailedError("gone"))
    assert rollout.ask(*UNITS).status_code == 503
    rollout.app.service.load.in_flight = rollout.app.service.load.limit
    assert rollout.ask(*UNITS).status_code == 503
    rollout.app.service.load.in_flight = 0
    assert rollout.causes() == {}


@pytest.mark.parametrize("content", [b"{", b'{"features": []}', b'{"features": {}, "unit": 3}'])
def test_what_fails_before_rows_have_a_version_is_of_no_arm(rollout: Rollout, content: bytes) -> None:
    assert rollout.begin().app.client.post("/predict", content=content).status_code in (400, 422)
    assert rollout.causes() == {}


def inputs(kinds: dict[type, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": [1], "datatype": kinds[type(value)], "data": [value]}
        for name, value in ROW.items()
    ]


INFERENCE = inputs({str: "BYTES", bool: "BOOL", float: "FP64", int: "INT64"})
PROTOCOLS: list[tuple[str, Callable[[str], Any]]] = [
    ("/models/churn/predict", lambda unit: {"features": ROW, "unit": unit}),
    ("/invocations", lambda unit: {"dataframe_records": [ROW], "params": {"unit": [unit]}}),
    ("/v2/models/churn/infer", lambda unit: {"inputs": INFERENCE, "parameters": {"unit": unit}}),
]


@pytest.mark.parametrize(("path", "body"), PROTOCOLS, ids=[path for path, _ in PROTOCOLS])
def test_every_protocol(rollout: Rollout, path: str, body: Callable[[str], Any]) -> None:
    rollout.begin().fail("second", SlotFailedError("gone"))
    (unit,) = rollout.of("challenger")
    assert rollout.app.client.post(path, json=body(unit)).status_code == 503
    rollout.fail("second", UnanswerableError("no finite answer"))
    assert rollout.app.client.post(path, json=body(unit)).status_code in (400, 422)
    assert {event.unit for event in rollout.unanswered()} == {unit}
    assert rollout.causes() == {("challenger", "failed"): 1, ("challenger", "unanswerable"): 1}


def test_a_request_that_names_its_version_is_no_part_of_a_rollout(rollout: Rollout) -> None:
    """Other versions' units could not be asked for: it would be a rollout's arm alone."""
    rollout.begin(shares=(10_000, 0))
    path = "/v2/models/churn/versions/1/infer"
    assert rollout.app.client.post(path, json={"inputs": INFERENCE}).status_code == 200
    rollout.fail("first", SlotFailedError("gone"))
    assert rollout.app.client.post(path, json={"inputs": INFERENCE}).status_code == 503
    (event,) = rollout.answered()
    assert event.experiment is None
    assert rollout.causes() == {}


def test_a_client_that_goes_away_first(rollout: Rollout, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout.begin()
    service = rollout.app.service
    served = service.served["churn"]
    request = _request(UNITS[:10])

    async def forever(rows: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(served.slots[rollout.stored["second"].digest], "scores", forever)

    async def main() -> None:
        answers = begin_to_predict(service, served, request, Sender("shop", service.now()))
        assert not isinstance(answers, list)
        task = asyncio.ensure_future(answers)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert service.load.in_flight == 0
    shares = Counter(map(rollout.variant, UNITS[:10]))
    assert rollout.causes() == {(variant, "cancelled"): rows for variant, rows in shares.items()}
    assert {event.client for event in rollout.unanswered()} == {"shop"}


def _request(units: list[str]) -> Any:
    from windsock.serving.contract import read_predict

    return read_predict({"features": [ROW] * len(units), "unit": units})


class TestShadows:
    @pytest.fixture
    def shadowed(self, rollout: Rollout) -> Rollout:
        plan = make_plan(rollout.stored["first"], rollout.stored["second"], shares=(10_000, 0))
        slots = (plan.slots[0], plan.slots[1].replace(shadow=True))
        return rollout.begin(shares=(10_000, 0), slots=slots)

    def ask(self, shadowed: Rollout, count: int = 1) -> None:
        for _ in range(count):
            assert shadowed.ask(*UNITS[:3]).status_code == 200

        async def ended() -> None:
            shadows = shadowed.app.service.shadows
            while shadows.done + shadows.failed + shadows.dropped < count:
                await asyncio.sleep(0.001)

        assert shadowed.app.client.portal is not None
        shadowed.app.client.portal.call(ended)

    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (SlotFailedError("gone"), "failed"),
            (RuntimeError("planted 17"), "failed"),
            (UnanswerableError("no finite answer"), "unanswerable"),
            (ServerUnavailableError("stopping"), "failed"),
        ],
        ids=lambda given: given if isinstance(given, str) else type(given).__name__,
    )
    def test_what_it_did_not_answer(self, shadowed: Rollout, error: Exception, cause: str) -> None:
        shadowed.fail("second", error)
        self.ask(shadowed)
        events = shadowed.unanswered()
        assert [event.prediction_id for event in events] == UNITS[:3]
        assert {(event.version, event.experiment) for event in events} == {("2", "e")}
        assert shadowed.causes() == {("shadow", cause): 3}
        assert {event.variant for event in shadowed.answered()} == {"champion"}

    def test_what_it_answered_is_no_such_line(self, shadowed: Rollout) -> None:
        self.ask(shadowed)
        assert shadowed.unanswered() == []
        assert Counter(event.variant for event in shadowed.answered()) == {"champion": 3, "shadow": 3}

    def test_what_came_too_late(self, shadowed: Rollout, monkeypatch: pytest.MonkeyPatch) -> None:
        shadowed.app.service.shadows.limit_seconds = 0.01

        async def slow(rows: Any) -> Any:
            await asyncio.Event().wait()

        slot = shadowed.app.service.served["churn"].slots[shadowed.stored["second"].digest]
        monkeypatch.setattr(slot, "scores", slow)
        self.ask(shadowed)
        assert shadowed.causes() == {("shadow", "failed"): 3}

    def test_what_found_no_place(self, shadowed: Rollout) -> None:
        shadowed.app.service.shadows.at_once = shadowed.app.service.shadows.max_waiting = 0
        self.ask(shadowed)
        assert shadowed.causes() == {("shadow", "dropped"): 3}

    def test_what_had_not_ended_when_the_server_stopped(
        self, shadowed: Rollout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shadows = shadowed.app.service.shadows
        shadows.at_once = 1

        async def slow(rows: Any) -> Any:
            await asyncio.Event().wait()

        slot = shadowed.app.service.served["churn"].slots[shadowed.stored["second"].digest]
        monkeypatch.setattr(slot, "scores", slow)
        for _ in range(3):
            assert shadowed.ask(*UNITS[:3]).status_code == 200
        assert shadowed.app.client.portal is not None
        shadowed.app.client.portal.call(shadows.stop, 0.01)
        assert shadows.dropped == 3
        assert shadowed.causes() == {("shadow", "dropped"): 9}

    def test_rows_that_lack_what_it_needs(self, shadowed: Rollout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("windsock.serving.predicting.rows_of", lambda *given: None)
        self.ask(shadowed)
        assert shadowed.causes() == {("shadow", "invalid"): 3}


def test_lines_that_find_no_place_are_counted(rollout: Rollout) -> None:
    rollout.begin().fail("second", SlotFailedError("gone"))
    rollout.app.service.prediction_log.spool_bytes = 0
    assert rollout.ask(*rollout.of("challenger", 3)).status_code == 503
    assert rollout.unanswered() == []
    assert rollout.app.service.prediction_log.state.dropped == 3
    text = rollout.app.service.metrics.text().decode()
    assert "windsock_log_dropped_total 3.0" in text
    assert 'ml_unanswered_rows_total{cause="failed",model="churn",model_version="2"' in text
