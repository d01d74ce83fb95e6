from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.drift_windows import count_frame
from support.hostile import HOSTILE
from support.serving import FIELDS, ROW, make_plan
from support.serving_app import App
from windsock.monitoring.drift_columns import judge_columns
from windsock.records import Answer, DriftProfile, InputSchema, StoredBundle
from windsock.serving import drift_check
from windsock.serving.drift_check import look_at, read_look, read_values
from windsock.serving.recent_rows import RecentRows
from windsock.serving.strict_json import RequestRefusedError
from windsock.spec import DriftBlock
from windsock.statistics.profiling import build_profile
from windsock.training.preprocessing import to_features

SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.CLASS, classes=(False, True), positive=True)
NAMES = [field.name for field in FIELDS]


def draw(
    rows: int, *, seed: int, age: float = 50, plans: tuple[float, ...] = (0.5, 0.3, 0.2)
) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    return [
        {
            "age": float(random.normal(age, 15)) if random.random() > 0.1 else None,
            "visits": int(random.integers(0, 20)),
            "member": str(random.choice(["Yes", "No"])),
            "plan": str(random.choice(["basic", "plus", "pro"], p=plans)),
            "joined": "2026-03-01T10:00:00Z",
        }
        for _ in range(rows)
    ]


@pytest.fixture(scope="module")
def profile() -> DriftProfile:
    features: pd.DataFrame = to_features(draw(4_000, seed=1), FIELDS)
    return build_profile(features, FIELDS)


def look(profile: DriftProfile, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return look_at(profile, SCHEMA, read_values(rows, SCHEMA))


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {column["feature"]: column for column in found["columns"]}


class TestLook:
    @pytest.mark.parametrize("rows", [200, 1_000, 4_000])
    def test_rows_like_those_of_training_pass(self, profile: DriftProfile, rows: int) -> None:
        for seed in range(2, 12):
            found = look(profile, draw(rows, seed=seed))
            assert (found["verdict"], found["drifted"]) == ("pass", 0), seed
        assert found["rows"] == rows

    def test_a_moved_number_is_seen_alone(self, profile: DriftProfile) -> None:
        found = look(profile, draw(1_000, seed=2, age=65))
        columns = by_name(found)
        assert [name for name, column in columns.items() if column["drifted"]] == ["age"]
        age = columns["age"]
        assert 0.25 < age["effect_bounds"]["low"] <= age["effect"] <= age["effect_bounds"]["high"] < 0.5
        assert (age["limit"], age["status"]) == (0.05, "fail")
        assert (found["verdict"], found["drift_ratio"], found["severity"]) == ("fail", 0.2, "high")
        assert found["reason"].startswith("WS-MONITORING-020")

    def test_a_moved_category_and_what_was_never_seen(self, profile: DriftProfile) -> None:
        rows = [
            {**row, "plan": "gold"} if number % 2 else row for number, row in enumerate(draw(600, seed=3))
        ]
        plan = by_name(look(profile, rows))["plan"]
        assert (plan["drifted"], plan["unseen"]) == (True, 0.5)
        assert plan["psi"] > 1
        assert 0 < plan["jensen_shannon"] <= 1

    def test_a_column_that_has_become_null(self, profile: DriftProfile) -> None:
        columns = by_name(look(profile, [{**row, "age": None, "joined": None} for row in draw(400, seed=4)]))
        assert columns["age"]["nulls"]["now"] == 1
        assert columns["age"]["nulls"]["reference"] == pytest.approx(0.1, abs=0.02)
        assert (columns["age"]["effect_bounds"], columns["age"]["drifted"]) == (None, True)
        assert columns["joined"]["drifted"] is True

    def test_most_columns_moved_fail(self, profile: DriftProfile) -> None:
        rows = [{**row, "visits": row["visits"] + 30, "member": True} for row in draw(400, seed=5, age=90)]
        found = look(profile, rows)
        assert (found["verdict"], found["drifted"], found["drift_ratio"]) == ("fail", 3, 0.6)

    @pytest.mark.parametrize("rows", [0, 1, 85])
    def test_few_rows_are_insufficient(self, profile: DriftProfile, rows: int) -> None:
        found = look_at(profile, SCHEMA, read_values(draw(rows, seed=6, age=500), SCHEMA))
        assert (found["verdict"], found["drift_ratio"], found["judged"]) == ("insufficient", None, 0)
        assert all(column["insufficient"] and column["drifted"] is None for column in found["columns"])
        json.dumps(found, allow_nan=False)

    def test_so_are_few_rows_of_training(self) -> None:
        small = build_profile(to_features(draw(60, seed=1), FIELDS), FIELDS)
        assert look(small, draw(1_000, seed=2))["verdict"] == "insufficient"

    def test_it_is_the_rule_of_the_models_file(self, profile: DriftProfile) -> None:
        rows = draw(1_000, seed=2, age=65)
        assert look(profile, rows)["rule"] == "default"
        loose = profile.model_copy(update={"rule": DriftBlock(ks=0.6, minimum_rows=700), "windows": (2, 3)})
        found = look(loose, rows)
        assert (found["verdict"], found["rule"]) == ("pass", "model")
        assert found["limits"] == {
            "rows": 700,
            "q": 0.02,
            "ks": 0.6,
            "cramers_v": 0.1,
            "columns": 1,
            "rules": {},
        }
        assert found["windows"] == {"bad": 2, "of": 3}
        assert look(loose, rows[:600])["verdict"] == "insufficient"
        two = profile.model_copy(update={"rule": DriftBlock(columns=2)})
        assert look(two, rows)["verdict"] == "pass"

    def test_it_says_what_the_monitor_says(self, profile: DriftProfile) -> None:
        rows = read_values(draw(900, seed=9, age=58), SCHEMA)
        found = look_at(profile, SCHEMA, rows)
        frame = to_features([dict(zip(NAMES, row, strict=True)) for row in rows], FIELDS)
        monitored = judge_columns(profile, count_frame(profile, frame), DriftBlock())
        assert {one["feature"]: (one["status"], one["p"]) for one in found["columns"]} == {
            one.name: (one.status.value, one.p) for one in monitored.columns
        }

    def test_the_words_of_a_boolean_and_names_that_are_numbers(self, profile: DriftProfile) -> None:
        member = by_name(
            look(profile, [{**row, "member": row["member"] == "Yes"} for row in draw(400, seed=7)])
        )
        assert member["member"]["drifted"] is False
        assert (
            by_name(look(profile, [{**row, "plan": 3.0} for row in draw(200, seed=7)]))["plan"]["unseen"] == 1
        )

    def test_a_number_beyond_all_is_null_as_in_training(self, profile: DriftProfile) -> None:
        age = by_name(look(profile, [{**row, "age": 1e300} for row in draw(300, seed=8)]))["age"]
        assert (age["n"], age["nulls"]["now"]) == (0, 1)


class TestRequest:
    def test_what_may_be_asked(self) -> None:
        assert read_look(b"{}") == 1_000
        assert read_look(b'{"last": 10000}') == 10_000
        assert read_look(b'{"rows": [{}]}') == read_look(b'{"data": [{}]}') == [{}]

    @pytest.mark.parametrize(
        "body",
        [
            b"[]",
            b"null",
            b'{"last": 0}',
            b'{"last": 10001}',
            b'{"last": true}',
            b'{"last": 1.0}',
            b'{"last": null}',
            b'{"rows": []}',
            b'{"rows": {}}',
            b'{"rows": [{}], "last": 1}',
            b'{"rows": [{}], "data": [{}]}',
            b'{"data": 7}',
            b'{"other": 1}',
        ],
    )
    def test_what_is_refused(self, body: bytes) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read_look(body)
        assert (refused.value.status, refused.value.code) == (422, "WS-SERVING-046")

    def test_faults_name_rows_and_are_at_most_ten(self) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read_values([ROW, 7, {**ROW, "age": "s3cret"}, *[{}] * 50], SCHEMA)
        faults = refused.value.faults
        assert [fault.field for fault in faults[:2]] == ["rows[1]", "rows[2].age"]
        assert len(faults) == 10
        assert "s3cret" not in str(faults)


VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES)), min_size=1, max_size=5))
def test_no_rows_are_more_than_refused(profile: DriftProfile, rows: Any) -> None:
    try:
        values = read_values(rows, SCHEMA)
    except RequestRefusedError:
        return
    json.dumps(look_at(profile, SCHEMA, values * 100), allow_nan=False)


@pytest.fixture
def looking(app: App, stored: dict[str, StoredBundle], profile: DriftProfile) -> App:
    """An app that serves a version with a profile and recent rows."""
    assert app.put(make_plan(stored["first"])).status_code == 200
    return with_profile(app, profile)


def with_profile(app: App, profile: DriftProfile) -> App:
    slot: Any = app.service.served["churn"].most_slot
    slot.profile, slot.recent = profile, RecentRows(slot.schema)
    return app


class TestEndpoint:
    def test_sent_rows(self, looking: App) -> None:
        answer = looking.client.post("/drift-check", json={"rows": draw(300, seed=2, age=80)})
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert (said["model"], said["version"], said["source"], said["rows"]) == ("churn", "1", "sent", 300)
        assert by_name(said)["age"]["drifted"] is True
        assert (said["limits"]["ks"], said["limits"]["q"], said["verdict"]) == (0.05, 0.02, "fail")
        again = looking.client.post("/drift-check", json={"data": draw(300, seed=2, age=80)})
        assert again.json() == said

    def test_the_last_rows(self, looking: App) -> None:
        slot: Any = looking.service.served["churn"].most_slot
        slot.recent.add(read_values(draw(500, seed=3), SCHEMA))
        said = looking.client.post("/models/churn/drift-check", json={"last": 400}).json()
        assert (said["source"], said["rows"], said["verdict"]) == ("last", 400, "pass")

    def test_without_a_profile_there_is_nothing_to_look_against(self, looking: App) -> None:
        looking.service.served["churn"].most_slot.profile = None
        answer = looking.client.post("/drift-check", json={"last": 400})
        assert (answer.status_code, answer.json()["code"]) == (404, "WS-SERVING-047")

    def test_one_look_at_a_time(self, looking: App, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, go_on = threading.Event(), threading.Event()
        real = drift_check.look_at

        def slow(*arguments: Any) -> Any:
            begun.set()
            assert go_on.wait(20)
            return real(*arguments)

        monkeypatch.setattr(drift_check, "look_at", slow)
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(looking.client.post("/drift-check", json={})))
        thread.start()
        assert begun.wait(20)
        # The loop is free meanwhile.
        assert looking.client.post("/predict", json={"features": ROW}).status_code == 200
        refused = looking.client.post("/drift-check", json={})
        go_on.set()
        thread.join(20)
        assert (refused.status_code, refused.json()["code"]) == (503, "WS-SERVING-048")
        assert answers[0].status_code == 200
        assert looking.client.post("/drift-check", json={}).status_code == 200

    @pytest.mark.parametrize("name", [*HOSTILE])
    def test_hostile_bodies(self, lasting: App, profile: DriftProfile, name: str) -> None:
        answer = with_profile(lasting, profile).client.post("/drift-check", content=HOSTILE[name])
        assert answer.status_code == 200 if name == "empty object" else 400 <= answer.status_code < 500
