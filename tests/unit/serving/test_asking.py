from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from support.serving import FIELDS, ROW, make_plan
from support.serving_app import App
from windsock.ports import LoadedBundle
from windsock.records import FallbackAnswer, InputField, RoutePlan, StoredBundle
from windsock.serving.asking import Asked, ask
from windsock.serving.breaker import SlotOpenError
from windsock.serving.microbatch import OverloadedError
from windsock.serving.served import ServedModel
from windsock.serving.slots import LocalSlot, SlotFailedError, UnanswerableError
from windsock.serving.strict_json import RequestRefusedError

ROWS = [tuple(ROW.values())]
SCORES = [[0.25, 0.75]]


class ScriptedSlot(LocalSlot):
    """A slot that answers, or fails, as it is told."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.error: Exception | None = None
        self.asked = 0

    def scores_now(self, rows: Any) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return SCORES * len(rows)


class Route:
    """A champion and a challenger behind one plan."""

    def __init__(
        self, bundles: dict[str, LoadedBundle], stored: dict[str, StoredBundle], **plan: Any
    ) -> None:
        self.plan: RoutePlan = make_plan(
            stored["first"],
            stored["second"],
            shares=(5_000, 5_000),
            **{"champion": stored["first"].digest, "experiment": "e", **plan},
        )
        pool = ThreadPoolExecutor(1)
        slots = {
            slot.digest: ScriptedSlot(slot, bundles[name], pool)
            for slot, name in zip(self.plan.slots, ("first", "second"), strict=True)
        }
        self.champion, self.challenger = slots.values()
        self.served = ServedModel(self.plan, slots)

    def ask(self, slot: ScriptedSlot) -> Asked:
        return asyncio.run(ask(self.served, slot, ROWS))


@pytest.fixture
def route(bundles: dict[str, LoadedBundle], stored: dict[str, StoredBundle]) -> Route:
    return Route(bundles, stored)


FAILURES = [SlotFailedError("gone"), RuntimeError("planted 17"), KeyError("planted 17")]


@pytest.mark.parametrize("error", FAILURES)
def test_the_champion_answers_for_a_challenger_that_fails(route: Route, error: Exception) -> None:
    route.challenger.error = error
    asked = route.ask(route.challenger)
    assert (asked.slot, asked.scores, asked.fallback_for) == (route.champion, SCORES, "challenger")


@pytest.mark.parametrize("error", FAILURES)
def test_a_champion_that_fails_has_nobody_to_answer_for_it(
    route: Route, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    route.champion.error = error
    with pytest.raises(SlotFailedError) as failed:
        route.ask(route.champion)
    assert "planted" not in str(failed.value) + caplog.text
    assert route.challenger.asked == 0


def test_a_constant_answers_for_anybody(
    bundles: dict[str, LoadedBundle], stored: dict[str, StoredBundle]
) -> None:
    route = Route(bundles, stored, fallback=FallbackAnswer(policy="constant", constant=True))
    route.champion.error = route.challenger.error = SlotFailedError("gone")
    for slot, variant in ((route.champion, "champion"), (route.challenger, "challenger")):
        asked = route.ask(slot)
        assert (asked.slot, asked.scores, asked.constant, asked.fallback_for) == (slot, None, True, variant)


def test_error_means_error(bundles: dict[str, LoadedBundle], stored: dict[str, StoredBundle]) -> None:
    route = Route(bundles, stored, fallback=FallbackAnswer(policy="error"))
    route.challenger.error = SlotFailedError("gone")
    with pytest.raises(SlotFailedError):
        route.ask(route.challenger)
    assert route.champion.asked == 0


def test_a_version_that_fails_again_and_again_is_left_alone(route: Route) -> None:
    route.challenger.error = SlotFailedError("gone")
    for _ in range(20):
        route.ask(route.challenger)
    assert route.challenger.asked == route.challenger.breaker.failures
    assert route.champion.asked == 20
    route.champion.error = SlotFailedError("gone")
    for _ in range(20):
        with pytest.raises((SlotFailedError, SlotOpenError)):
            route.ask(route.challenger)
    assert route.champion.asked == 20 + route.champion.breaker.failures


@pytest.mark.parametrize("policy", ["champion", "error"])
def test_rows_without_an_answer_are_no_failure_of_the_version(
    bundles: dict[str, LoadedBundle], stored: dict[str, StoredBundle], policy: Any
) -> None:
    route = Route(bundles, stored, fallback=FallbackAnswer(policy=policy))
    route.champion.error = route.challenger.error = UnanswerableError("no finite answer")
    for slot in (route.champion, route.challenger):
        for _ in range(10):
            with pytest.raises(RequestRefusedError) as refused:
                route.ask(slot)
            assert (refused.value.status, refused.value.code) == (422, "WS-SERVING-012")
        assert slot.breaker.state == "closed"


OTHER_FIELDS = (FIELDS[3], FIELDS[0], FIELDS[1], FIELDS[2], FIELDS[4])


def with_fields(bundle: LoadedBundle, fields: tuple[InputField, ...]) -> LoadedBundle:
    return replace(bundle, schema=bundle.schema.model_copy(update={"fields": fields}))


def test_a_champion_with_other_fields_gets_the_rows_as_it_takes_them(
    bundles: dict[str, LoadedBundle], stored: dict[str, StoredBundle]
) -> None:
    route = Route({**bundles, "second": with_fields(bundles["second"], OTHER_FIELDS)}, stored)
    route.challenger.error = SlotFailedError("gone")
    rows = [("basic", 41.5, 3, "Yes", None)]
    asked = asyncio.run(ask(route.served, route.challenger, rows))
    assert (asked.slot, list(asked.rows)) == (route.champion, [(41.5, 3, "Yes", "basic", None)])


def test_a_champion_that_needs_more_than_the_rows_hold_does_not_answer(
    bundles: dict[str, LoadedBundle], stored: dict[str, StoredBundle]
) -> None:
    route = Route({**bundles, "second": with_fields(bundles["second"], FIELDS[:2])}, stored)
    route.challenger.error = SlotFailedError("gone")
    with pytest.raises(SlotFailedError):
        asyncio.run(ask(route.served, route.challenger, [(41.5, 3)]))
    assert route.champion.asked == 0


def test_too_much_work_is_no_failure_and_nobody_else_gets_it(route: Route) -> None:
    route.challenger.error = OverloadedError("too many rows wait")
    for _ in range(10):
        with pytest.raises(OverloadedError):
            route.ask(route.challenger)
    assert route.challenger.breaker.state == "closed"
    assert route.champion.asked == 0


class TestThroughTheApp:
    def test_the_log_says_who_should_have_answered(
        self, app: App, stored: dict[str, StoredBundle], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        split = {"champion": stored["first"].digest, "experiment": "e"}
        app.put(make_plan(stored["first"], stored["second"], shares=(1, 9_999), **split))
        challenger = app.service.served["churn"].slots[stored["second"].digest]

        async def failing(rows: Any) -> Any:
            raise SlotFailedError("gone")

        monkeypatch.setattr(challenger, "scores", failing)
        answer = app.client.post("/predict", json={"features": ROW, "unit": "u", "prediction_id": "p"})
        assert (answer.status_code, answer.json()["variant"]) == (200, "champion")
        assert b'ml_fallback_answers_total{model="churn",policy="champion"} 1.0' in app.service.metrics.text()
        app.service.prediction_log.stop()
        (event,) = app.events()
        assert (event.variant, event.fallback_for, event.version) == ("champion", "challenger", "1")

    def test_a_constant_is_marked_in_answer_and_log(
        self, app: App, stored: dict[str, StoredBundle], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fallback = FallbackAnswer(policy="constant", constant=False)
        app.put(make_plan(stored["first"], fallback=fallback))

        async def failing(rows: Any) -> Any:
            raise SlotFailedError("gone")

        monkeypatch.setattr(app.service.served["churn"].most_slot, "scores", failing)
        said = app.client.post("/predict", json={"features": [ROW, ROW]}).json()["predictions"]
        assert [(row["prediction"], row["variant"], row["version"]) for row in said] == [
            (False, "constant", "")
        ] * 2
        assert said[0]["probabilities"] is None
        app.service.prediction_log.stop()
        assert [(event.variant, event.fallback_for) for event in app.events()] == [
            ("constant", "champion")
        ] * 2

    def test_a_shadow_answers_to_the_log_only(self, app: App, stored: dict[str, StoredBundle]) -> None:
        plan = make_plan(stored["first"], stored["second"], shares=(10_000, 0))
        slots = (plan.slots[0], plan.slots[1].model_copy(update={"shadow": True}))
        assert app.put(plan.model_copy(update={"slots": slots})).status_code == 200
        said = app.client.post("/predict", json={"features": [ROW, ROW], "prediction_id": ["a", "b"]}).json()
        assert {row["variant"] for row in said["predictions"]} == {"champion"}
        app.client.portal.call(app.service.shadows.stop)  # type: ignore[union-attr]
        app.service.prediction_log.stop()
        seen = sorted((event.prediction_id, event.variant, event.version) for event in app.events())
        assert seen == [
            ("a", "champion", "1"),
            ("a", "shadow", "2"),
            ("b", "champion", "1"),
            ("b", "shadow", "2"),
        ]
        app.service.metrics.flush()
        assert 'variant="shadow"} 2.0' in app.service.metrics.text().decode()

    def test_a_client_gets_all_answers_or_none_and_the_log_says_the_same(
        self, app: App, stored: dict[str, StoredBundle], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        split = {"champion": stored["first"].digest, "experiment": "e"}
        fallback = FallbackAnswer(policy="error")
        app.put(
            make_plan(stored["first"], stored["second"], shares=(5_000, 5_000), fallback=fallback, **split)
        )

        async def failing(rows: Any) -> Any:
            raise SlotFailedError("gone")

        monkeypatch.setattr(app.service.served["churn"].slots[stored["second"].digest], "scores", failing)
        units = [f"u{number}" for number in range(20)]
        answer = app.client.post("/predict", json={"features": [ROW] * 20, "unit": units})
        assert answer.status_code == 503
        app.service.metrics.flush()
        assert "ml_predictions_total{" not in app.service.metrics.text().decode()
        app.service.prediction_log.stop()
        assert app.events() == []
