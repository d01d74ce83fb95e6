from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from windsock.data.contract import contract_in_force
from windsock.data.leaks import leak_suspects, row_codes, shared_rows
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import Status, TakeSnapshotInput, ValidateDataInput
from windsock.spec.leak_suspects import way_out
from windsock.steps.keys import validate_parts


def rows(count=400, seed=2, *, copied=0.0, numbers=False):
    """Return rows with an id each; a share of them comes again under another id."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=count)
    noise = draw.normal(size=count)
    frame = pd.DataFrame(
        {
            "x": x.round(3).astype(str),
            "z": draw.choice(list("abc"), count),
            "churned": (x + noise).round(3).astype(str) if numbers else np.where(x + noise > 0, "Yes", "No"),
        }
    )
    again = frame.iloc[: int(copied * count)]
    frame = pd.concat([frame, again], ignore_index=True)
    frame.insert(0, "row_id", [f"r{number}" for number in draw.permutation(90_000)[: len(frame)]])
    return frame.astype(object)


def report(frame, *, task="classification", **data):
    ports = fake_ports(sources=FakeSources(frame))
    spec = make_spec(model={"task": task}, data={"entity": None, **data})
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    return validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), ports, "")


def with_leak(frame, name="paid"):
    return frame.assign(**{name: np.where(frame["churned"] == "Yes", "7", "3")})


class TestColumns:
    def test_a_snapshot_passes_and_names_it(self):
        found = report(with_leak(rows()))
        assert found.status is Status.PASS
        assert [(one.column, one.kind) for one in found.suspects] == [("paid", "copy")]

    @pytest.mark.parametrize(
        "data",
        [
            {"exclude": ["paid"]},
            {"sensitive": ["paid"]},
            {"features": ["x", "z"]},
            {"known_leaks_checked": ["paid"]},
        ],
    )
    def test_what_is_no_feature_or_was_checked_is_not_named(self, data):
        assert report(with_leak(rows()), **data).suspects == ()

    def test_a_checked_column_that_is_not_there_is_refused_by_name(self):
        found = report(rows(), known_leaks_checked=["paid"])
        assert found.status is Status.FAIL
        assert [check.code for check in found.failed] == ["WS-DATA-103"]
        assert "paid" in found.failed[0].message

    def test_values_are_never_in_a_sentence(self):
        frame = rows()
        frame["secret"] = np.where(frame["churned"] == "Yes", "jane.doe", "john.roe")
        sentence = report(frame).suspects[0].sentence
        assert sentence.startswith(
            "secret: AUC 1.000: the target written otherwise (400 of 400 rows have a value"
        )
        assert "jane" not in sentence
        assert "john" not in sentence

    def test_customers_are_not_told_by_what_is_theirs(self):
        draw = np.random.default_rng(3)
        who = np.repeat(np.arange(60), 8)
        frame = pd.DataFrame(
            {
                "kunde": [f"K{number:04}" for number in who],
                "day": pd.date_range("2026-01-01", periods=480, freq="h").strftime("%Y-%m-%dT%H:%M:%S"),
                "income": draw.normal(size=60)[who].round(4).astype(str),
                "churned": np.where(draw.integers(0, 2, 60)[who] == 1, "Yes", "No"),
            }
        ).sample(480, random_state=1)
        assert report(frame.astype(object), event_time="day").suspects == ()

    def test_a_check_of_a_column_changes_the_key_and_no_training(self):
        frame = with_leak(rows())
        ports = fake_ports(sources=FakeSources(frame))
        made = [make_spec(data={"entity": None, "known_leaks_checked": names}) for names in ([], ["paid"])]
        snapshot = take_snapshot(TakeSnapshotInput(spec=made[0]), ports, "")
        keys = []
        for spec in made:
            step = ValidateDataInput(spec=spec, snapshot=snapshot)
            force = contract_in_force(spec, ports, judged=snapshot.digest)
            keys.append(validate_parts(step, ports, force))
        assert keys[0] != keys[1]
        assert made[0].section_digest("data") == made[1].section_digest("data")


class TestRowsOnBothSides:
    def test_a_person_may_answer_for_copied_rows(self):
        frame = rows(600, copied=0.3)
        assert [one.kind for one in report(frame).suspects] == ["rows"]
        assert "`data.copied_rows_checked: true`" in way_out(report(frame).suspects)
        assert report(frame, copied_rows_checked=True).suspects == ()

    @pytest.mark.parametrize(
        ("task", "copied"), [("classification", 0.3), ("regression", 0.2), ("classification", 0.1)]
    )
    def test_copies_under_other_ids_are_named(self, task, copied):
        found = report(rows(600, copied=copied, numbers=task == "regression"), task=task).suspects
        assert [(one.column, one.kind, one.measure) for one in found] == [(None, "rows", "share")]
        assert found[0].strength > 0.03
        assert found[0].filled >= 10

    @pytest.mark.parametrize(
        ("frame", "data"),
        [
            (rows(600), {}),
            (rows(600, copied=0.3).drop(columns="row_id"), {}),
            (rows(600).assign(x="1"), {}),
            (rows(600).assign(x=lambda made: made["x"].astype(float).round(0).astype(str)), {}),
        ],
    )
    def test_rows_that_are_alike_by_chance_or_on_one_side_are_not(self, frame, data):
        assert report(frame, **data).suspects == ()

    def test_with_a_split_by_time_the_time_counts(self):
        frame = rows(600, copied=0.3)
        frame["day"] = pd.date_range("2026-01-01", periods=len(frame), freq="h").astype(str)
        assert report(frame, event_time="day").suspects == ()

    def test_equal_rows_with_other_labels_are_no_copies(self):
        features = pd.DataFrame({"a": [1.0, 2.0] * 100, "b": ["x", None] * 100})
        held_out = np.arange(200) < 40
        codes = row_codes(features)
        assert shared_rows(codes, pd.Series(["y", "n"] * 100), held_out).strength == 1.0
        assert shared_rows(codes, pd.Series(["y", "n", "n", "y"] * 50), held_out) is None
        assert shared_rows(codes, pd.Series(["y"] * 200), held_out) is None

    def test_answered_requests_may_come_again(self):
        ports, spec = fake_ports(sources=FakeSources(rows(copied=0.5))), make_spec(data={"entity": "row_id"})
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
        frame = ports.snapshots.load(snapshot)
        assert [one.kind for one in leak_suspects(spec, snapshot, frame)] == ["rows"]
        assert leak_suspects(spec, snapshot.replace(recent_rows=200), frame) == ()


@pytest.mark.parametrize("changed", [{"shapes": ("99.99",)}, {"advice": "write a key"}, {"unread": 4}])
def test_a_validation_is_done_anew_where_its_report_would_say_something_else(changed):
    ports, spec = fake_ports(sources=FakeSources(rows())), make_spec(data={"entity": None})
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    force = contract_in_force(spec, ports, judged=snapshot.digest)
    first = snapshot.columns[1].replace(unread=5, shapes=("99,99 aaa",), advice="write another key")
    keys = []
    for column in (first, first.replace(**changed)):
        columns = (snapshot.columns[0], column, *snapshot.columns[2:])
        step = ValidateDataInput(spec=spec, snapshot=snapshot.replace(columns=columns))
        keys.append(validate_parts(step, ports, force))
    assert keys[0] != keys[1]
