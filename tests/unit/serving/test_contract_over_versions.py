"""A client of the first version goes on being answered while columns come, go, turn constant and widen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.serving import make_plan
from support.serving_app import App
from support.versions import Column, make_version
from windsock.ports import LoadedBundle
from windsock.records import ColumnKind, InputSchema
from windsock.records.request_contract import contract_changes

NUMBER, INTEGER, BOOLEAN, CATEGORY, DATETIME = (
    ColumnKind.NUMBER,
    ColumnKind.INTEGER,
    ColumnKind.BOOLEAN,
    ColumnKind.CATEGORY,
    ColumnKind.DATETIME,
)
POOL: dict[str, list[Column]] = {
    "age": [(INTEGER, [20, 30, 41], None, None), (NUMBER, [20.5, 30.0], None, None)],
    "promo": [(CATEGORY, ["A", "B"], None, None), (CATEGORY, ["A"], None, None)],
    "member": [
        (BOOLEAN, ["yes", "no"], "yes", "no"),
        (CATEGORY, ["yes", "no", "n/k"], None, None),
    ],
    "joined": [(DATETIME, ["2026-01-01", "2026-02-07"], None, None)],
    "score": [(NUMBER, [0.5, 1.5, 2.5], None, None), (CATEGORY, ["0.5", "1.5", "high"], None, None)],
    "visits": [(INTEGER, [1, 2, 3, 4], None, None)],
    "city": [(CATEGORY, ["Oslo", "Rome"], None, None)],
    "vip": [(BOOLEAN, [True, False], None, None), (INTEGER, [0, 1], None, None)],
}
FIRST = ("age", "promo", "member", "joined", "score")
ROW: dict[str, Any] = {"age": 41, "promo": "B", "member": "yes", "joined": "2026-02-07", "score": 1.5}
PROMOTIONS = 20
pytestmark = pytest.mark.slow


def month(random: np.random.Generator) -> dict[str, Column]:
    """Return the columns of a month: some of the pool, each in one of its forms."""
    names = [name for name in POOL if random.random() < 0.7] or ["age"]
    return {name: POOL[name][random.integers(len(POOL[name]))] for name in random.permutation(names)}


def versions(seed: int) -> list[LoadedBundle]:
    made = [make_version({name: POOL[name][0] for name in FIRST}, None, number=1)]
    random = np.random.default_rng(seed)
    for number in range(2, PROMOTIONS + 2):
        made.append(make_version(month(random), made[-1].schema, number=number))
    return made


def row_of(schema: InputSchema) -> dict[str, Any]:
    """Return what a client sends who has read a version's schema: all of its fields."""
    forms = {
        field.name: [form for form in POOL[field.name] if form[0] is field.kind] for field in schema.fields
    }
    return {name: known[0][1][0] for name, known in forms.items()}


def ask_in_all_ways(app: App, row: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the ways in which a row was refused, by each protocol."""
    values, names = list(row.values()), list(row)
    head = ",".join(names) + "\n" + ",".join(str(value) for value in values) + "\n"
    kinds = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
    tensors = [
        {"name": name, "shape": [1], "datatype": kinds[type(value)], "data": [value]}
        for name, value in row.items()
    ]
    post = app.client.post
    answers = {
        "predict": post("/predict", json={"features": row}),
        "rows": post("/predict", json={"features": [row, {**row, names[0]: None}]}),
        "records": post("/invocations", json={"dataframe_records": [row]}),
        "split": post("/invocations", json={"dataframe_split": {"columns": names, "data": [values]}}),
        "csv": post("/invocations", content=head, headers={"content-type": "text/csv"}),
        "tensors": post("/v2/models/churn/infer", json={"inputs": tensors}),
    }
    return [(way, said.status_code) for way, said in answers.items() if said.status_code != 200]


def unnamed(app: App) -> list[int]:
    """Return the answers to values without names, in the order of the first version."""
    values = list(ROW.values())
    bodies = ({"dataframe_split": {"data": [values]}}, {"instances": [values]})
    return [app.client.post("/invocations", json=body).status_code for body in bodies]


@pytest.fixture(scope="module")
def made() -> list[LoadedBundle]:
    return versions(seed=1)


def test_twenty_promotions_refuse_nothing_that_was_answered(app: App, made: list[LoadedBundle]) -> None:
    asked, refused, epoch = 0, [], 0
    stored = [app.fetcher.add(bundle) for bundle in made]
    for number, bundle in enumerate(stored):
        rollout = {"champion": stored[number - 1].digest, "experiment": f"e{number}"}
        plans = [make_plan(bundle)]
        if number:
            both = (stored[number - 1], bundle)
            plans = [make_plan(*both, shares=(5_000, 5_000), **rollout), plans[0]]
        for plan in plans:
            epoch += 1
            assert app.put(plan.replace(epoch=epoch)).status_code == 200
            clients = [ROW, *(row_of(known.schema) for known in made[max(0, number - 1) : number + 1])]
            for row in clients if len(plan.slots) == 1 else clients * 2:
                found = ask_in_all_ways(app, row)
                asked += 6
                refused += [(number, len(plan.slots), way) for way, _ in found]
            said = unnamed(app)
            asked += len(said)
            refused += [(number, len(plan.slots), "unnamed") for status in said if status != 200]
    assert asked > 700
    assert refused == []


def test_versions_of_the_contract_only_go_up(made: list[LoadedBundle]) -> None:
    numbers = [bundle.schema.contract for bundle in made]
    assert numbers == sorted(numbers)
    for before, after in zip(made, made[1:], strict=False):
        asked = (before.schema.request_fields, before.schema.in_order)
        same = asked == (after.schema.request_fields, after.schema.in_order)
        same = same and before.schema.fields == after.schema.fields
        assert (before.schema.contract == after.schema.contract) == same
        if contract_changes(before.schema, after.schema):
            assert after.schema.contract == before.schema.contract + 1


def test_a_name_that_no_version_knew_is_refused_by_name(app: App, made: list[LoadedBundle]) -> None:
    app.put(make_plan(app.fetcher.add(made[-1])))
    refused = app.client.post("/predict", json={"features": {**ROW, "prmo": "A"}})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["got"] == "1 unknown field: 'prmo'"


def test_the_description_says_the_contract(app: App, made: list[LoadedBundle]) -> None:
    app.put(make_plan(app.fetcher.add(made[-1])))
    said = app.client.get("/models/churn").json()
    assert said["request_contract"] == said["schema"]["contract"] == made[-1].schema.contract
    described = app.client.get("/v2/models/churn").json()
    assert described["parameters"] == {"request_contract": made[-1].schema.contract}


def test_what_a_person_made_required_must_be_there(app: App, made: list[LoadedBundle]) -> None:
    champion = made[0].schema
    columns = {name: POOL[name][0] for name in (*FIRST, "city")}
    bundle = make_version(columns, champion, number=99, required=("city",))
    assert contract_changes(champion, bundle.schema) == ("field 'city' is new; requests must hold it",)
    app.put(make_plan(app.fetcher.add(bundle)))
    assert app.client.post("/predict", json={"features": ROW}).status_code == 422
    assert app.client.post("/predict", json={"features": {**ROW, "city": "Rome"}}).status_code == 200


def numbers(*names: str, champion: InputSchema | None = None, number: int = 1) -> LoadedBundle:
    kinds = {name: (NUMBER, [0.5, 1.5, 2.5], None, None) for name in names}
    return make_version(kinds, champion, number=number)


@pytest.mark.parametrize(
    ("values", "right"),
    [([1.0, 2.0, 3.0], 200), ([1.0, 2.0, 3.0, 4.0], 200), ([1.0, 2.0], 400), ([1.0] * 5, 400)],
)
def test_values_without_names_are_read_in_the_order_of_the_first_version(
    app: App, values: list[float], right: int
) -> None:
    first = numbers("a", "b", "c")
    second = numbers("new", "c", "a", champion=first.schema, number=2)
    app.put(make_plan(app.fetcher.add(second)))
    post = app.client.post
    matrix = {"name": "input", "shape": [1, len(values)], "datatype": "FP64", "data": values}
    columns = {"columns": list(range(len(values))), "data": [values]}
    asked = {
        "matrix": post("/v2/models/churn/infer", json={"inputs": [matrix]}),
        "split": post("/invocations", json={"dataframe_split": {"data": [values]}}),
        "numbered": post("/invocations", json={"dataframe_split": columns}),
        "instances": post("/invocations", json={"instances": [values]}),
        "inputs": post("/invocations", json={"inputs": [values]}),
    }
    assert {way: said.status_code for way, said in asked.items()} == dict.fromkeys(asked, right)
    if right == 200:
        named = {"a": values[0], "c": values[2], **({"new": values[3]} if len(values) > 3 else {})}
        app.client.post("/predict", json={"features": named})
        app.service.prediction_log.stop()
        seen = [event.features for event in app.events()]
        assert all(features == seen[0] for features in seen)
        assert len(seen) == 6


def test_a_shadow_gets_what_only_it_uses(app: App) -> None:
    first = numbers("a", "b")
    second = numbers("a", "new", champion=first.schema, number=2)
    stored = [app.fetcher.add(bundle) for bundle in (first, second)]
    slots = make_plan(*stored, shares=(10_000, 0)).slots
    plan = make_plan(*stored).replace(slots=(slots[0], slots[1].replace(shadow=True)))
    assert app.put(plan).status_code == 200
    assert app.client.post("/predict", json={"features": {"a": 1, "b": 2, "new": 7}}).status_code == 200
    app.client.portal.call(app.service.shadows.stop)  # type: ignore[union-attr]
    app.service.prediction_log.stop()
    assert {event.variant: event.features for event in app.events()} == {
        "champion": {"a": 1, "b": 2},
        "shadow": {"a": 1, "new": 7},
    }


def test_a_version_that_fails_is_stood_in_for_with_what_it_does_not_use(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = numbers("a", "b")
    second = numbers("a", "new", champion=first.schema, number=2)
    stored = [app.fetcher.add(bundle) for bundle in (first, second)]
    rollout = {"champion": stored[0].digest, "experiment": "e"}
    assert app.put(make_plan(*stored, shares=(5_000, 5_000), **rollout)).status_code == 200
    failing = app.service.served["churn"].slots[stored[1].digest]
    monkeypatch.setattr(failing, "scores_now", lambda rows: 1 / 0)
    for row in ({"a": 1, "b": 2}, {"a": 1, "new": 3}, {"a": 1, "b": 2, "new": 3}):
        body = {"features": [row] * 20, "unit": [f"u{number}" for number in range(20)]}
        said = app.client.post("/predict", json=body)
        assert said.status_code == 200
        assert {one["version"] for one in said.json()["predictions"]} == {"1"}
    app.service.prediction_log.stop()
    seen = [event.features for event in app.events()]
    assert seen == [{"a": 1, "b": 2}] * 20 + [{"a": 1, "b": None}] * 20 + [{"a": 1, "b": 2}] * 20
