from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from support.builders import digest
from support.serving import make_plan
from windsock.exceptions import StaleEpochError, StorageError
from windsock.records import FallbackAnswer, RoutePlan, StoredBundle
from windsock.serving.route_file import InvalidTableError, RouteFile
from windsock.serving.routing import MixedRolloutError, RoutingTable

ONE, TWO, THREE = (StoredBundle(uri=f"memory://{letter}", digest=digest(letter)) for letter in "abc")


@pytest.fixture
def routes(tmp_path: Path) -> RouteFile:
    return RouteFile(tmp_path / "serving")


def test_no_file_is_an_empty_table(routes: RouteFile) -> None:
    assert routes.read() == RoutingTable()
    assert routes.signature() is None


def test_what_is_written_is_read(routes: RouteFile) -> None:
    routes.put(make_plan(ONE))
    routes.put(make_plan(TWO, model="spend", epoch=7))
    assert {name: plan.epoch for name, plan in routes.read().models.items()} == {"churn": 1, "spend": 7}


def test_the_same_plan_twice_writes_nothing(routes: RouteFile) -> None:
    routes.put(make_plan(ONE))
    before = routes.signature()
    routes.put(make_plan(ONE))
    assert routes.signature() == before


def test_every_change_has_another_signature(routes: RouteFile) -> None:
    seen = set()
    for epoch in range(1, 30):
        routes.put(make_plan(ONE, epoch=epoch))
        seen.add(routes.signature())
    assert len(seen) == 29


@pytest.mark.parametrize("plan", [make_plan(ONE, epoch=4), make_plan(TWO, epoch=5)])
def test_an_older_or_another_plan_is_refused(routes: RouteFile, plan: RoutePlan) -> None:
    routes.put(make_plan(ONE, epoch=5))
    with pytest.raises(StaleEpochError, match="epoch"):
        routes.put(plan)
    assert routes.read().models["churn"] == make_plan(ONE, epoch=5)


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(epochs=st.lists(st.integers(1, 6), max_size=8))
def test_epochs_never_fall(tmp_path: Path, epochs: list[int]) -> None:
    table, seen = RoutingTable(), 0
    for number, epoch in enumerate(epochs):
        try:
            table = table.with_plan(make_plan(ONE, epoch=epoch, salt=str(number)))
        except StaleEpochError:
            assert epoch <= seen
        else:
            assert epoch > seen
            seen = epoch
    assert table.models["churn"].epoch == seen if epochs else not table.models


def split(epoch: int, *shares: int, champion: StoredBundle = ONE, **fields: Any) -> RoutePlan:
    """Return a plan of the rollout ``e`` over bundles 1, 2, 3, as many as have a share."""
    bundles = (ONE, TWO, THREE)[: len(shares)]
    made = {"champion": champion.digest, "experiment": "e", **fields}
    return make_plan(*bundles, epoch=epoch, shares=shares, **made)


def as_shadow(plan: RoutePlan, version: str) -> RoutePlan:
    slots = [one.model_copy(update={"shadow": one.version == version}) for one in plan.slots]
    return RoutePlan(**{**dict(plan), "slots": slots})


def reordered(plan: RoutePlan) -> RoutePlan:
    return RoutePlan(**{**dict(plan), "slots": plan.slots[::-1]})


class TestWithinOneRollout:
    """What would move units is refused, and the table that stands is kept."""

    @pytest.mark.parametrize(
        ("plans", "code"),
        [
            ([split(1, 9_000, 1_000), split(2, 9_000, 1_000, salt="other")], "WS-SERVING-050"),
            ([split(1, 9_000, 1_000), split(2, 8_000, 1_000, 1_000)], "WS-SERVING-051"),
            ([split(1, 8_000, 1_000, 1_000), split(2, 9_000, 1_000)], "WS-SERVING-051"),
            ([split(1, 9_000, 1_000, 0), split(2, 9_000, 0, 1_000)], "WS-SERVING-051"),
            (
                [split(1, 9_000, 1_000, 0), split(2, 10_000, 0, 0), split(3, 9_000, 0, 1_000)],
                "WS-SERVING-051",
            ),
            (
                [split(1, 8_000, 1_000, 1_000), split(2, 10_000, 0, 0), split(3, 9_000, 0, 1_000)],
                "WS-SERVING-051",
            ),
            ([split(1, 9_000, 1_000), split(2, 9_000, 1_000, champion=TWO)], "WS-SERVING-051"),
            ([split(1, 10_000, 0), split(2, 0, 10_000, champion=TWO)], "WS-SERVING-051"),
            ([split(1, 8_000, 1_000, 1_000), reordered(split(2, 8_000, 1_000, 1_000))], "WS-SERVING-051"),
        ],
        ids=[
            "salt",
            "one more",
            "one less",
            "another",
            "another, after a pause",
            "one less, after a pause",
            "champion",
            "champion of a shadow's",
            "order",
        ],
    )
    def test_units_would_move(self, routes: RouteFile, plans: list[RoutePlan], code: str) -> None:
        for plan in plans[:-1]:
            routes.put(plan)
        before = routes.read()
        with pytest.raises(MixedRolloutError, match="rollout e is under way") as refusal:
            routes.put(plans[-1])
        assert refusal.value.code == code
        assert routes.read() == before

    @pytest.mark.parametrize(
        "plans",
        [
            [split(1, 9_500, 500), split(2, 5_000, 5_000), split(3, 0, 10_000), split(4, 10_000, 0)],
            [split(1, 10_000, 0), split(2, 9_000, 1_000), split(3, 10_000, 0), split(4, 9_000, 1_000)],
            [split(1, 9_000, 1_000), split(2, 9_000, 1_000, 0), split(3, 9_000, 1_000)],
            [split(1, 9_000, 1_000), as_shadow(split(2, 9_000, 1_000, 0), "3"), split(3, 9_000, 1_000)],
            [as_shadow(split(1, 10_000, 0), "2"), as_shadow(split(2, 10_000, 0, 0), "3")],
            [split(1, 8_000, 1_000, 1_000), split(2, 5_000, 1_000, 4_000), split(3, 10_000, 0, 0)],
            [split(1, 9_000, 1_000), reordered(split(2, 9_000, 1_000))],
            [split(1, 9_000, 1_000), split(2, 9_000, 1_000, fallback=FallbackAnswer(policy="error"))],
        ],
        ids=[
            "grows",
            "pauses",
            "idle slot",
            "shadow",
            "other shadow",
            "three",
            "champion's place",
            "fallback",
        ],
    )
    def test_no_unit_moves_but_by_shares(self, routes: RouteFile, plans: list[RoutePlan]) -> None:
        for plan in plans:
            assert routes.put(plan).models["churn"] == plan

    def test_a_challenger_that_is_dropped_moves_no_unit(self, routes: RouteFile) -> None:
        plan = split(1, 6_000, 2_000, 2_000)
        routes.put(plan)
        assert "withdrawn" not in routes.file.read_text()  # as before there were any
        for epoch, gone in enumerate((("3",), ("2", "3"), ()), start=2):
            slots = [slot.replace(withdrawn=slot.version in gone) for slot in plan.slots]
            plan = RoutePlan(**{**dict(plan), "slots": slots, "epoch": epoch})
            assert routes.put(plan).models["churn"] == plan
            assert RouteFile(routes.file.parent).read() == routes.read()
            assert routes.read().challengers == {"churn": (TWO.digest, THREE.digest)}

    @pytest.mark.parametrize("experiment", ["f", None])
    def test_another_rollout_or_none_begins_anew(self, routes: RouteFile, experiment: str | None) -> None:
        routes.put(split(1, 9_000, 1_000))
        routes.put(split(2, 9_000, 0, 1_000, champion=ONE, salt="other", experiment=experiment))
        routes.put(split(3, 9_000, 1_000, 0, salt="third", experiment="g"))
        assert routes.read().challengers == {"churn": (TWO.digest,)}

    def test_outside_of_a_rollout_nothing_is_held(self, routes: RouteFile) -> None:
        routes.put(split(1, 9_000, 1_000, 0, experiment=None))
        assert routes.put(split(2, 9_000, 0, 1_000, experiment=None, salt="x")).challengers == {}

    def test_a_file_from_before_knows_the_challengers_by_its_plan(self, routes: RouteFile) -> None:
        routes.put(split(1, 9_000, 1_000, 0))
        content = json.loads(routes.file.read_text())
        del content["challengers"]
        routes.file.write_text(json.dumps(content))
        with pytest.raises(MixedRolloutError, match="challenger 2; champion 1 and challenger 3 would move"):
            routes.put(split(2, 9_000, 0, 1_000))

    def test_models_are_kept_apart(self, routes: RouteFile) -> None:
        routes.put(split(1, 9_000, 1_000))
        routes.put(split(1, 9_000, 0, 1_000, model="spend", salt="other"))
        assert routes.read().challengers == {"churn": (TWO.digest,), "spend": (THREE.digest,)}


def test_of_writers_at_once_each_epoch_has_one(routes: RouteFile) -> None:
    def put(number: int) -> bool:
        try:
            routes.put(make_plan(ONE, epoch=number // 4 + 1, salt=str(number)))
        except StaleEpochError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(put, range(40)))
    assert 1 <= taken <= 10
    assert routes.read().models["churn"].epoch == 10


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"models": 3}', '{"models": {"churn": {}}}', '{"other": {}}', "\x00" * 40],
)
def test_a_file_that_is_no_table(routes: RouteFile, content: str) -> None:
    routes.file.parent.mkdir(parents=True)
    routes.file.write_text(content)
    with pytest.raises(InvalidTableError, match="no routing table"):
        routes.read()
    with pytest.raises(InvalidTableError):
        routes.put(make_plan(ONE))
    assert routes.file.read_text() == content


@pytest.mark.parametrize(
    "table",
    [
        {"models": {"other": make_plan(ONE)}},
        {"models": {"../churn": make_plan(ONE, model="../churn")}},
        {"models": {"churn": make_plan(StoredBundle(uri="u", digest="../../etc"))}},
    ],
)
def test_names_that_could_leave_the_folder_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RoutingTable.model_validate(table)


def test_the_last_two_champions_are_kept() -> None:
    table = RoutingTable()
    for epoch, (bundle, share) in enumerate([(ONE, 10_000), (TWO, 10_000), (THREE, 0), (THREE, 10_000)], 1):
        table = table.with_plan(make_plan(bundle, epoch=epoch, shares=(share,)))
        if epoch == 3:
            assert table.digests() == {ONE.digest, TWO.digest, THREE.digest}
    assert table.champions["churn"] == (THREE.digest, TWO.digest)
    assert table.digests() == {TWO.digest, THREE.digest}


def test_a_full_disk_leaves_the_old_table(routes: RouteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    routes.put(make_plan(ONE))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space") as refused:
        routes.put(make_plan(TWO, epoch=2))
    assert refused.value.code == "WS-STORAGE-002"
    assert json.loads(routes.file.read_text())["models"]["churn"]["epoch"] == 1
    assert sorted(file.name for file in routes.file.parent.iterdir()) == [
        "routes.json",
        "routes.kept.json",
        "routes.lock",
    ]
