"""Challengers that their rollout has dropped: their units stay theirs, and the champion answers them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.serving import ROW, make_bundle, make_plan
from support.serving_app import App
from support.versions import Column, make_version
from windsock.ports import LoadedBundle
from windsock.records import ColumnKind, FallbackAnswer, RoutePlan, StoredBundle
from windsock.rollout.assignment import Assignment
from windsock.serving import health
from windsock.serving.microbatch import OverloadedError
from windsock.serving.served import ServedModel
from windsock.serving.slots import LocalSlot, SlotFailedError

UNITS = [f"u{number}" for number in range(40)]
SHARES = (4_000, 2_000, 2_000, 2_000)
ARMS = ("champion", "challenger", "challenger-2", "challenger-3")
FALLBACKS = b'ml_fallback_answers_total{model="churn",'
POLICIES = [
    FallbackAnswer(),
    FallbackAnswer(policy="error"),
    FallbackAnswer(policy="constant", constant=False),
]


@pytest.fixture(scope="module")
def tried() -> list[LoadedBundle]:
    """A champion and three challengers."""
    return [make_bundle(seed=seed) for seed in (1, 2, 3, 4)]


def dropped(plan: RoutePlan, *versions: str, **fields: Any) -> RoutePlan:
    """Return the next plan, by which versions are withdrawn."""
    slots = [slot.replace(withdrawn=slot.version in versions) for slot in plan.slots]
    return RoutePlan(**{**dict(plan), "slots": slots, "epoch": plan.epoch + 1, **fields})


class Rollout:
    """An app in which a champion and some challengers share the traffic."""

    def __init__(
        self, app: App, bundles: Sequence[LoadedBundle], shares: Sequence[int] = SHARES, **fields: Any
    ) -> None:
        self.app = app
        self.stored = [app.fetcher.add(bundle) for bundle in bundles]
        made = {"champion": self.stored[0].digest, "experiment": "e", **fields}
        self.plan = make_plan(*self.stored, shares=tuple(shares), **made)
        assert app.put(self.plan).status_code == 200

    def drop(self, *versions: str, **fields: Any) -> None:
        self.plan = dropped(self.plan, *versions, **fields)
        answer = self.app.put(self.plan)
        assert answer.status_code == 200, answer.text

    def fail(self, version: str, patch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        """Let a version raise whenever it is asked."""

        async def failing(rows: Any) -> Any:
            raise error or SlotFailedError("gone")

        slot = self.app.service.served["churn"].slots[self.stored[int(version) - 1].digest]
        patch.setattr(slot, "scores", failing)

    def lane(self, unit: str) -> int:
        """Return the place of a unit's arm; 0 is the champion's."""
        shares = {str(place): slot.share for place, slot in enumerate(self.plan.slots) if place}
        shares["0"] = self.plan.slots[0].share
        return int(Assignment(shares, salt="s", experiment="e").arm(unit))

    def of(self, lane: int) -> list[str]:
        return [unit for unit in UNITS if self.lane(unit) == lane]

    def ask(self, *units: str, **row: Any) -> Any:
        body = {"features": [{**ROW, **row}] * len(units), "unit": list(units)}
        return self.app.client.post("/predict", json=body)

    def events(self, kind: str = "predictions") -> list[Any]:
        self.app.service.prediction_log.stop()
        return self.app.events(kind)


@pytest.mark.parametrize("fallback", POLICIES, ids=lambda one: one.policy)
def test_its_units_stay_its_own_and_the_champion_answers_them(
    app: App, tried: list[LoadedBundle], fallback: FallbackAnswer
) -> None:
    rollout = Rollout(app, tried, fallback=fallback)
    rollout.ask(*UNITS)
    rollout.drop("3")
    assert {row["version"] for row in rollout.ask(*UNITS).json()["predictions"]} == {"1", "2", "4"}
    assert rollout.ask(rollout.of(2)[0]).json()["predictions"][0]["variant"] == "champion"
    digests = [bundle.digest for bundle in rollout.stored]
    assert FALLBACKS not in app.service.metrics.text()
    for event in rollout.events():
        lane = rollout.lane(event.unit)
        answering = 0 if (lane, event.epoch) == (2, 2) else lane
        assert (event.version, event.digest) == (str(answering + 1), digests[answering])
        assert event.variant == ("challenger" if answering else "champion")
        assert event.fallback_for == ("withdrawn-2" if answering != lane else None)
        assert event.experiment == "e"
    assert len(rollout.events()) == 2 * len(UNITS) + 1


def test_a_request_of_the_champions_rows_and_a_dropped_ones_has_two_lines(
    app: App, tried: list[LoadedBundle]
) -> None:
    rollout = Rollout(app, tried)
    rollout.drop("2", "4")
    own, first, third = rollout.of(0)[:2], rollout.of(1)[:2], rollout.of(3)[:1]
    said = rollout.ask(first[0], own[0], third[0], first[1], own[1]).json()["predictions"]
    assert {row["version"] for row in said} == {"1"}
    arms = {event.unit: event.fallback_for for event in rollout.events()}
    assert arms == {
        **dict.fromkeys(own),
        **dict.fromkeys(first, "withdrawn-1"),
        **dict.fromkeys(third, "withdrawn-3"),
    }
    assert len(app.log_lines()) == 3


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_a_real_fallback_names_the_arm(
    app: App, tried: list[LoadedBundle], version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = Rollout(app, tried)
    rollout.fail(version, monkeypatch)
    lane = int(version) - 1
    assert rollout.ask(*rollout.of(lane)).status_code == 200
    assert FALLBACKS + b'policy="champion"} ' in app.service.metrics.text()
    assert {(event.variant, event.fallback_for) for event in rollout.events()} == {("champion", ARMS[lane])}


@pytest.mark.parametrize("policy", ["champion", "error"])
@pytest.mark.parametrize(
    ("error", "cause"), [(SlotFailedError("gone"), "failed"), (OverloadedError("too many"), "overloaded")]
)
def test_where_the_champion_fails_its_own_arm_is_not_charged(
    app: App,
    tried: list[LoadedBundle],
    monkeypatch: pytest.MonkeyPatch,
    policy: Any,
    error: Exception,
    cause: str,
) -> None:
    rollout = Rollout(app, tried, fallback=FallbackAnswer(policy=policy))
    rollout.drop("3")
    rollout.fail("1", monkeypatch, error)
    units = (rollout.of(2)[0], rollout.of(0)[0], rollout.of(1)[0])
    assert rollout.ask(units[0]).status_code == 503
    assert rollout.ask(*units).status_code == 503
    seen = Counter((event.digest, event.variant, event.cause) for event in rollout.events("unanswered"))
    champion, first, second, _ = (bundle.digest for bundle in rollout.stored)
    assert seen == {
        (second, "challenger", cause): 2,
        (champion, "champion", "other_version"): 1,
        (first, "challenger", "other_version"): 1,
    }
    assert rollout.events() == []


def test_where_the_champion_fails_a_constant_answers_for_its_own_and_the_dropped_ones(
    app: App, tried: list[LoadedBundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = Rollout(app, tried, fallback=POLICIES[2])
    rollout.drop("3")
    rollout.fail("1", monkeypatch)
    units = rollout.of(0)[0], rollout.of(2)[0]
    assert {row["variant"] for row in rollout.ask(*units).json()["predictions"]} == {"constant"}
    assert FALLBACKS + b'policy="constant"} 2.0' in app.service.metrics.text()
    seen = [(event.unit, event.variant, event.fallback_for, event.digest) for event in rollout.events()]
    digest = rollout.stored[0].digest  # by whose fields the rows are logged
    assert seen == [
        (units[0], "constant", "champion", digest),
        (units[1], "constant", "withdrawn-2", digest),
    ]


NUMBERS: Column = (ColumnKind.NUMBER, [0.5, 1.5, 2.5], None, None)


@pytest.fixture(scope="module")
def of_columns() -> list[LoadedBundle]:
    """A champion with ``a`` and ``b``, and challengers with other columns."""
    first = make_version({"a": NUMBERS, "b": NUMBERS}, None, number=1)
    second = make_version({"new": NUMBERS, "a": NUMBERS}, first.schema, number=2)
    return [first, second, make_version({"a": NUMBERS}, first.schema, number=3)]


def test_its_rows_are_read_by_the_champions_schema(app: App, of_columns: list[LoadedBundle]) -> None:
    rollout = Rollout(app, of_columns, (4_000, 3_000, 3_000))

    def status(unit: str, **row: Any) -> int:
        body = {"features": row, "unit": unit}
        return int(app.client.post("/predict", json=body).status_code)

    units = [rollout.of(lane)[0] for lane in range(3)]
    assert [status(unit, a=1.5, b=2.5, new=0.5) for unit in units] == [200, 200, 200]
    rollout.drop("2")
    assert [status(unit, a=1.5, b=2.5) for unit in units] == [200, 200, 200]
    assert [status(unit, a=1.5, b=2.5, new=0.5) for unit in units] == [200, 200, 200]  # as before
    assert [status(unit, a=1.5, b="x") for unit in units] == [422, 422, 422]
    seen = [(event.digest, event.features) for event in rollout.events() if event.unit == units[1]]
    champion, dropped_one, _ = (bundle.digest for bundle in rollout.stored)
    assert seen == [(dropped_one, {"new": 0.5, "a": 1.5}), *[(champion, {"a": 1.5, "b": 2.5})] * 2]
    refused = {(event.unit, event.digest, event.cause) for event in rollout.events("unanswered")}
    digests = [bundle.digest for bundle in rollout.stored]
    assert refused == {(unit, one, "invalid") for unit, one in zip(units, digests, strict=True)}


def test_shadows_get_its_rows_as_they_take_them(app: App, of_columns: list[LoadedBundle]) -> None:
    rollout = Rollout(app, of_columns, (5_000, 5_000, 0))
    slots = (*rollout.plan.slots[:2], rollout.plan.slots[2].replace(shadow=True))
    rollout.plan = rollout.plan.replace(slots=slots)
    rollout.drop("2")
    body = {"features": {"a": 1.5, "b": 2.5, "new": 0.5}, "unit": rollout.of(1)[0]}
    assert app.client.post("/predict", json=body).status_code == 200

    async def ended() -> None:
        while app.service.shadows.done + app.service.shadows.failed < 1:
            await asyncio.sleep(0.001)

    assert app.client.portal is not None
    app.client.portal.call(ended)
    seen = {event.variant: (event.features, event.fallback_for) for event in rollout.events()}
    assert seen == {"champion": ({"a": 1.5, "b": 2.5}, "withdrawn-1"), "shadow": ({"a": 1.5}, None)}


def test_a_request_may_name_the_champion_where_nobody_else_answers(
    app: App, tried: list[LoadedBundle]
) -> None:
    rollout = Rollout(app, tried)
    kinds = {str: "BYTES", int: "INT64", float: "FP64"}
    columns = {name: [value] * 4 for name, value in ROW.items()}
    columns["unit"] = [rollout.of(lane)[0] for lane in range(4)]
    inputs = [
        {"name": name, "shape": [4], "datatype": kinds[type(values[0])], "data": values}
        for name, values in columns.items()
    ]

    def ask(version: str) -> int:
        path = f"/v2/models/churn/versions/{version}/infer"
        return int(app.client.post(path, json={"inputs": inputs}).status_code)

    rollout.drop("2", "3")
    assert [ask(version) for version in "1234"] == [404] * 4  # two answer: the unit decides
    rollout.drop("2", "3", "4")
    assert [ask(version) for version in "1234"] == [200, 404, 404, 404]
    assert app.client.get("/v2/models/churn").json()["versions"] == ["1"]
    seen = [(event.version, event.experiment, event.fallback_for) for event in rollout.events()]
    arms = (None, "withdrawn-1", "withdrawn-2", "withdrawn-3")
    assert seen == [("1", None, arm) for arm in arms]


def test_it_is_not_asked_whatever_state_it_is_in(
    app: App, tried: list[LoadedBundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "READY_AGE_SECONDS", 0)
    rollout = Rollout(app, tried)
    rollout.fail("3", monkeypatch)
    for _ in range(6):  # five open its breaker
        rollout.ask(rollout.of(2)[0])
    assert app.client.get("/ready").status_code == 503
    rollout.drop("3")
    assert app.client.get("/ready").status_code == 200
    said = app.client.get("/health").json()
    assert said["status"] == "ok"
    assert [one.get("withdrawn") for one in said["models"]["churn"]["versions"]] == [None, None, True, None]
    assert [one["variant"] for one in said["models"]["churn"]["versions"]] == [
        "champion",
        *["challenger"] * 3,
    ]


class TestServedModel:
    def served(self, bundles: list[LoadedBundle], plan: RoutePlan) -> ServedModel:
        pool = ThreadPoolExecutor(1)
        slots = {
            slot.digest: LocalSlot(slot, bundle, pool)
            for slot, bundle in zip(plan.slots, bundles, strict=True)
        }
        return ServedModel(plan, slots)

    @pytest.fixture
    def plan(self, tried: list[LoadedBundle]) -> RoutePlan:
        stored = [StoredBundle(uri=bundle.digest, digest=bundle.digest) for bundle in tried[:3]]
        return make_plan(*stored, shares=(0, 5_000, 5_000), champion=stored[0].digest)

    def test_the_champion_answers_the_traffic_of_dropped_ones(
        self, tried: list[LoadedBundle], plan: RoutePlan
    ) -> None:
        for versions, most, shares in (
            ((), "3", [0, 5_000, 5_000]),
            (("2",), "3", [5_000, 0, 5_000]),
            (("3",), "2", [5_000, 5_000, 0]),
            (("2", "3"), "1", [10_000, 0, 0]),
        ):
            served = self.served(tried[:3], dropped(plan, *versions))
            assert (served.most.version, list(served.shares.values())) == (most, shares)
            assert served.only is None  # units have arms, whoever answers
            assert served.reader is not None

    def test_a_single_one_with_all_traffic(self, tried: list[LoadedBundle], plan: RoutePlan) -> None:
        alone = plan.replace(slots=(plan.slots[0], plan.slots[1].replace(share=10_000)))
        assert self.served(tried[:2], alone).only is not None
        served = self.served(tried[:2], dropped(alone, "2"))
        assert (served.only, served.most.version) == (None, "1")
        slot = served.choose("u")
        assert slot is not None
        assert (slot.plan.version, served.answering(slot).plan.version) == ("2", "1")

    def test_of_one_challenger_arms_are_variants(self, tried: list[LoadedBundle], plan: RoutePlan) -> None:
        slots = (plan.slots[0].replace(share=5_000), plan.slots[1], plan.slots[2].replace(share=0))
        served = self.served(tried[:3], plan.replace(slots=slots))
        assert [served.arm(slot) for slot in served.slots.values()] == [
            "champion",
            "challenger",
            "challenger",
        ]
        assert served.withdrawn == {}
